"""Names and messages of others on every page: nothing they say is read as Markdown."""

from __future__ import annotations

import ast
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hormesis.dashboard.base.wording import plain
from hormesis.dashboard.charts import figure_cache
from hormesis.dashboard.charts.mixes import mix_bars
from hormesis.dashboard.document.blocks import Chart
from hormesis.dashboard.document.figures import as_json
from hormesis.dashboard.notebook.charts import chart
from tests.fixtures.pages import open_page
from tests.fixtures.shared_worlds import copy_database
from tests.structure import modules

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
    "scorer_group": ["probe_set", "scorer", "group"],
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
    "null_effect": ["prompt_set", "scorer"],
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


def messages(block: Any) -> Iterator[Any]:
    """Every message of a page, blocks before what they hold."""
    if (message := getattr(block, "proto", None)) is not None:
        yield message
    for child in getattr(block, "children", {}).values():
        yield from messages(child)


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
    texts = [pair for message in messages(app._tree) for pair in strings(message, type(message).__name__)]
    read = [(path, text) for path, text in texts if MARK in text and not path.startswith(READ_AS_TEXT)]
    assert read == []
    assert any("evil.example" in text for _, text in texts), "the page shows no name, so this says nothing"


READ_AS_MARKDOWN = {
    "markdown", "caption", "info", "warning", "error", "success", "subheader", "header", "title", "metric",
    "badge", "button", "popover", "expander", "tabs", "toggle", "checkbox", "radio", "selectbox",
    "multiselect", "segmented_control", "pills", "slider", "number_input", "text_input", "text_area",
    "link_button", "download_button", "toast", "progress", "spinner", "page_link",
}  # fmt: skip
LABELS = {"help", "label", "placeholder", "text", "title"}
OF_OTHERS = {"problem", "_PROBLEM", "ended", "reason", "error", "scorer", "checkpoint", "query"}
"""What names and messages of others are called in the code."""


def unescaped(node: ast.AST) -> Iterator[str]:
    """Names in an expression that are in no call of `plain`."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "plain":
        return
    if isinstance(node, ast.Name | ast.Attribute):
        yield node.id if isinstance(node, ast.Name) else node.attr
    for child in ast.iter_child_nodes(node):
        yield from unescaped(child)


def test_what_others_wrote_is_escaped_wherever_markdown_is_read() -> None:
    for module in modules():
        for node in ast.walk(module.tree) if module.path.parts[0] == "dashboard" else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                labels = [part.value for part in node.keywords if part.arg in LABELS]
                if node.func.attr in READ_AS_MARKDOWN:
                    for label in [*node.args[:1], *labels]:
                        names = OF_OTHERS & set(unescaped(label))
                        assert not names, f"{module.path}:{node.lineno}: plain({names.pop()})"


LINK = "<a href='http://evil.example'>x</a> <b>b</b>"


def test_figures_hold_no_link_of_a_name() -> None:
    rows = pd.DataFrame({"arm": ["a", LINK], "source": [LINK, "b"], "tokens": [1, 2], "documents": [1, 1]})
    figure = mix_bars(rows)
    assert "<a " in str(figure.to_dict())
    report = json.loads(as_json(Chart("", figure)))
    bins = {"kind": [f"imported:{LINK}"], "share": [None], "low": [0.0], "high": [0.1], "count": [3]}
    for sent in (
        figure_cache.drawn(mix_bars, rows).to_dict(),
        report,
        chart("scores", pd.DataFrame(bins)).to_dict(),
    ):
        text = json.dumps(sent, default=str)
        assert "&lt;a href=" in text and "<a " not in text and "<b>b</b>" in text


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
