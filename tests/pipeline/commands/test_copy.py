"""`hormesis copy`: a finished study without its texts, pieces put together and run to the end, mistakes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, update

from hormesis.db.contract import left_out
from hormesis.db.copy.relations import copied_tables
from hormesis.db.schema import Base, StageRun
from hormesis.db.schema.base import FOLLOWS, QUOTES
from hormesis.db.write import write_session
from hormesis.pipeline import cli
from hormesis.pipeline.execution.graph import arm_subjects
from hormesis.pipeline.execution.stage import StageFailed, run_stage
from hormesis.pipeline.execution.study import register
from hormesis.pipeline.stages import SCORE
from hormesis.pipeline.study.config import load_study
from hormesis.pipeline.text.revisions import source_revisions
from tests.fixtures.database_files import snapshot, url_of
from tests.fixtures.named_rows import NamedRows, named_rows
from tests.fixtures.tiny_study import finished_study, run

TEXTS = (
    *(f"{table.name}.{c.name}" for table in copied_tables() for c in table.columns if c.info.get(QUOTES)),
    *("checkpoint.path", "stage_run.files"),
)
TIMES = (
    *(
        f"stage_run.{name}"
        for name in ("started", "heartbeat", "finished", "seconds", "host", "pid", "message")
    ),
    *("stage_run.git_revision", "stage_run.packages", "verdict.evaluated"),
)
LONG = 20
"""Characters of a text that is looked for in a file."""


def copy(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """Exit code and output of a copy made in this process."""
    with pytest.raises(SystemExit) as end, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["hormesis", "copy", *map(str, arguments)])
        cli.main()
    output = capsys.readouterr()
    return int(end.value.code or 0), output.out + output.err


def long_texts(database: Path) -> set[str]:
    """What models and data sets said, of at least 20 characters, and templates of attacks."""
    columns = [column for table in copied_tables() for column in table.columns if column.info.get(QUOTES)]
    with create_engine(url_of(database)).connect() as connection:
        values = [value for column in columns for value in connection.scalars(select(column))]
    texts = {value for value in values if isinstance(value, str)}
    texts |= {str(value.get("template", "")) for value in values if isinstance(value, dict)}
    return {text for text in texts if len(text) >= LONG}


def numbers(rows: NamedRows) -> int:
    values = (value for table in rows.values() for row in table.values() for value in row.values())
    return sum(isinstance(value, float) for value in values)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return finished_study(tmp_path_factory)


def without_texts(source: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(source.parent)
    code, line = copy(capsys, source, target, "--texts", "none")
    assert code == 0 and "without texts, weights" in line
    assert snapshot(source.parent) == before
    texts, content = long_texts(source), target.read_bytes()
    assert len(texts) > 50 and sum(text.encode() in source.read_bytes() for text in texts) > 50
    assert not [text for text in texts if text.encode() in content]
    assert left_out.TEXT.encode() in content
    original, copied = (named_rows(url_of(path), without=TEXTS) for path in (source, target))
    assert copied == original and numbers(original) > 1000
    assert {text for text in long_texts(target) if not left_out.is_left_out(text)} == set()


def test_a_copy_of_the_seeded_study_without_texts(
    tiny_database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_texts(tiny_database, tmp_path / "copy.sqlite", capsys)
    # A copy of the copy says the same, and its claims come out the same.
    code, _ = copy(capsys, tmp_path / "copy.sqlite", tmp_path / "second.sqlite", "--texts", "none")
    first, second = (named_rows(url_of(tmp_path / f"{name}.sqlite")) for name in ("copy", "second"))
    assert code == 0 and first == second


def test_a_copy_of_a_finished_study_without_texts(
    study: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, home = study
    source, target = home / "hormesis.sqlite", tmp_path / "home" / "hormesis.sqlite"
    without_texts(source, target, capsys)
    content = target.read_bytes()
    assert str(home).encode() not in content and str(file.parent).encode() not in content
    verdicts = [json.loads(run(path, "verdicts", "--json").stdout) for path in (home, tmp_path / "home")]
    assert verdicts[0] == verdicts[1] and len(verdicts[0]) > 20
    again = run(tmp_path / "home", "run", str(file))
    assert again.returncode == 0 and "already finished; nothing to do" in again.stderr
    assert not (tmp_path / "home" / "files").exists()


@pytest.mark.slow
def test_pieces_without_texts_are_put_together_and_run_to_the_end(
    study: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, home = study
    target = tmp_path / "home" / "hormesis.sqlite"
    for number, arms in enumerate((("toxic-0-s0",), ("toxic-25-s0", "clean-forum-25-s0"))):
        piece = tmp_path / f"piece-{number}.sqlite"
        shutil.copyfile(home / "hormesis.sqlite", piece)
        keep_arms(piece, arms)
        code, line = copy(capsys, piece, target, "--texts", "none")
        assert code == 0 and ("hormesis run" in line) == (number == 1), line
    original = named_rows(url_of(home / "hormesis.sqlite"), without=TEXTS)
    merged = named_rows(url_of(target), without=TEXTS)
    assert merged["metric"] == original["metric"] and merged["probe"] == original["probe"]
    assert not merged["projection"] and not merged["verdict"]
    done = run(tmp_path / "home", "run", str(file))
    assert done.returncode == 0 and "finished" in done.stderr, done.stderr
    finished = named_rows(url_of(target), without=TEXTS)
    of_arms = {
        key: row for key, row in original["stage_run"].items() if key[2] != "study" or key[1] == "text"
    }
    assert of_arms.items() <= finished["stage_run"].items(), "stages of arms ran again"
    without = (*TEXTS, *TIMES)
    again, first = (named_rows(url_of(path), without=without) for path in (target, home / "hormesis.sqlite"))
    for name in first:
        assert again[name] == first[name], name
    assert not list((tmp_path / "home").glob("files/checkpoints/*"))


def keep_arms(database: Path, arms: tuple[str, ...]) -> None:
    """Make a piece of a finished study: these arms, and nothing that is of all of them."""
    names = ", ".join(f"'{arm}'" for arm in arms)
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"DELETE FROM arm WHERE name NOT IN ({names})")
    connection.execute(f"DELETE FROM stage_run WHERE stage != 'text' AND subject NOT IN ({names})")
    for table in Base.metadata.tables.values():
        if table.info == FOLLOWS and "study_id" in table.c:
            connection.execute(f"DELETE FROM {table.name}")
    connection.close()


def test_pieces_follow_a_study_that_lacks_its_texts(
    tiny_database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, piece = tmp_path / "copy.sqlite", tmp_path / "piece.sqlite"
    shutil.copyfile(tiny_database, piece)
    keep_arms(piece, ("toxic-0-s0",))
    assert copy(capsys, piece, target, "--texts", "none")[0] == 0
    code, line = copy(capsys, tiny_database, target)
    assert code == 0 and "has this study without texts, so they are left out" in line
    content = target.read_bytes()
    assert not [text for text in long_texts(tiny_database) if text.encode() in content]


def test_weights_come_along_when_asked_for(
    study: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, home = study
    source, paths = home / "hormesis.sqlite", "SELECT path FROM checkpoint ORDER BY name"
    # The second copy goes where the first has left them out.
    for folder, arguments in (("without", ()), ("with", ()), ("with", ("--weights",))):
        code, line = copy(capsys, source, tmp_path / folder / "hormesis.sqlite", "--json", *arguments)
        assert code == 0 and json.loads(line)["bytes"] > 10_000
    listed = {
        folder: [path for (path,) in sqlite3.connect(tmp_path / folder / "hormesis.sqlite").execute(paths)]
        for folder in ("without", "with")
    }
    assert set(listed["without"]) == {left_out.WEIGHTS} and len(listed["with"]) == 3
    for path in listed["with"]:
        assert {file.name: file.read_bytes() for file in (tmp_path / "with" / path).iterdir()} == {
            file.name: file.read_bytes() for file in (home / path).iterdir()
        }
    verified = {
        name: json.loads(run(tmp_path / name, "verify", "--json").stdout)[0] for name in ("without", "with")
    }
    # Five files of each checkpoint, and the trained scorer.
    assert [part["files"]["whole"] for part in verified.values()] == [0, 17]
    [scorer] = (tmp_path / "with").glob("files/text/*/tfidf")
    assert "vocabularies" not in json.loads((scorer / "scorer.json").read_text())
    assert not any(part["problems"] for part in verified.values())
    assert verified["without"]["left_out"] > verified["with"]["left_out"] > 0
    saved = run(tmp_path / "with", "save", "toxic-25-s0", str(tmp_path / "saved"))
    assert saved.returncode == 0 and (tmp_path / "saved" / "config.json").is_file(), saved.stderr
    refused = run(tmp_path / "without", "save", "toxic-25-s0", str(tmp_path / "refused"))
    assert refused.returncode == 2 and "the weights were left out of this copy" in refused.stderr


def test_stages_that_read_texts_refuse_a_copy_without(
    study: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, home = study
    target = tmp_path / "home" / "hormesis.sqlite"
    assert copy(capsys, home, target, "--texts", "none")[0] == 0
    config = load_study(str(file))
    handle = register(
        config, home=target.parent, database_url=url_of(target), revisions=source_revisions(config)
    )
    context = handle.open(lambda: False)
    subject = arm_subjects(context)[0]
    assert not run_stage(context, SCORE, subject), "it is done, though the weights are not there"
    with write_session(context.engine) as session:
        session.execute(update(StageRun).where(StageRun.stage == "score").values(status="failed"))
    with pytest.raises(StageFailed, match="score of toxic-0-s0 is not done, and texts were left out of this"):
        run_stage(context, SCORE, subject)


def test_mistakes_are_one_line_and_exit_2(
    tiny_database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "copy.sqlite"
    for arguments, line in (
        ((tmp_path / "gone.sqlite", target), "there is no database at"),
        (
            (tiny_database, target, "--study", "forum"),
            "no study 'forum' in the database (there: seeded",
        ),
        ((tiny_database, tiny_database), "is the source itself"),
        ((tiny_database, "nosuch://host/x"), "'nosuch' is not a kind of database that can be opened"),
        ((tmp_path, target), f"there is no database at {tmp_path / 'hormesis.sqlite'}"),
    ):
        code, output = copy(capsys, *arguments)
        assert code == 2 and line in output and output.count("\n") == 1, output
    assert not list(tmp_path.iterdir())
