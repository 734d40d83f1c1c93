"""The command `hormesis serve` as a process: what it prints, who may ask, how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from hormesis.pipeline.commands.serve import _welcome
from tests.fixtures.service_world import World

COMMAND = [sys.executable, "-m", "hormesis.pipeline.cli", "serve"]
LAST = "Ctrl-C ends it"


def environment(world: World) -> dict[str, str]:
    return {**os.environ, "HORMESIS_HOME": str(world.home), "HORMESIS_DB": "", "HORMESIS_TOKEN": ""}


@contextmanager
def serving(world: World, *arguments: str) -> Iterator[tuple[list[str], subprocess.Popen[str]]]:
    """The command on a free port; gives the lines it prints at the start."""
    command = [*COMMAND, "--db", str(world.home / "study.sqlite"), "--port", "0", *arguments]
    variables = environment(world)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables) as process:
        try:
            assert process.stderr is not None
            lines: list[str] = []
            while LAST not in lines:
                line = process.stderr.readline()
                assert line, lines
                lines.append(line.rstrip("\n"))
            yield lines, process
        finally:
            process.kill()


def refusal(world: World, *arguments: str) -> str:
    """The one line of a command that does not serve."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(world),
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr


def test_it_says_where_and_how_asks_for_its_token_and_ends_with_one_line(world: World) -> None:
    with serving(world, "--host", "0.0.0.0") as (lines, process):
        port = re.fullmatch(r"model service on http://0\.0\.0\.0:(\d+): 16 models by name", lines[0])
        assert port is not None
        token = lines[1].removeprefix("token (HORMESIS_TOKEN): ")
        address = lines[2].removeprefix("endpoints: ")
        assert len(token) == 32 and address == f"http://127.0.0.1:{port[1]}/"
        assert httpx.get(address).status_code == 401
        assert httpx.get(address, headers={"authorization": f"Bearer {token}"}).status_code == 200
        answer = subprocess.run(
            ["bash", "-c", lines[3].removeprefix("try: ")],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "HORMESIS_TOKEN": token},
            check=True,
        ).stdout
        model = re.search(r"forum/dose-\d+:[\w/.+-]+", lines[3])
        assert model and f'"model":"{model[0]}"' in answer and '"finish_reason":"' in answer
        line = f"hormesis: cannot listen on 127.0.0.1 port {port[1]}: Address already in use\n"
        assert refusal(world, "--port", port[1], "--db", world.url) == line
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read() == "stopped\n"
        assert process.wait(20) == 0


def test_a_database_that_is_not_there_is_refused(world: World) -> None:
    assert "nowhere.sqlite" in refusal(world, "--db", "nowhere.sqlite")


def test_no_token_is_spoken_of_where_none_is_asked_for() -> None:
    lines = _welcome("http://127.0.0.1:8600", ["a/b", "a/b:iti+0.06"], "")
    assert lines[:2] == [
        "model service on http://127.0.0.1:8600: 2 models by name",
        "endpoints: http://127.0.0.1:8600/",
    ]
    assert lines[2].endswith("""-d '{"model": "a/b:iti+0.06", "prompt": "zorbs are", "max_tokens": 24}'""")
    assert "oken" not in "".join(lines).replace("max_tokens", "")
