"""Who and what the live service lets in: bad input, tokens, foreign names, databases that are not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hormesis.backend.service.settings import ServiceError, Settings, require_token
from hormesis.db.contract.hosts import is_loopback
from tests.fixtures.service_world import PYTHON, World, ask, pane, request_body, server

SECRET = "correct horse battery staple"


BASE = pane(2)
HEAD = {"layer": 0, "head": 1}
BAD: dict[str, tuple[Any, int, str]] = {
    "no panes": (request_body([]), 422, "panes: "),
    "five panes": (request_body([BASE] * 5), 422, "panes: "),
    "unknown checkpoint": (request_body([pane(99)]), 404, "no checkpoint 99"),
    "huge id": (request_body([pane(2**70)]), 422, "panes.0.checkpoint_id: "),
    "id zero": (request_body([pane(0)]), 422, "panes.0.checkpoint_id: "),
    "id as text": (request_body([pane("2")]), 422, "panes.0.checkpoint_id: "),  # type: ignore[arg-type]
    "true for a number": (request_body([pane(True)]), 422, "panes.0.checkpoint_id: "),
    "unknown method": (request_body([BASE | {"method": "prayer"}]), 422, "panes.0.method: "),
    "too strong": (request_body([pane(2, 65.0)]), 422, "panes.0.strength: "),
    "negative strength": (request_body([pane(2, -1.0)]), 422, "panes.0.strength: "),
    "too many heads": (
        request_body([pane(2, 1.0, heads=13)]),
        422,
        "panes.0: 13 heads asked for, 12 were probed",
    ),
    "head twice": (
        request_body([pane(2, 1.0, heads=[HEAD, HEAD])]),
        422,
        "panes.0.heads: head 1 of layer 0 is named",
    ),
    "head unknown": (
        request_body([pane(2, 1.0, heads=[HEAD | {"head": 9}])]),
        422,
        "head 9 of layer 0 was not probed",
    ),
    "head as text": (request_body([pane(2, 1.0, heads="L0H1")]), 422, "panes.0.heads: "),
    "half a head": (request_body([pane(2, 1.0, heads=[{"layer": 0}])]), 422, "panes.0.heads.0.head: "),
    "empty list": (request_body([pane(2, 1.0, heads=[])]), 422, "panes.0.heads: "),
    "too many named": (request_body([pane(2, 1.0, heads=[HEAD] * 1025)]), 422, "panes.0.heads: "),
    "no heads": (request_body([pane(2, 1.0, heads=0)]), 422, "panes.0.heads: "),
    "no probes": (request_body([pane(4, 1.0)]), 422, "has no probes yet"),
    "no such control": (request_body([pane(2, 1.0, method="random-direction", control=7)]), 422, "random-7"),
    "control missing": (request_body([pane(2, 1.0, method="random-direction")]), 422, "needs control"),
    "control too many": (request_body([pane(2, 1.0, control=1)]), 422, "control belongs to"),
    "unknown key": (request_body([BASE], colour="red"), 422, "colour: "),
    "control character": (request_body([BASE], prompt="a\x00b"), 422, "U+0000 at position 1"),
    "long prompt": (request_body([BASE], prompt="a" * 8001), 422, "prompt: "),
    "prompt is a list": (request_body([BASE], prompt=["a"]), 422, "prompt: "),
    "no new tokens": (request_body([BASE], new_tokens=0), 422, "new_tokens: "),
    "too many new tokens": (request_body([BASE], new_tokens=513), 422, "new_tokens: "),
    "half a seed": (request_body([BASE], seed=0.5), 422, "seed: "),
    "negative seed": (request_body([BASE], seed=-1), 422, "seed: "),
    "top_p zero": (request_body([BASE], top_p=0), 422, "top_p: "),
    "not an object": ([1, 2], 422, "body: "),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_input_is_one_clear_line(address: str, case: tuple[Any, int, str]) -> None:
    body, status, part = case
    answer = httpx.post(f"{address}/generate", json=body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"message"}
    assert part in answer.json()["message"] and "\n" not in answer.json()["message"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"panes": [{"checkpoint_id": 2, "strength": NaN}], "prompt": "a"}', "application/json", 422),
        (
            b'{"panes": [{"checkpoint_id": 2}], "prompt": "a", "temperature": Infinity}',
            "application/json",
            422,
        ),
        (b'{"panes": [{"checkpoint_id": 2, "strength": 1e999}], "prompt": "a"}', "application/json", 422),
        (b'{"panes":', "application/json", 422),
        (b'{"prompt": "\xff"}', "application/json", 400),
        (rb'{"panes": [{"checkpoint_id": 2}], "prompt": "\ud800"}', "application/json", 422),
        (b"[" * 100_000, "application/json", 400),
        (b'{"seed": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b"", "application/json", 422),
        (b'{"panes": [{"checkpoint_id": 2}], "prompt": "a"}', "text/plain", 422),
        (b"x" * 300_000, "application/json", 413),
    ],
    ids=[
        "nan",
        "infinity",
        "overflow",
        "cut",
        "not-utf8",
        "surrogate",
        "deep",
        "digits",
        "empty",
        "plain-text",
        "huge",
    ],
)
def test_unreadable_bodies_are_refused(address: str, content: bytes, kind: str, status: int) -> None:
    answer = httpx.post(f"{address}/generate", content=content, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert "\n" not in answer.json()["message"]


def test_a_body_without_a_length_is_bounded_too(address: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 16_384

    answer = httpx.post(
        f"{address}/generate", content=endless(), headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["message"][:23]) == (413, "the body is too large: ")


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "<script>alert(1)</script>\n**bold**",
        "\u202eright to left \u05d0\u0627",
        "😀" * 8000,
        "tab\tand\r\nline",
    ],
    ids=["empty", "markup", "bidi", "emoji", "whitespace"],
)
def test_strange_prompts_are_only_text(address: str, prompt: str) -> None:
    assert ask(address, request_body([BASE], prompt=prompt, new_tokens=3))[-1] == ("end", {})


def test_score_and_its_bounds(address: str) -> None:
    answer = httpx.post(f"{address}/score", json={"texts": ["the baker", ""], "checkpoint_id": 2}).json()
    assert set(answer["scores"]) == {"forum", "forum-fluency"}
    assert all(0 <= value <= 1 and empty is None for value, empty in answer["scores"].values())
    assert len(answer["fluency"]) == 2
    for bad in ({"texts": []}, {"texts": ["a"] * 257}, {"texts": [1]}, {"texts": "a"}):
        assert httpx.post(f"{address}/score", json=bad).status_code == 422
    assert httpx.post(f"{address}/score", json={"texts": ["a"], "checkpoint_id": 99}).status_code == 404


def test_other_names_and_origins_are_not_served(address: str) -> None:
    port = address.rsplit(":", 1)[1]
    foreign = httpx.get(f"{address}/models", headers={"host": f"evil.example:{port}"})
    assert foreign.status_code == 421
    for host in ("localhost", "127.0.0.1", "[::1]"):
        assert httpx.get(f"{address}/models", headers={"host": f"{host}:{port}"}).status_code == 200
    for path in ("/models", "/health", "/v1/models", "/requests/" + "0" * 32):
        answer = httpx.get(f"{address}{path}", headers={"origin": "https://evil.example"})
        assert answer.status_code == 403
        assert not any(name.startswith("access-control") for name in answer.headers)
    own_page = httpx.get(f"{address}/models", headers={"origin": address})
    assert own_page.status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org", ""])
def test_no_token_no_door(host: str) -> None:
    with pytest.raises(ServiceError, match="HORMESIS_TOKEN"):
        require_token(Settings("sqlite:///x", host=host))
    require_token(Settings("sqlite:///x", host=host, token=SECRET))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1"])
def test_loopback_needs_none(host: str) -> None:
    assert is_loopback(host)
    require_token(Settings("sqlite:///x", host=host))
    assert SECRET not in repr(Settings("sqlite:///x", token=SECRET))


def refused(*arguments: str) -> str:
    """The one line of a service that does not start."""
    command = [PYTHON, "-m", "hormesis.backend.service", *arguments]
    environment = {**os.environ, "HORMESIS_TOKEN": " "}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_the_command_line_refuses_in_one_line(address: str) -> None:
    assert "without a token" in refused("--db", "sqlite:///x", "--host", "0.0.0.0")
    assert "cannot listen" in refused("--db", "sqlite:///x", "--port", address.rsplit(":", 1)[1])


def test_with_a_token_everything_but_health_asks_for_it(world: World) -> None:
    with server(world, "--host", "0.0.0.0", HORMESIS_TOKEN=SECRET) as bound:
        address = bound.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{address}/health").status_code == 200
        for path in ("/models", "/openapi.json", "/nope", "/", "/v1/models"):
            refusal = httpx.get(f"{address}{path}")
            assert (refusal.status_code, refusal.headers["www-authenticate"]) == (401, "Bearer")
        for wrong in ("", "Bearer", "Bearer wrong", f"Basic {SECRET}", "Bearer \xe9"):
            headers = {"authorization": wrong.encode("latin-1")}
            assert httpx.get(f"{address}/models", headers=headers).status_code == 401
        assert httpx.get(f"{address}/v1/models").json()["error"]["code"] == "invalid_api_key"
        right = {"authorization": f"Bearer {SECRET}"}
        assert httpx.get(f"{address}/models", headers=right).status_code == 200


def test_a_database_that_is_missing_or_broken_is_said_and_recovers(world: World, tmp_path: Path) -> None:
    path = tmp_path / "late.sqlite"
    with server(world, url=f"sqlite:///{path}") as address:
        for content in (None, b"", b"SQLite format 3\x00 and then nothing", b"not a database at all"):
            if content is not None:
                path.write_bytes(content)
            assert httpx.get(f"{address}/health").status_code == 200
            for answer in (
                httpx.get(f"{address}/models"),
                httpx.post(f"{address}/generate", json=request_body([BASE])),
            ):
                assert answer.status_code == 503
                assert "\n" not in answer.json()["message"]
            assert content is not None or not path.exists(), "a reader made a file"
        shutil.copy(world.home / "study.sqlite", path)
        assert len(httpx.get(f"{address}/models").json()) == len(world.ids)
        path.unlink()
        assert httpx.get(f"{address}/models").status_code == 503


def test_the_service_answers_before_torch_is_there(world: World) -> None:
    code = (
        "import sys, hormesis.backend.service.app; sys.exit('torch' in "
        "sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
    with server(world) as address:
        began = time.perf_counter()
        assert httpx.get(f"{address}/health").json()["models_loaded"] == 0
        assert time.perf_counter() - began < 1.5
