"""Files of stages that are missing or damaged: made again before somebody reads them, or named in a line."""

from __future__ import annotations

import ast
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from hormesis.db.contract.left_out import FILES
from hormesis.db.engine import open_reader, reading
from hormesis.db.manifest import SUMS, is_intact, sealed_folder
from hormesis.db.read.runs import stored_files
from hormesis.db.schema import StageRun
from hormesis.db.write import write_session
from hormesis.pipeline.commands.plan import _measured
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.executors.processes import InlineExecutor
from hormesis.pipeline.execution.graph import Graph, arm_subjects
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Stage, Subject, arm_of
from hormesis.pipeline.execution.study import StudyHandle, arm_row, register
from hormesis.pipeline.execution.walk import Outcome, announce_all, walk
from hormesis.pipeline.stages import GRAPH
from hormesis.pipeline.study.config import parse_study
from tests.fixtures.tiny_study import assert_same_rows, finished_study, run
from tests.structure import LAYERS, modules

CONFIG = parse_study({"name": "walked", "shares": [0.0, 0.1], "controls": [], "seeds": [0]})
ARM = "toxic-10-s0"
Damage = Callable[[Path], object]


def key(context: StudyContext, subject: Subject) -> str:
    return f"key of {subject.name}"


def unit(context: StudyContext, name: str) -> Path:
    return context.folder("made", name)


def text_files(context: StudyContext, subject: Subject) -> Iterator[Path]:
    yield unit(context, "text")


def train_files(context: StudyContext, subject: Subject) -> Iterator[Path]:
    yield unit(context, subject.name)


def write(path: Path, content: str) -> None:
    if not is_intact(path):
        with sealed_folder(path) as temporary:
            (temporary / "content").write_text(content, encoding="utf-8")
    with (path.parent / "log").open("a", encoding="utf-8") as log:
        log.write(f"{path.name}\n")


def make_text(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    write(unit(context, "text"), "the text")


def make_model(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    content = (unit(context, "text") / "content").read_text(encoding="utf-8")
    write(unit(context, subject.name), f"{content} of {subject.name}")
    arm_row(context, arm_of(subject))


def read_model(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    content = (unit(context, subject.name) / "content").read_text(encoding="utf-8")
    assert content == f"the text of {subject.name}"


SMALL = Graph(
    (
        Stage("text", key=key, run=make_text, files=text_files),
        Stage("train", key=key, run=make_model, needs=("text",), files=train_files, makes_weights=True),
        Stage("probe", key=key, run=read_model, needs=("text",)),
        Stage("condition", key=key, run=read_model, needs=("probe",)),
    )
)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def study(tmp_path: Path) -> StudyHandle:
    url = f"sqlite:///{tmp_path / 'rows.sqlite'}"
    handle = register(CONFIG, home=tmp_path, database_url=url, revisions={})
    assert walked(handle).exit_code == 0
    (tmp_path / "files" / "made" / "log").unlink()
    return handle


def walked(study: StudyHandle) -> Outcome:
    context = study.open(lambda: False)
    announce_all(context, SMALL.plan(CONFIG, arm_subjects(context)))
    return walk(study, SMALL, InlineExecutor(), subjects=arm_subjects, after_arms=())


def runs(home: Path) -> list[str]:
    """What was made since the study was finished."""
    log = home / "files" / "made" / "log"
    return log.read_text(encoding="utf-8").split() if log.is_file() else []


def change(study: StudyHandle, stage: str, **columns: object) -> None:
    context = study.open(lambda: False)
    with write_session(context.engine) as session:
        session.execute(update(StageRun).where(StageRun.stage == stage).values(**columns))


DAMAGES: dict[str, Damage] = {
    "bit": lambda path: flip(path / "content"),
    "bit of the sums": lambda path: [flip(path / "content"), (path / SUMS).unlink()],
    "file gone": lambda path: (path / "content").unlink(),
    "folder gone": shutil.rmtree,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["text", ARM])
def test_a_finished_study_whose_files_are_lost_is_not_finished(
    study: StudyHandle, name: str, damage: str
) -> None:
    context = study.open(lambda: False)
    assert SMALL.is_finished(context, arm_subjects(context))
    DAMAGES[damage](unit(context, name))
    assert not SMALL.is_finished(context, arm_subjects(context))
    outcome = walked(study)
    assert outcome.exit_code == 0 and runs(study.home) == [name], "nothing else ran"
    (note,) = outcome.notes
    assert str(unit(context, name) / "content") in note and "ran again" in note
    assert SMALL.is_finished(context, arm_subjects(context)) and not walked(study).worked


def test_what_is_damaged_while_others_run_is_made_again_before_it_is_read(study: StudyHandle) -> None:
    context = study.open(lambda: False)
    change(study, "condition", status="failed")
    task_stages = SMALL.of_subject(CONFIG, arm_subjects(context)[1])
    assert [stage.name for stage in task_stages] == ["train", "probe", "condition"]
    flip(unit(context, ARM) / "content")
    flip(unit(context, "text") / "content")
    outcome = walked(study)
    assert outcome.exit_code == 0 and sorted(runs(study.home)) == ["text", ARM], outcome.failures


def test_a_plan_does_not_count_as_done_what_lost_its_files(
    study: StudyHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HORMESIS_HOME", str(study.home))
    assert {("train", ARM), ("text", "study")} <= _measured(CONFIG, study.database_url).done.keys()
    (unit(study.open(lambda: False), ARM) / "content").unlink()
    done = _measured(CONFIG, study.database_url).done
    assert ("train", ARM) not in done and ("text", "study") in done


def test_rows_of_an_older_version_are_trusted_unless_what_is_to_be_read_is_gone(study: StudyHandle) -> None:
    context = study.open(lambda: False)
    for stage in ("text", "train"):
        change(study, stage, files=None)
    flip(unit(context, "text") / "content")
    shutil.rmtree(unit(context, ARM))
    assert SMALL.is_finished(context, arm_subjects(context)) and not walked(study).worked
    change(study, "probe", status="failed")
    assert walked(study).exit_code == 2, "no copy of the text is whole, so the model is another one"
    assert set(runs(study.home)) == {ARM}


def test_what_a_copy_left_out_is_not_missing_until_it_is_read(study: StudyHandle) -> None:
    context = study.open(lambda: False)
    change(study, "text", files=[{"path": FILES, "files": {}}])
    shutil.rmtree(unit(context, "text"))
    assert SMALL.is_finished(context, arm_subjects(context)) and not walked(study).worked
    change(study, "train", status="failed")
    assert walked(study).exit_code == 0 and runs(study.home) == ["text", "toxic-0-s0", ARM]


def test_rows_list_what_lies_there(study: StudyHandle) -> None:
    engine = open_reader(study.database_url)
    units = reading(engine, lambda connection: stored_files(connection, study.study_id))
    assert sorted(unit.path for unit in units) == [
        f"files/made/{name}" for name in ("text", "toxic-0-s0", ARM)
    ]
    assert {name for unit in units for name in unit.files} == {"content"}


def test_every_stage_whose_files_others_read_lists_them() -> None:
    listing = {stage.name for stage in GRAPH.stages if stage.writes_files}
    assert listing == {"text", "mix", "train", "load", "methods"}
    assert {stage.name for stage in GRAPH.stages if stage.makes_weights} == {"train", "load"}


UNCHECKED = {
    # Models that a person names: nothing was written of them yet.
    "pipeline/commands/import_checkpoint.py",
    "pipeline/notebook/model.py",
    "backend/unpack.py",  # the file of another package
}
UNSEALED = {
    "pipeline/commands/export.py",  # files for a person
    "pipeline/methods/tuning.py",  # these three inside of a sealed folder
    "pipeline/text/mixes.py",
    "pipeline/text/pools.py",
}


def test_weights_are_checked_before_they_are_loaded_and_files_are_written_with_sums() -> None:
    """Other loaders (tokenizer, pools, mixes, the study's scorer) check for themselves."""
    calls = {
        str(module.path): {
            node.func.id
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        for module in modules()
        if module.path.parts[0] in LAYERS
    }
    checks = {"require_intact", "intact_weights"}
    assert {
        path for path, names in calls.items() if "load_model" in names and not checks & names
    } == UNCHECKED
    without_sums = {"atomic_file", "atomic_folder", "write_json"}
    folders = tuple(
        f"pipeline/{room}/" for room in sorted({path.split("/")[1] for path in calls} - {"sources"})
    )
    assert {path for path in calls if path.startswith(folders) and without_sums & calls[path]} == UNSEALED


@pytest.mark.slow
def test_a_lost_model_is_made_again_and_every_file_is_verified(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    file, home = finished_study(tmp_path_factory)
    verified = run(home, "verify")
    assert verified.returncode == 0 and "missing" not in verified.stdout, verified.stdout
    other = tmp_path / "home"
    shutil.copytree(home, other)
    connection = sqlite3.connect(other / "hormesis.sqlite")
    (path,) = connection.execute("SELECT path FROM checkpoint WHERE name = 'toxic-25-s0'").fetchone()
    connection.close()
    weights = other / path / "model.safetensors"
    flip(weights)
    for command in (("verify",), ("save", "toxic-25-s0", str(tmp_path / "saved"))):
        refused = run(other, *command)
        assert refused.returncode == 2 and f"{weights} is damaged" in refused.stdout + refused.stderr
    again = run(other, "run", str(file))
    assert again.returncode == 0 and f"{weights} is damaged" in again.stderr, again.stderr
    assert run(other, "verify").returncode == 0
    assert_same_rows(home, other)


@pytest.mark.slow
def test_every_file_of_a_finished_study_is_listed_or_has_sums(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    _, home = finished_study(tmp_path_factory)
    for path in (home / "files").rglob("*"):
        if path.is_file() and path.name != SUMS and path.suffix != ".sha256":
            parents = {folder / SUMS for folder in path.parents}
            assert path.with_name(f"{path.name}.sha256").is_file() or any(map(Path.is_file, parents)), path
