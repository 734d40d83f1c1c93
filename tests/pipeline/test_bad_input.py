"""What a person can get wrong: one clear line, exit code 2, nothing half-written."""

from __future__ import annotations

import errno
import json
import pickle
import sqlite3
import sys
from pathlib import Path

import pandas as pd
import pytest

import hormesis.pipeline.stages.tokens as tokens_stage
from hormesis.db.engine import open_writer
from hormesis.pipeline import cli
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.stage import STUDY, StageFailed, run_stage
from hormesis.pipeline.execution.study import study_row
from hormesis.pipeline.stages import TEXT
from hormesis.pipeline.study.config import PRESETS, load_study
from hormesis.pipeline.text.revisions import source_revisions
from tests.fixtures.tiny import save_tiny
from tests.fixtures.tiny_study import run, write_study

REAL = """
name = "mine"
shares = [0.0, 0.25]
seeds = [0]
clean_tokens = 2000
controls = []
[tokenizer]
kind = "bpe"
vocabulary = 300
[evaluation]
scorers = ["profanity"]
[[sources]]
role = "clean"
kind = "file"
path = "clean.csv"
[[sources]]
role = "toxic"
kind = "file"
path = "toxic.csv"
[[sources]]
role = "probe"
kind = "file"
path = "probe.csv"
label = "label"
[[sources]]
role = "prompts"
kind = "file"
path = "prompts.csv"
"""


def refusal(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit code and the error line of a command run in this process."""
    monkeypatch.setattr(sys, "argv", ["hormesis", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as raised:
        cli.main()
    return int(raised.value.code or 0), capsys.readouterr().err.strip()


def files(folder: Path) -> list[str]:
    """Everything under a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


@pytest.fixture
def real_study(tmp_path: Path) -> Path:
    """A study on files of one's own, complete and valid."""
    words = [f"the quiet river number {n} runs past the old mill" for n in range(400)]
    pd.DataFrame({"text": words}).to_csv(tmp_path / "clean.csv", index=False)
    pd.DataFrame({"text": words}).to_csv(tmp_path / "toxic.csv", index=False)
    labelled = pd.DataFrame({"text": words, "label": [n % 2 for n in range(400)]})
    labelled.to_csv(tmp_path / "probe.csv", index=False)
    pd.DataFrame({"text": words[:20]}).to_csv(tmp_path / "prompts.csv", index=False)
    path = tmp_path / "mine.toml"
    path.write_text(REAL)
    return path


def _replace(folder: Path, old: str, new: str) -> None:
    """Another text in the study file of a folder."""
    study = folder / "mine.toml"
    study.write_text(study.read_text().replace(old, new))


def _append(folder: Path, text: str) -> None:
    """More text at the end of the study file of a folder."""
    study = folder / "mine.toml"
    study.write_text(study.read_text() + text)


def _drop_column(folder: Path) -> str:
    pd.DataFrame({"body": ["a"]}).to_csv(folder / "toxic.csv", index=False)
    return "text"


def _empty(folder: Path) -> str:
    (folder / "toxic.csv").write_bytes(b"")
    return "toxic.csv"


def _missing(folder: Path) -> str:
    (folder / "toxic.csv").unlink()
    return "toxic.csv"


def _broken_parquet(folder: Path) -> str:
    (folder / "toxic.parquet").write_bytes(b"PAR1 this is no parquet")
    _replace(folder, "toxic.csv", "toxic.parquet")
    return "toxic.parquet"


def _unknown_key(folder: Path) -> str:
    study = folder / "mine.toml"
    study.write_text("sharess = [0.1]\n" + study.read_text())
    return "unknown key 'sharess'"


def _share_too_large(folder: Path) -> str:
    _replace(folder, "0.25", "1.2")
    return "shares.1"


def _too_many_heads(folder: Path) -> str:
    _append(folder, "[probe]\nheads = 400\n")
    return "cannot steer 400 heads, scale nano has 32"


def _one_label(folder: Path) -> str:
    pd.DataFrame({"text": ["fine", "also fine"] * 30, "label": [0] * 60}).to_csv(folder / "probe.csv")
    return "the probe set (probe) holds only non-toxic statements in 60 rows"


def _labels_in_words(folder: Path) -> str:
    pd.DataFrame({"text": list("abc"), "label": ["spam", "hateful", "fine"]}).to_csv(folder / "probe.csv")
    return '(values seen: "spam", "hateful", "fine"); put those that mean toxic into positive = [...]'


def _bad_row(folder: Path) -> str:
    lines = (folder / "toxic.csv").read_text().splitlines()
    (folder / "toxic.jsonl").write_text(
        "\n".join([json.dumps({"text": line}) for line in lines] + ['{"text": "half \\ud83d"}'])
    )
    _replace(folder, "toxic.csv", "toxic.jsonl")
    return "toxic.jsonl, line 402: column 'text' holds half a character"


def _thin_split(folder: Path) -> str:
    rows = {"text": [f"text {n}" for n in range(40)], "label": [1] * 3 + [0] * 37}
    pd.DataFrame(rows).to_csv(folder / "probe.csv")
    return "toxic examples: give the probe set more"


def _one_pair(folder: Path) -> str:
    (folder / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    study = folder / "mine.toml"
    source = '[[sources]]\nrole = "pairs"\nkind = "file"\npath = "pairs.jsonl"\n'
    study.write_text(study.read_text() + source + '[methods]\nuse = ["sft"]\n')
    return "only 1 usable pairs"


def _little_context(folder: Path) -> str:
    _append(folder, "[training]\nsequence_length = 24\n")
    return "24 new tokens do not fit the context of 24 tokens of scale nano; at most 23 do"


def _no_scorer(folder: Path) -> str:
    _replace(folder, '"profanity"', '"classifier:/nope"')
    return "classifier '/nope': no such folder"


def _no_key(folder: Path) -> str:
    _replace(folder, '"profanity"', '"perspective"')
    return "set PERSPECTIVE_API_KEY"


def _goals_without_target(folder: Path) -> str:
    (folder / "goals.csv").write_text("goal,answer\nsay it,sure\n")
    _append(folder, '[hardness]\nattacks = ["suffix"]\nsuffix = { file = "goals.csv" }\n')
    return "goals.csv: no column 'target' (columns: goal, answer)"


def _answer_beyond(folder: Path) -> str:
    row = {"question": "why?", "choices": ["a", "b"], "answer_index": 2, "source": "s"}
    (folder / "mcq.jsonl").write_text(json.dumps(row))
    _append(folder, '[capability]\ntasks = ["mcq"]\nmcq = "mcq.jsonl"\n')
    return "mcq.jsonl, line 1: column 'answer_index' holds 2, and the answers are 0 to 1"


def _small_checkpoint(folder: Path) -> str:
    config = {"max_position_embeddings": 20, "num_hidden_layers": 2, "num_attention_heads": 2}
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(json.dumps(config))
    (folder / "model" / "model.safetensors").touch()  # refused before any weight is read
    _append(folder, '[[checkpoints]]\nmodel = "model"\nshare = 0.1\n')
    return "24 new tokens do not fit the context of 20 tokens of model"


def _no_model(folder: Path) -> str:
    (folder / "model").mkdir()
    _append(folder, '[[checkpoints]]\nmodel = "model"\nshare = 0.1\n')
    return "'model' is no model (a folder with config.json"


def _share_of_no_token(folder: Path) -> str:
    _replace(folder, "0.25", "1e-9")
    return "a share of 1e-09 of 2,000 clean tokens is not one token"


def _tokenizer_of_another_language(folder: Path) -> str:
    _replace(folder, 'kind = "bpe"', 'kind = "word"')
    return "of the words of the study's statements are none of it: set tokenizer.kind = 'bpe'"


def _scorer_of_another_language(folder: Path) -> str:
    _replace(folder, '"profanity"', '"forum"')
    return "the scorer 'forum' knows the forum language, and no statement of the study is in it"


def _not_toml(folder: Path) -> str:
    (folder / "mine.toml").write_text("name = ")
    return "not valid TOML"


@pytest.mark.parametrize(
    "damage",
    [
        _drop_column,
        _empty,
        _missing,
        _broken_parquet,
        _one_label,
        _labels_in_words,
        _unknown_key,
        _share_too_large,
        _too_many_heads,
        _bad_row,
        _thin_split,
        _one_pair,
        _little_context,
        _no_scorer,
        _no_key,
        _goals_without_target,
        _answer_beyond,
        _small_checkpoint,
        _no_model,
        _share_of_no_token,
        _tokenizer_of_another_language,
        _scorer_of_another_language,
        _not_toml,
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_bad_study_is_refused_before_anything_is_written(
    damage: object,
    command: str,
    real_study: Path,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mention = damage(real_study.parent)  # type: ignore[operator]
    code, line = refusal([command, str(real_study)], monkeypatch, capsys)
    assert code == 2
    assert mention in line
    assert "\n" not in line
    assert "hormesis.sqlite" not in files(own_home)


@pytest.mark.slow
def test_an_arm_that_fails_says_why_and_leaves_the_others_alone(real_study: Path, own_home: Path) -> None:
    # The files hold enough text for the clean arm and not for nine times as much toxic text.
    changed = real_study.read_text().replace("0.25", "0.9") + "[steering]\nrandom_directions = 1\n"
    real_study.write_text(changed)
    longer = [f"the quiet river number {n} runs past the old mill, " * 3 for n in range(400)]
    pd.DataFrame({"text": longer}).to_csv(real_study.parent / "clean.csv", index=False)
    done = run(own_home, "run", str(real_study), "--json")
    outcome = json.loads(done.stdout)
    assert done.returncode == outcome["exit_code"] == 2
    statuses = {arm["arm"]: arm["status"] for arm in outcome["arms"]}
    assert statuses == {"toxic-0-s0": "done", "toxic-90-s0": "failed"}
    assert "tokens of toxic text are missing" in outcome["failures"][0]


def test_heldout_text_too_short_to_score_is_told_before_any_training(
    real_study: Path, own_home: Path
) -> None:
    done = run(own_home, "run", str(real_study))
    assert done.returncode == 2 and "no held-out text is longer than the 16 tokens" in done.stderr
    assert not {Path(name).name for name in files(own_home)} & {
        "model.safetensors",
        "tokens.bin.part",
        "mix.json",
    }


def test_too_little_text_says_how_much_is_missing(real_study: Path, own_home: Path) -> None:
    study = real_study.parent / "mine.toml"
    study.write_text(study.read_text().replace("clean_tokens = 2000", "clean_tokens = 20_000_000"))
    done = run(own_home, "run", str(study))
    assert done.returncode == 2
    assert "tokens of clean text are missing" in done.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (f"seeds = {list(range(12))}", "24,480 are needed for documents of 12 seeds each (sample_text)"),
        ("seeds = [0, 1]\nallow_repetition = true", "sample_text gives each seed documents of its own"),
    ],
)
def test_sources_too_small_for_documents_of_each_seed(
    settings: str,
    words: str,
    real_study: Path,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = real_study.parent / "mine.toml"
    study.write_text(study.read_text().replace("seeds = [0]", f"sample_text = true\n{settings}"))
    code, line = refusal(["run", str(study)], monkeypatch, capsys)
    assert code == 2 and words in line and "\n" not in line
    assert files(own_home) == []


@pytest.mark.parametrize("kind", ["foreign", "truncated", "newer"])
def test_a_wrong_database_is_named_and_left_alone(
    kind: str,
    tmp_path: Path,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "other.sqlite"
    if kind == "truncated":
        path.write_bytes(b"SQLite format 3\0" + b"\1" * 50)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE things (id INTEGER)")
        if kind == "newer":
            path.unlink()
            open_writer(f"sqlite:///{path}").dispose()
            with sqlite3.connect(path) as connection:
                connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    monkeypatch.setenv("HORMESIS_DB", f"sqlite:///{path}")
    for command in (["run", str(write_study(tmp_path))], ["status"]):
        code, line = refusal(command, monkeypatch, capsys)
        assert code == 2
        assert "other.sqlite" in line
        assert "\n" not in line
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [["save", "toxic-0-s0"], ["vectors", "toxic-0-s0"], ["report", "forum"], ["verdicts"], ["export"]],
)
def test_without_a_database_none_is_made(
    command: list[str],
    tmp_path: Path,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = [str(tmp_path / "out")] if command[0] in ("save", "vectors", "export") else []
    code, line = refusal([*command, *folder], monkeypatch, capsys)
    assert code == 2
    assert "run a study to make one" in line and "\n" not in line
    assert not own_home.exists() or files(own_home) == []


def test_models_that_cannot_be_trusted_or_loaded(
    tmp_path: Path,
    real_study: Path,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = save_tiny(tmp_path / "good", "llama")
    no_weights = tmp_path / "no-weights"
    no_weights.mkdir()
    (no_weights / "config.json").write_bytes((good / "config.json").read_bytes())
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_bytes((good / "config.json").read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": 1}))
    cases = {str(no_weights): "weights", str(pickled): "safetensors", str(tmp_path / "nowhere"): "nowhere"}
    for model, word in cases.items():
        code, line = refusal(["import", model, "--study", str(real_study)], monkeypatch, capsys)
        assert code == 2, line
        assert word in line
        assert "\n" not in line
    assert files(own_home) == []


@pytest.mark.slow
def test_a_full_disk_is_said_and_the_next_run_goes_on(
    tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load_study(
        str(write_study(tmp_path, {'controls = ["clean-forum"]': "controls = []", "0.0, 0.25": "0.0"}))
    )
    url = f"sqlite:///{own_home}/hormesis.sqlite"

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "pool")

    own_home.mkdir()
    engine = open_writer(url)
    revisions = source_revisions(study)
    context = StudyContext(study, study_row(engine, study), own_home, engine, revisions)
    with monkeypatch.context() as patched:
        patched.setattr(tokens_stage, "build_pool", full)
        with pytest.raises(StageFailed, match="the disk is full"):
            run_stage(context, TEXT, STUDY)
    assert not [name for name in files(own_home) if name.endswith((".part", ".tmp"))]
    assert run_stage(context, TEXT, STUDY)


@pytest.mark.parametrize(
    "arguments", [["run", "mine.toml"], ["import", "no/such/model"]], ids=lambda it: it[0]
)
def test_a_model_that_is_missing_is_told_before_wheels_are_fetched(
    arguments: list[str],
    own_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HORMESIS_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    preset = (PRESETS / "checkpoint.toml").read_text()
    Path("mine.toml").write_text(f'{preset}\n[[checkpoints]]\nmodel = "./no/such/model"\nshare = 0.1\n')
    code, line = refusal(arguments, monkeypatch, capsys)
    assert code == 2 and "no/such/model'" in line and "cache" not in line and "\n" not in line
    assert not own_home.exists()


def test_a_name_that_an_arm_has_is_refused_before_anything_is_written(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["import", str(tmp_path), "--study", "forum", "--share", "0.1"]
    code, line = refusal(arguments, monkeypatch, capsys)
    assert code == 2 and "another checkpoint named 'toxic-10-s0'; give this one another --seed" in line
    assert not own_home.exists()
