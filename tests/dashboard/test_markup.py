"""Names and messages of others on every page: nothing they say is read as Markdown."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hormesis.dashboard.base.wording import plain
from tests.fixtures.pages import open_page
from tests.fixtures.shared_worlds import copy_database

MARK = " ![x](http://evil.example/x.png)"
COLUMNS = {
    "study": ["name"],
    "scorer": ["name"],
    "checkpoint": ["name"],
    "arm": ["name"],
    "summary": ["prompt_set", "scorer"],
    "prompt_set": ["name", "source"],
    "probe_set": ["name", "source"],
    "example": ["group", "source"],
    "source_use": [
        "name",
        "location",
        "licence",
        "attribution",
        "platform",
        "annotators",
        "note",
        "revision",
    ],
    "dose_fit": ["prompt_set", "scorer"],
    "verdict": ["prompt_set", "scorer"],
    "attack": ["scorer"],
    "stage_run": ["subject", "error", "message", "host"],
    "source_overlap": ["first", "second"],
    "capability_score": ["data"],
    "projection": ["subject"],
}
READ_AS_TEXT = (
    "Dataframe",
    "BidiComponent.json",
    "PlotlyChart",
    "Code",
    "TextArea",
    "TextInput",
    "Selectbox.options",
)
SLOW = ("overview", "tradeoffs", "geometry", "robustness", "steer", "toy", "data", "glossary")
PAGES = ["runs", *(pytest.param(page, marks=pytest.mark.slow) for page in SLOW)]


@pytest.fixture(scope="module")
def marked_database(small_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seeded study with an image in every name and message that is not ours."""
    path = tmp_path_factory.mktemp("marked") / "study.sqlite"
    copy_database(small_database, path)
    with sqlite3.connect(path) as connection:
        for table, columns in COLUMNS.items():
            for column in columns:
                marked = f'UPDATE {table} SET "{column}" = "{column}" || ? WHERE "{column}" <> ?'
                connection.execute(marked, (MARK, ""))
        connection.execute(
            "UPDATE stage_run SET status = 'failed' WHERE id = (SELECT min(id) FROM stage_run)"
        )
    connection.close()
    return path


def drawn(block: Any) -> Iterator[Any]:
    """Every message of a page, blocks before what they hold."""
    if (message := getattr(block, "proto", None)) is not None:
        yield message
    for child in getattr(block, "children", {}).values():
        yield from drawn(child)


def strings(message: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text of a message with the names of the fields that lead to it."""
    for field, value in message.ListFields():
        for part in value if hasattr(value, "extend") else [value]:
            if hasattr(part, "ListFields"):
                yield from strings(part, f"{path}.{field.name}")
            elif isinstance(part, str | bytes):
                text = part if isinstance(part, str) else part.decode("utf-8", "replace")
                yield f"{path}.{field.name}", text


@pytest.mark.usefixtures("fresh_pages")
@pytest.mark.parametrize("page", PAGES)
def test_no_name_is_read_as_markdown(
    marked_database: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    app = open_page(marked_database, monkeypatch, page)
    assert not app.exception
    texts = [pair for message in drawn(app._tree) for pair in strings(message, type(message).__name__)]
    read = [(path, text) for path, text in texts if MARK in text and not path.startswith(READ_AS_TEXT)]
    assert read == []
    assert any("evil.example" in text for _, text in texts), "the page shows no name, so this says nothing"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("![x](http://e/x)", r"!\[x\](http\://e/x)"),
        ("toxic-10-s0", "toxic-10-s0"),
        ("a_b _c_", r"a_b \_c\_"),
        (":red[x] :smile:", r"\:red\[x\] \:smile:"),
        ("# h", r"\# h"),
        ("- x", r"\- x"),
        ("1. x", r"1\. x"),
        ("a < b & $c$", r"a \< b \& \$c\$"),
        ("www.evil.example", r"www\.evil.example"),
        ("`a`|b", r"\`a\`\|b"),
        ("line\n\nbreak", "line break"),
        ("no file /tmp/a/b: gone", "no file /tmp/a/b: gone"),
    ],
)
def test_signs_are_escaped_where_they_mean_something(text: str, escaped: str) -> None:
    assert plain(text) == escaped
