"""The log-in before the pages: who is let in, what the cookie says, where a log-in leads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from typing import Any

import itsdangerous.timed
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from hormesis.dashboard.access import guard
from hormesis.dashboard.access.audience import Audience
from hormesis.dashboard.access.guard import COOKIE, COOKIE_SECONDS, MAX_FORM_BYTES, MOST_WRONG, Guard
from hormesis.db.contract.tokens import TOKEN_VARIABLE

TOKEN = "correct horse battery staple"
TEAM = Audience("127.0.0.1", ("testserver",), "/hormesis")
ALONE = Audience("127.0.0.1")
PAGE = "/hormesis/tradeoffs?study=a%20b"
HEALTH = "/hormesis/_stcore/health"


async def _stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def _text(request: Request) -> PlainTextResponse:
    return PlainTextResponse("a page")


def guarded(audience: Audience) -> TestClient:
    routes = [WebSocketRoute("/{path:path}", _stream), Route("/{path:path}", _text, methods=["GET", "POST"])]
    return TestClient(Guard(Starlette(routes=routes), audience=audience), follow_redirects=False)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    return guarded(TEAM)


def is_streamed(client: TestClient, **headers: str) -> bool:
    try:
        with client.websocket_connect("/hormesis/_stcore/stream", headers=headers) as socket:
            assert socket.receive()["type"] == "websocket.close"
    except WebSocketDisconnect as error:
        assert error.code == 1008
        return False
    return True


def test_nothing_is_served_without_the_cookie(client: TestClient) -> None:
    for path in (PAGE, "/", "/hormesis/static/x.js", "/hormesis/media/x", "/_stcore/health", HEALTH + "/x"):
        answer = client.get(path)
        assert answer.status_code == 401 and "Token" in answer.text and "a page" not in answer.text
        assert answer.headers["cache-control"] == "no-store" and "set-cookie" not in answer.headers
    assert client.put("/hormesis/_stcore/upload_file/a/b").status_code == 401
    assert not is_streamed(client)
    assert client.get(HEALTH).text == "a page"


def test_a_log_in_leads_to_the_page_first_asked_for(client: TestClient) -> None:
    answer = client.post(PAGE, data={"token": f" {TOKEN} "})
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert (cookie["path"], cookie["samesite"]) == ("/hormesis", "lax")
    assert cookie["httponly"] and not cookie["secure"] and int(cookie["max-age"]) == COOKIE_SECONDS
    assert TOKEN not in str(answer.headers)
    assert client.get(PAGE).text == client.post(PAGE).text == "a page" and is_streamed(client)
    proxied = guarded(TEAM).post(PAGE, data={"token": TOKEN}, headers={"x-forwarded-proto": "https"})
    assert SimpleCookie(proxied.headers["set-cookie"])[COOKIE]["secure"]


@pytest.mark.parametrize("seconds", [COOKIE_SECONDS - 9, COOKIE_SECONDS + 9])
def test_a_cookie_holds_for_its_time(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    client.post(PAGE, data={"token": TOKEN})
    later = time.time() + seconds
    monkeypatch.setattr(itsdangerous.timed.time, "time", lambda: later)
    assert (client.get(PAGE).status_code == 200) is (seconds < COOKIE_SECONDS)


def test_a_cookie_of_another_token_or_changed_is_none(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post(PAGE, data={"token": TOKEN})
    cookie = client.cookies[COOKIE]
    text, stamp, signature = cookie.split(".")
    for wrong in ("", "viewer", TOKEN, f"{text}.{stamp}", f"{text}.zzzzzz.{signature}", f"{text}é.{stamp}.x"):
        headers = {"cookie": f"{COOKIE}={wrong}".encode()}
        assert guarded(TEAM).get(PAGE, headers=headers).status_code == 401, wrong  # type: ignore[arg-type]
    assert guarded(TEAM).get(PAGE, headers={"cookie": f"{COOKIE}={cookie}"}).status_code == 200
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN[::-1])
    assert guarded(TEAM).get(PAGE, headers={"cookie": f"{COOKIE}={cookie}"}).status_code == 401


@pytest.mark.parametrize(
    ("base_path", "path", "location"),
    [
        ("", "/", "/"),
        ("", "//evil.example/x", "/evil.example/x"),
        ("", "/\\evil.example", "/%5Cevil.example"),
        ("", "/%2F/evil.example?next=//evil.example", "/%2F/evil.example?next=//evil.example"),
        ("", "/x%0d%0aset-cookie:%20a=b", "/x%0d%0aset-cookie:%20a=b"),
        ("/hormesis", "//evil.example/hormesis/", "/hormesis/"),
        ("/hormesis", "/hormesisx", "/hormesis/"),
        ("/hormesis", "/hormesis", "/hormesis"),
    ],
)
def test_a_log_in_leads_to_no_other_site(
    client: TestClient, base_path: str, path: str, location: str
) -> None:
    shared = guarded(Audience("0.0.0.0", base_path=base_path))
    answer = shared.post(f"http://testserver{path}", data={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"].lower()) == (303, location.lower())


def test_a_wrong_token_is_said_in_a_line_and_many_in_a_minute_are_not_read(client: TestClient) -> None:
    forms = [{"token": ""}, {"token": TOKEN[:-1]}, {"token": "ü"}, {"other": TOKEN}, {}]
    forms += [{"token": TOKEN, "more": "x" * MAX_FORM_BYTES}] * (MOST_WRONG - len(forms))
    for form in forms:
        answer = client.post(PAGE, data=form)
        assert answer.status_code == 401 and "This is not the token of this dashboard." in answer.text
    answer = client.post(PAGE, data={"token": TOKEN})
    assert answer.status_code == 429 and "wait a minute" in answer.text and not client.cookies


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded", "Via"])
def test_a_proxy_that_was_not_named_is_refused(header: str) -> None:
    client = guarded(ALONE)
    assert client.get(PAGE).text == "a page" and is_streamed(client)
    answer = client.get(PAGE, headers={header: "192.0.2.1"})
    assert answer.status_code == 403 and "--allow" in answer.text and "--base-path" in answer.text
    assert not is_streamed(client, **{header: ""})


@pytest.mark.parametrize(("token", "part"), [("", "[auth]"), ("short", "has 5 characters and needs 16")])
def test_others_get_nothing_where_no_log_in_is_set_up(
    monkeypatch: pytest.MonkeyPatch, token: str, part: str
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    client = guarded(TEAM)
    for answer in (client.get(PAGE), client.post(PAGE, data={"token": token})):
        assert answer.status_code == 403 and TOKEN_VARIABLE in answer.text and part in answer.text
    assert not is_streamed(client)


@pytest.mark.parametrize("event", [None, {"type": "http.disconnect"}], ids=["never sent", "cut"])
def test_a_form_that_never_comes_to_its_end_is_given_up(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, event: dict[str, str] | None
) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.05)
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        if event is None:
            await asyncio.Event().wait()
        return event or {}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/hormesis/", "headers": [], "query_string": b""}
    with ThreadPoolExecutor(1) as pool:  # a browser's test may have left a loop in this thread
        pool.submit(asyncio.run, client.app(scope, receive, send)).result()  # type: ignore[arg-type]
    assert sent[0]["status"] == 401
