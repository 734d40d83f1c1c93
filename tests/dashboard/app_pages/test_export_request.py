"""Copies of a run: the Python program and the curl line run as they stand and say what the page said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from hormesis.dashboard.app_pages.steer.client import Event, parse_events
from hormesis.dashboard.app_pages.steer.export_request import curl, python
from hormesis.dashboard.app_pages.steer.run import LiveRun
from hormesis.db.contract.messages import GenerateRequest, HeadPlace, Pane
from hormesis.db.contract.tokens import SERVICE_TOKEN
from tests.fixtures.service_world import MEASURED, World, server

SECRET = "correct horse battery staple"
HOSTILE = "it's \"quoted\" $HOME `id` \\n <b> \u202eabc \u05d0 😀 'end'\ttab"


def request_of(world: World, prompt: str) -> GenerateRequest:
    """Three panes that together use every field of a pane."""
    number = world.ids["dose-10"]
    heads = [HeadPlace(layer=0, head=1), HeadPlace(layer=2, head=3)]
    steered = {"method": "iti", "strength": MEASURED, "heads": heads, "direction": "probe", "scope": "all"}
    at_random = {"method": "random-direction", "strength": 1.5, "heads": 3, "control": 1}
    return GenerateRequest(
        panes=[Pane(checkpoint_id=number, **values) for values in ({}, steered, at_random)],
        prompt=prompt,
        new_tokens=12,
        seed=5,
    )


def on_the_page(address: str, request: GenerateRequest) -> list[str]:
    """What the page's own client got."""
    run = LiveRun(address, request).start()
    run.join(60)
    state = run.snapshot()
    assert state.status == "done", state.error
    return [pane.texts[0].text for pane in state.panes]


def run_program(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"PYTHONIOENCODING": "utf-8", **environment}
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, encoding="utf-8", timeout=120, check=False, env={**os.environ, **variables},
    )  # fmt: skip


def run_curl(line: str, **environment: str) -> list[Event]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    done = subprocess.run(
        ["bash", "-c", line + " -sS"],
        capture_output=True, encoding="utf-8", timeout=120, check=True, env={**os.environ, **environment},
    )  # fmt: skip
    return list(parse_events(done.stdout.splitlines()))


@pytest.mark.parametrize(
    "prompt", ["the baker sells", HOSTILE, "two\nlines"], ids=["plain", "hostile", "lines"]
)
def test_both_copies_run_and_give_the_same_texts(world: World, address: str, prompt: str) -> None:
    request = request_of(world, prompt)
    texts, body = on_the_page(address, request), request.model_dump()
    done = run_program(python(address, body, token=False))
    assert done.returncode == 0, done.stderr
    place = 0
    for number, text in enumerate(texts):
        place = done.stdout.index(f"pane {number} text 0 {{'forum':", place)
        assert done.stdout.startswith(text + "\n", done.stdout.index("\n", place) + 1)
    streamed: dict[int, Any] = {
        event.data["pane"]: event.data["text"]
        for event in run_curl(curl(address, body, token=False))
        if event.name == "done"
    }
    assert [streamed[number] for number in range(3)] == texts
    # JSON as it is copied is the request itself.
    assert json.loads(json.dumps(body, indent=2)) == body


def test_copies_name_the_token_and_never_hold_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVICE_TOKEN, SECRET)
    request = request_of(world, "the baker sells")
    with server(world, HORMESIS_TOKEN=SECRET) as url:
        texts, body = on_the_page(url, request), request.model_dump()
        program, line = python(url, body, token=True), curl(url, body, token=True)
        assert SECRET not in program and SECRET not in line
        done = run_program(program, **{SERVICE_TOKEN: SECRET})
        assert done.returncode == 0, done.stderr
        assert all(text in done.stdout for text in texts)
        assert [event.name for event in run_curl(line, **{SERVICE_TOKEN: SECRET})][-1] == "end"
        wrong = run_program(program, **{SERVICE_TOKEN: "another"})
        assert wrong.returncode == 1 and "bearer token" in wrong.stderr


def test_a_refused_request_says_why(world: World, address: str) -> None:
    body = request_of(world, "bell").model_dump() | {"prompt": "bell \x07"}
    done = run_program(python(address, body, token=False))
    assert done.returncode == 1 and "control character U+0007" in done.stderr
    assert "Traceback" not in done.stderr
