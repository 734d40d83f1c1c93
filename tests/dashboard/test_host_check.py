"""Who the dashboard answers: a foreign name and a page of another site, over HTTP and WebSocket, are refused.

Every way of starting it is a process of its local; the WebSocket client is a real one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from streamlit.testing.v1 import AppTest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from hormesis.dashboard.launch import APP, free_port
from hormesis.db.contract.hosts import Hosts, host_name, server_url
from hormesis.db.contract.tokens import TOKEN_VARIABLE

EVIL = "evil.example"
TOKEN = "correct horse battery staple"
PATIENCE = 60.0
WAYS = {
    "streamlit": ["streamlit", "run", str(APP), "--server.headless", "true", "--server.port", "{port}"],
    "launcher": ["hormesis.dashboard.launch", "--no-service", "--port", "{port}"],
    "launcher on every address": [
        "hormesis.dashboard.launch",
        "--no-service",
        "--host",
        "0.0.0.0",
        "--port",
        "{port}",
    ],
    "ASGI server": ["uvicorn", "hormesis.dashboard.app:app", "--port", "{port}"],
}
SLOW = [pytest.param(way, marks=pytest.mark.slow) for way in WAYS if way != "streamlit"]


@contextmanager
def dashboard(way: str, folder: Path) -> Iterator[tuple[int, Path]]:
    """The port of a dashboard started this way, once it answers, and its log."""
    port, log = free_port("127.0.0.1", 0), folder / "log"
    command = [sys.executable, "-m", *(word.format(port=port) for word in WAYS[way])]
    environment = os.environ | {"HORMESIS_DB": f"sqlite:///{folder / 'none.sqlite'}", TOKEN_VARIABLE: TOKEN}
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
        try:
            wait_for(port, process, log)
            yield port, log
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            assert httpx.get(f"http://127.0.0.1:{port}/_stcore/health").status_code == 200
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())


def handshake(port: int, host: str, origin: str | None, cookie: str = "") -> int:
    """The status of a WebSocket handshake with these headers: 101 where it is upgraded."""

    headers = {"Cookie": cookie} | ({} if origin is None else {"Origin": origin})
    try:
        with connect(
            f"ws://{host}/_stcore/stream", sock=socket.create_connection(("127.0.0.1", port)),
            additional_headers=headers, subprotocols=["streamlit"],  # type: ignore[list-item]
        ):  # fmt: skip
            return 101
    except InvalidStatus as error:
        return error.response.status_code


@pytest.mark.parametrize("way", ["streamlit", *SLOW])
def test_only_its_own_names_and_pages_are_answered(way: str, tmp_path: Path) -> None:
    with dashboard(way, tmp_path) as (port, log):
        local = f"localhost:{port}"
        # Empty where no log-in is needed.
        cookie = httpx.post(f"http://{local}/", data={"token": TOKEN}).headers.get("set-cookie", "")
        assert bool(cookie) is (way == "launcher on every address")
        # A foreign name pointed here (DNS rebinding), as the browser sends it.
        assert handshake(port, f"{EVIL}:{port}", f"http://{EVIL}:{port}") == 403
        assert handshake(port, EVIL, None) == 403
        # A page of another site, of another port of this machine, and one in a sandbox.
        for origin in (f"https://{EVIL}", f"http://localhost:{port + 1}", "null", f"http://{local}.{EVIL}"):
            assert handshake(port, local, origin) == 403
        for name in (local, f"127.0.0.1:{port}"):
            assert handshake(port, name, f"http://{name}", cookie) == 101
        assert handshake(port, local, None, cookie) == 101

        def status(method: str = "GET", path: str = "/", **headers: str) -> int:
            headers = {"host": local, "cookie": cookie} | headers
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            return httpx.request(method, f"http://127.0.0.1:{port}{path}", headers=headers).status_code

        for path in ("/", "/_stcore/health", "/_stcore/host-config", "/static/nothing.js", "/media/x"):
            assert status(path=path, host=EVIL) == 421
            assert status(path=path, origin=f"https://{EVIL}") == 403
            assert status(path=path, sec_fetch_site="cross-site", sec_fetch_mode="no-cors") == 403
        assert status("PUT", "/_stcore/upload_file/a/b", origin=f"https://{EVIL}") == 403
        assert status("POST", origin=f"https://{EVIL}", sec_fetch_mode="navigate") == 403
        # A link on another site leads here; a frame there does not.
        assert status(sec_fetch_site="cross-site", sec_fetch_mode="navigate") == 200
        page = httpx.get(f"http://{local}/", headers={"cookie": cookie})
        assert page.status_code == 200 and "frame-ancestors 'self'" in page.headers["content-security-policy"]
    assert "external IP" not in log.read_text()


def test_a_page_that_is_started_by_itself_starts_nothing(own_home: Path) -> None:
    page = AppTest.from_file(str(APP.parent / "app_pages" / "runs" / "page.py"), default_timeout=60).run()
    assert not page.exception and "started by itself" in page.info[0].value


@pytest.mark.parametrize(
    ("hosts", "answered", "refused"),
    [
        (
            Hosts("127.0.0.1", machine="box"),
            ["localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1"],
            ["", "box", EVIL, "localhost.evil.example", "192.0.2.1", "127.0.0.1.nip.example", "0.0.0.0"],
        ),
        (
            Hosts("0.0.0.0", machine="box"),
            ["localhost", "box", "192.0.2.1", "2001:db8::1"],
            ["", EVIL, "box.evil.example", "192.0.2.1.evil.example"],
        ),
        (Hosts("192.0.2.1"), ["192.0.2.1"], ["localhost", "127.0.0.1", EVIL]),
        (
            Hosts("127.0.0.1", also=("*.lab.example", "proxy.example")),
            ["a.lab.example", "proxy.example", "localhost"],
            ["lab.example.evil", "lab.example", "evil-proxy.example"],
        ),
    ],
)
def test_names_a_server_answers_to(hosts: Hosts, answered: list[str], refused: list[str]) -> None:
    assert [name for name in answered if not hosts.answers_to(name)] == []
    assert [name for name in refused if hosts.answers_to(name)] == []


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost:8501", "localhost"), ("localhost", "localhost"), ("[::1]:8501", "::1"), ("[::1]", "::1"),
        ("::1", ""), ("localhost:x", ""), ("localhost:99999", ""), ("[localhost]:1", ""), ("", ""),
        ("localhost@evil.example", "localhost@evil.example"), ("[::1]evil:1", ""),
    ],
)  # fmt: skip
def test_a_host_header_is_read_strictly(header: str, name: str) -> None:
    assert host_name(header) == name


def test_two_host_headers_and_a_connection_from_outside_are_refused() -> None:
    local = (b"host", b"localhost")
    hosts = Hosts("127.0.0.1")
    assert hosts.refusal({"headers": [local], "server": ("127.0.0.1", 1)}) is None
    for scope in (
        {"headers": [local, local]},
        {"headers": []},
        {"headers": [local], "server": ("192.0.2.1", 1)},
    ):
        refusal = hosts.refusal(scope)
        assert refusal is not None and refusal.status == 421
    proxied = Hosts("127.0.0.1", also=("proxy.example",))
    assert proxied.refusal({"headers": [local, (b"origin", b"https://proxy.example")]}) is None


def test_addresses_are_written_with_their_brackets() -> None:
    assert server_url("::1", 8501) == "http://[::1]:8501"
    assert server_url("127.0.0.1", 8501) == "http://127.0.0.1:8501"
