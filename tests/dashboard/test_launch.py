"""The launcher as a process: opens, runs a page, ends when told to and with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from hormesis.dashboard.launch import HEAD_START, free_port, wait_until_open
from hormesis.db.engine import open_reader
from hormesis.pipeline.commands import dashboard
from tests.fixtures.database_files import snapshot
from tests.fixtures.shared_worlds import copy_database
from tests.fixtures.tiny_study import command, run
from tests.fixtures.viewer import viewing

pytestmark = pytest.mark.slow
PATIENCE = 120.0


@pytest.fixture(scope="module")
def database(tiny_database: Path) -> str:
    return f"sqlite:///{tiny_database}"


@contextmanager
def launched(database: str, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port("127.0.0.1", 0)
    command = [
        sys.executable,
        "-m",
        "hormesis.dashboard.launch",
        "--db",
        database,
        "--port",
        str(port),
        *options,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HORMESIS_")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def becomes_true(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_it_prints_its_address_draws_a_page_and_ends_when_told_to(database: str) -> None:
    with launched(database, "--no-service") as (process, url):
        wait_until_open(url, process, PATIENCE)
        assert process.stdout is not None
        assert process.stdout.readline().decode().strip() == f"dashboard on {url}"

        async def look() -> int:
            async with viewing(url) as viewer:
                run = await viewer.open("", seconds=PATIENCE)
                assert not run.errors
                process.send_signal(signal.SIGTERM)
                return len(run.charts)

        # In a thread of its own: a browser test of the same worker may keep an event loop in this one.
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(lambda: asyncio.run(look())).result() >= 1
        assert process.wait(timeout=PATIENCE) == 0


def test_it_starts_a_service_and_ends_with_its_parent(database: str) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent,
        launched(database, "--parent", str(parent.pid)) as (process, url),
    ):
        wait_until_open(url, process, PATIENCE)
        launcher = psutil.Process(process.pid)
        assert becomes_true(
            lambda: any("hormesis.backend.service" in child.cmdline() for child in launcher.children())
        )
        children = launcher.children(recursive=True)
        parent.kill()
        parent.wait()
        assert process.wait(timeout=PATIENCE) == 0
        assert becomes_true(lambda: not any(child.is_running() for child in children))


def test_what_cannot_be_served_is_said_in_a_line(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "hormesis.dashboard.launch",
        "--db",
        f"sqlite:///{tmp_path / 'a.sqlite'}",
    ]
    command += ["--port", "99999"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert done.stderr.strip() == "port 99999 is outside 0 to 65535"


def test_a_study_does_not_wait_for_a_dashboard_that_ended(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "LOADING_S", PATIENCE)
    begin = time.monotonic()
    with dashboard.dashboard_process(database, port=99_999, service=None, browser=False) as process:
        assert not process.wait_until_loaded()
        assert process.wait_for_end() == 2
    assert time.monotonic() - begin < PATIENCE


def test_a_file_is_opened_to_be_read_while_others_read_it(tiny_database: Path, tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    copy_database(tiny_database, path)
    before, port = snapshot(tmp_path), free_port("127.0.0.1", 0)
    with open_reader(f"sqlite:///{path}").connect() as reader:
        reader.execute(text("SELECT count(*) FROM generation"))
        process = subprocess.Popen(command("dashboard", str(path), "--no-browser", "--port", str(port)))
        try:
            wait_until_open(f"http://127.0.0.1:{port}", process, PATIENCE)
            time.sleep(HEAD_START + 1)
            lines = [child.cmdline() for child in psutil.Process(process.pid).children(recursive=True)]
            assert sum("--read-only" in line and "--no-service" in line for line in lines) == 1
            assert not any("hormesis.backend.service" in line for line in lines)
            assert snapshot(tmp_path) == before
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=PATIENCE) == 0


def test_a_file_that_cannot_be_read_is_said_in_a_line(tmp_path: Path) -> None:
    done = run(tmp_path, "dashboard", str(tmp_path / "gone.sqlite"))
    assert done.returncode == 2 and "there is no database at" in done.stderr and done.stderr.count("\n") == 1
