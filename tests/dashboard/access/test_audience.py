"""Whom a dashboard is served to, what starting it so needs, and the log-in that pages ask for themselves."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from hormesis.dashboard.access import oidc
from hormesis.dashboard.access.audience import AccessProblem, Audience, base_path_of, log_in_of, names_of
from hormesis.dashboard.launch import APP
from tests.fixtures.pages import words
from tests.fixtures.tiny_study import command, environment, run

SECRETS = """
[auth]
redirect_uri = "https://lab.example/hormesis/oauth2callback"
cookie_secret = "a secret of the test"
client_id = "hormesis"
client_secret = "another"
server_metadata_url = "https://provider.example/.well-known/openid-configuration"
"""


@pytest.mark.parametrize(
    ("audience", "is_shared"),
    [
        (Audience("127.0.0.1"), False),
        (Audience("::1"), False),
        (Audience("0.0.0.0"), True),
        (Audience(""), True),
        (Audience("192.0.2.1"), True),
        (Audience("127.0.0.1", ("lab.example",)), True),
        (Audience("127.0.0.1", base_path="/hormesis"), True),
    ],
)
def test_others_are_served_past_this_machine_or_by_a_proxy(
    audience: Audience, is_shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert audience.is_shared is is_shared
    monkeypatch.setenv("HORMESIS_TOKEN", "sixteen letters.")
    assert log_in_of(audience) == ("token" if is_shared else "none")
    monkeypatch.delenv("HORMESIS_TOKEN")
    if is_shared:
        with pytest.raises(AccessProblem, match=r"HORMESIS_TOKEN, or \[auth\]"):
            log_in_of(audience)


def test_names_and_paths_are_read_strictly() -> None:
    assert names_of(["lab.example", "*.lab.example", "*"]) == ("lab.example", "*.lab.example", "*")
    assert [base_path_of(text) for text in (None, "hormesis", "/a/b-1/")] == ["", "/hormesis", "/a/b-1"]
    for name in ("https://lab.example", "lab.example:80", "lab.example/x", "a,b", "a b", ""):
        with pytest.raises(AccessProblem, match="--allow takes"):
            names_of([name])
    for text in ("", "/", "/a//b", "/..", "/.hidden", "/a b", "/é", "https://lab.example/x", "/a?b"):
        with pytest.raises(AccessProblem, match="--base-path takes"):
            base_path_of(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--host", "0.0.0.0"], "pages served on 0.0.0.0 need a log-in: set HORMESIS_TOKEN, or [auth] in"),
        (["--allow", "lab.example"], "pages served by a proxy as lab.example need a log-in"),
        (["--base-path", "/"], "--base-path takes a path like /hormesis, not '/'"),
    ],
)
def test_without_a_log_in_it_is_not_served_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], part: str
) -> None:
    monkeypatch.delenv("HORMESIS_TOKEN", raising=False)
    ended = run(tmp_path, "dashboard", "--no-browser", "--port", "0", *options)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1) and part in ended.stderr


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("authlib") is not None, reason="Authlib is installed")
def test_openid_connect_without_its_library_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "secrets.toml").write_text(SECRETS)
    line = command("dashboard", "--no-browser", "--port", "0", "--base-path", "/hormesis")
    ended = subprocess.run(
        line, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2 and "pip install 'streamlit[auth]'" in ended.stderr


@pytest.mark.parametrize(
    ("secrets", "labels"),
    [
        ({"auth": {"client_id": "hormesis"}}, ["Log in"]),
        ({"auth": {"cookie_secret": "x", "lab": {"client_id": "a"}, "cloud": {"client_id": "b"}}},
         ["Log in with lab", "Log in with cloud"]),
        ({}, []),
    ],
)  # fmt: skip
def test_pages_ask_for_openid_connect_where_it_is_set_up(
    small_database: Path,
    monkeypatch: pytest.MonkeyPatch,
    fresh_pages: None,
    secrets: dict[str, object],
    labels: list[str],
) -> None:
    monkeypatch.setenv("HORMESIS_DB", f"sqlite:///{small_database}")
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.secrets = secrets
    oidc.PAGES_ASK.set()
    try:
        app.run()
        assert not app.exception and [button.label for button in app.button] == labels
        assert words(app).strip() == "Log in to Hormesis"
        app.user = {"is_logged_in": True, "email": "viewer@lab.example"}
        app.run()
    finally:
        oidc.PAGES_ASK.clear()
    assert not app.exception and "Does a dose of toxic text help?" in words(app)
