"""The one way to a database: a command opens what stands in an address, or says why not in one line."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import make_url

from hormesis.backend.service import __main__ as service
from hormesis.dashboard import launch
from hormesis.dashboard.running.service_process import ServiceProcess
from hormesis.db.address import sqlite_path
from hormesis.db.database_status import describe
from hormesis.db.engine import DatabaseProblem, open_reader, open_writer
from hormesis.db.location import database_url
from hormesis.pipeline import cli
from hormesis.pipeline.commands.dashboard import dashboard_process
from hormesis.pipeline.commands.report import write_report
from tests.structure import LAYERS, modules

DOORS = {"db/engine.py", "db/database_status.py", "db/problems.py", "db/migrate.py", "db/copy/database.py"}
OPENERS = {"create_engine", "make_url", "create_async_engine"}
BAD = {
    "postgres://someone:secret@h/d": "or postgresql://",
    "mysql://someone:secret@h/d": "is not a kind of database",
    "oracle+nothing://x": "is not a kind of database",
    "sqlite+nothing:///x.db": "is not a kind of database",
    "http://x/y": "is not a kind of database",
    "postgresql://someone:secret@h:notaport/d": "is not a database URL",
    "://": "is not a database URL",
    "postgresql:/someone:secret@h/d": "is not a database URL",
    "postgresql://someone:a@secret:w/rd@h/d": "is not a database URL",
    "sqlite://rel.db": "with three slashes",
    "sqlite://": "in memory",
    "sqlite:///:memory:": "in memory",
    "sqlite:///x.db?mode=ro": "%3F",
}
COMMANDS = (
    ["status"], ["upgrade"], ["verdicts"], ["export", "{}/out"], ["serve"],
    ["copy", "sqlite://rel.db", "{}/other.sqlite"],
    ["demo", "--no-browser", "--no-wait"], ["dashboard", "sqlite://rel.db"], ["plan", "forum"],
    *(
        pytest.param(words, marks=pytest.mark.slow)
        for words in (
            ["run", "forum"], ["report", "forum"], ["toy"], ["save", "a", "{}/out"], ["import", "x"],
            ["vectors", "a", "{}/out"],
        )
    ),
)  # fmt: skip


@pytest.mark.parametrize("url", BAD)
def test_an_address_that_cannot_be_opened_is_one_sentence(url: str) -> None:
    for opening in (open_reader, open_writer):
        with pytest.raises(DatabaseProblem, match=BAD[url]) as caught:
            opening(url)
        assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
    assert describe(url) == str(caught.value)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_every_command_says_it_in_a_line_and_ends_with_2(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HORMESIS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HORMESIS_DB", "sqlite://rel.db")
    monkeypatch.setattr(sys, "argv", ["hormesis", *(word.format(tmp_path) for word in words)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    lines = capfd.readouterr().err.splitlines()
    assert caught.value.code == 2 and len(lines) == 1 and "with three slashes" in lines[0], lines
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("main", [service.main, launch.main], ids=["service", "dashboard"])
def test_both_servers_do_so_too(
    main: Callable[[list[str]], int], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert main(["--db", "sqlite://rel.db", "--port", "0"]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and "with three slashes" in lines[0]


STARTERS: dict[str, Callable[[str], object]] = {
    "pages": lambda url: launch.serve(url, None, 0),
    "dashboard": lambda url: dashboard_process(url, port=0, service=None, browser=False),
    "service": lambda url: ServiceProcess(url, 0).begin(),
    "report": lambda _: write_report("forum", None),
}


@pytest.mark.parametrize("starter", STARTERS)
def test_no_command_line_of_a_child_shows_a_password(starter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url, started = "postgresql://someone:secret@h/d", []

    def start(command: list[str], env: dict[str, str], **_: object) -> SimpleNamespace:
        started.append((" ".join(command), env["HORMESIS_DB"]))
        return SimpleNamespace(pid=2**30, returncode=0, stdout="report.html")

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(subprocess, "run", start)
    monkeypatch.setenv("HORMESIS_DB", url)
    STARTERS[starter](url)
    ((command, database),) = started
    assert "secret" not in command and "hormesis" in command and database == url


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%41b", "a b", "é", "a&b=c", "a;b", "[a]", "a@b"])
def test_a_home_of_any_name_has_its_own_database(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HORMESIS_DB", raising=False)
    monkeypatch.setenv("HORMESIS_HOME", str(tmp_path / name))
    assert sqlite_path(make_url(database_url())) == tmp_path / name / "hormesis.sqlite"
    open_writer(database_url()).dispose()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    open_reader(database_url()).dispose()


def test_databases_are_opened_in_db_alone_and_no_address_is_pasted() -> None:
    for module in modules():
        if module.path.parts[0] not in LAYERS:
            continue
        for node in ast.walk(module.tree):
            where = f"{module.path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.List):
                words = [part.value for part in node.elts if isinstance(part, ast.Constant)]
                assert "--db" not in words, f"{where}: use with_database"
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
                assert "sqlite:/" not in text or "write sqlite:///" in text, f"{where}: use sqlite_url"
            if isinstance(node, ast.Call) and str(module.path) not in DOORS:
                name = ast.unparse(node.func).rpartition(".")
                assert name[2] not in OPENERS and name[0] != "sqlite3", (
                    f"{where}: use open_reader, open_writer"
                )
