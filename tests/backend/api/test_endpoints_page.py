"""The page of endpoints: every route with its limits and a command that works; nothing from outside."""

from __future__ import annotations

import re
import shlex
import subprocess
from html import unescape

import httpx

from hormesis.backend.api.endpoints_page import POLICY, endpoints_page


def test_every_route_is_there_with_a_command_that_works(address: str) -> None:
    answer = httpx.get(f"{address}/")
    page = unescape(answer.text)
    assert answer.headers["content-security-policy"] == POLICY
    paths = httpx.get(f"{address}/openapi.json").json()["paths"]
    commands = re.findall(r"<pre>(curl .*?)</pre>", page, re.DOTALL)
    assert len(commands) == sum(map(len, paths.values())) == len(set(commands))
    for path, methods in paths.items():
        assert all(f"<h2><code>{method.upper()} {path}</code></h2>" in page for method in methods)
    for command in commands:
        words = [*shlex.split(command), "-w", "\n%{http_code}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
        status = done.stdout.rsplit("\n", 1)[1]
        expected = "404" if "DELETE" in command else "202" if "/load" in command else "200"
        assert status == expected, (command, done.stdout[:300])


def test_fields_have_type_limits_and_meaning(address: str) -> None:
    page = " ".join(unescape(httpx.get(f"{address}/").text).split())
    rows = {
        row[0]: row[1:]
        for row in re.findall(
            r"<tr><td><code>(.*?)</code></td><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td></tr>",
            page,
        )
    }
    assert rows["max_tokens"] == ("integer", "from 1, to 512", "16", "")
    assert rows["panes[].strength"][1] == "from 0, to 64"
    assert rows["samples"][:3] == ("integer", "from 1, to 16", "1")
    assert "matched to this cost" in rows["panes[].matched_cost"][3]
    assert rows["model"][2] == "required" and "GET /v1/models" in rows["model"][3]
    assert rows["head_vectors[].vector"][:2] == (
        "list of number",
        "from 1 items, to 16384 items, each from -1000000, each to 1000000",
    )


def test_the_page_asks_nothing_of_the_outside(address: str) -> None:
    page = httpx.get(f"{address}/").text
    assert not re.search(r"<(script|link|img|iframe|object)\b|@import|url\(", page)
    assert set(re.findall(r"https?://[^/\s'\"<&]+", page)) == {address}
    assert re.findall(r'href="([^"#]*)"', page) == ["openapi.json"]


def test_names_are_text_and_an_empty_database_is_said(address: str) -> None:
    description = httpx.get(f"{address}/openapi.json").json()
    page = endpoints_page(description, address=address, models=["<b>x</b>/y'z"])
    assert "<b>x" not in page and "&lt;b&gt;x&lt;/b&gt;/y" in page
    assert "holds no checkpoint yet" in endpoints_page(description, address=address, models=[])
