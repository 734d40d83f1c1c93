"""Files from views: what is written is read back whole, says where it came from, and needs no network."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hormesis.dashboard.base import exports
from hormesis.dashboard.document.blocks import Chart
from hormesis.dashboard.document.figures import as_json, differences
from hormesis.dashboard.document.single import single_page
from hormesis.dashboard.parts.export_metadata import stamp
from hormesis.dashboard.rows.context import Context
from hormesis.db import read
from hormesis.db.csv_files import as_text
from hormesis.db.engine import open_reader
from hormesis.pipeline.commands.export import ExportError, export_tables

FACTS = {
    "study": "forum",
    "study hash": "ab12",
    "scorer forum": "forum-1",
    "made": "now\nor never",
    "rows": "3",
}
ROWS = pd.DataFrame(
    {
        "text": ['a # b, "c"', "<script>x</script>\nsecond line", "# not a comment"],
        "value": [1.5, float("nan"), -2.0],
        "n": pd.array([1, None, 3], dtype="Int64"),
        "details": [{"a": 1}, {}, {"b": [1, 2]}],
        "when": pd.to_datetime(["2026-01-01", None, "2026-01-03"], utc=True),
    }
)


@pytest.fixture(scope="module")
def seeded(tiny_database: Path) -> str:
    return f"sqlite:///{tiny_database}"


def test_csv_is_read_back_whatever_is_in_it() -> None:
    data = exports.to_csv(ROWS, FACTS)
    back = pd.read_csv(io.BytesIO(data), comment="#")
    assert back["text"].tolist() == ROWS["text"].tolist()
    assert back["n"].tolist()[0::2] == [1, 3] and back["value"].iloc[2] == -2.0
    assert json.loads(back["details"][2]) == {"b": [1, 2]}
    head = [line for line in data.decode().splitlines() if line.startswith("# ")]
    assert head[:4] == [
        "# study: forum",
        "# study hash: ab12",
        "# scorer forum: forum-1",
        "# made: now or never",
    ]


def test_csv_tells_null_from_an_empty_text() -> None:
    moments = pd.to_datetime(["2026-01-02 03:04:05.678901", None], utc=True)
    rows = pd.DataFrame({"text": ["", None], "is_done": [None, True], "when": moments})
    assert exports.to_csv(rows, {}).decode().splitlines() == [
        '"text","is_done","when"',
        '"",,2026-01-02 03:04:05.678',
        ",true,",
    ]


words = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00\r"), min_size=1, max_size=30
)


@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=1, max_size=6))
def test_csv_keeps_any_text(texts: list[str]) -> None:
    data = exports.to_csv(pd.DataFrame({"text": texts}), FACTS)
    # Read as text: pandas would take a column of digits for numbers.
    back = pd.read_csv(
        io.BytesIO(data), comment="#", keep_default_na=False, skip_blank_lines=False, dtype={"text": str}
    )
    assert back["text"].tolist() == [as_text(text) for text in texts]


def metadata_of(parquet: Path | io.BytesIO) -> Any:
    return json.loads(pq.read_schema(parquet).metadata[exports.METADATA])


def test_parquet_carries_its_facts_and_types() -> None:
    data = exports.to_parquet(ROWS, FACTS)
    assert metadata_of(io.BytesIO(data)) == FACTS
    back = pd.read_parquet(io.BytesIO(data))
    assert back["text"].tolist() == ROWS["text"].tolist()
    assert back["n"].dtype == "Int64" and str(back["when"].dtype).endswith("UTC]")


def outside(page: str) -> list[str]:
    """Addresses a page would fetch, outside of plotly's own program."""
    without = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    return re.findall(r"""(?:src|href)\s*=\s*["'](?!#)([^"']+)|url\(([^)]+)\)|@import""", without)


@pytest.mark.parametrize("dark", [False, True])
def test_html_of_a_chart_is_one_file_and_escapes_texts(dark: bool) -> None:
    figure = go.Figure(go.Scatter(x=[1, 2], y=[3, 4], hovertext=["<b></script><img src=x>", "b"]))
    page = single_page("Title <b>", ROWS, figure, guide="How & why", metadata=FACTS, dark=dark).decode()
    assert "Title &lt;b&gt;" in page and "How &amp; why" in page
    assert "<script>x</script>" not in page and "<img src=x>" not in page
    assert "\\u003cb>&lt;/script>" in page and not outside(page)
    assert page.count("plotly.js v") == 1 and "default-src 'none'" in page
    ground = re.search(r"@media ([a-z ]+) \{\s*:root", page)
    assert ground is not None and ground[1] == ("all" if dark else "not all")


def test_html_of_a_table_needs_no_program_and_says_what_it_leaves_out() -> None:
    many = pd.DataFrame({"place": range(1200)})
    page = single_page("Many", many, None, metadata=FACTS).decode()
    assert "<script" not in page and "The first 500 of 1,200 rows" in page and page.count("<tr>") == 501


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abc"), st.integers() | st.lists(st.integers(), max_size=3), max_size=3)
)
def test_the_dark_figure_is_the_light_one_with_its_differences(dark: dict[str, object]) -> None:
    light: dict[str, object] = {"a": 1, "b": [1, 2], "c": {"d": 3}}
    light = {key: light[key] for key in dark}
    patched = json.loads(json.dumps(light))
    for path, value in differences(light, dark):
        at = patched
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
    assert patched == dark


def test_a_figure_is_written_once_and_webgl_is_drawn_as_svg() -> None:
    light, dark = (
        go.Figure(go.Scattergl(x=list(range(50)), y=[1.0] * 50, marker={"color": ink}))
        for ink in ("#000", "#fff")
    )
    figure = json.loads(as_json(Chart("", light, dark)))
    assert figure["data"][0]["type"] == "scatter" and "template" not in figure["layout"]
    assert figure["dark"] == [[["data", 0, "marker", "color"], "#fff"]]


@pytest.mark.slow
def test_a_png_is_a_picture() -> None:
    if not exports.can_draw_png():
        pytest.skip("kaleido or a browser is missing")
    figure = go.Figure(go.Scatter(x=[1, 2], y=[3, 4])).update_layout(height=300)
    picture = Image.open(io.BytesIO(exports.to_png(figure, dark=True, title="Loss")))
    assert picture.size == (2000, 672) and picture.getpixel((5, 5))[:3] == (0x11, 0x16, 0x1B)


def test_without_a_browser_no_png_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    exports.browser_path.cache_clear()
    exports.can_draw_png.cache_clear()
    monkeypatch.setenv("BROWSER_PATH", "/nowhere/chromium")
    try:
        assert exports.browser_path() is None and not exports.can_draw_png()
        with pytest.raises(RuntimeError, match="needs the package kaleido"):
            exports.to_png(go.Figure(), dark=False)
    finally:
        monkeypatch.undo()
        exports.browser_path.cache_clear()
        exports.can_draw_png.cache_clear()


def test_every_file_says_where_it_came_from(seeded: str) -> None:
    engine = open_reader(seeded)
    studies = read.studies(engine)
    row = read.study(engine, int(studies["id"][0])).iloc[0]
    context = Context(seeded, "", {str(name): value for name, value in row.items()}, studies)
    lines = stamp(context, "Toxicity by share of toxic-source text", 7)
    assert lines["study hash"] == row["hash"] and lines["rows"] == "7"
    assert {f"data {name}" for name in row["data_revisions"]} <= set(lines)
    assert lines["scorer forum"] == "seeded-1" and "torch" in lines["packages"]
    assert set(stamp(None, "x", None)) == {"program", "view", "made"}


def test_the_commands_html_leaves_texts_out_unless_named(seeded: str, tmp_path: Path) -> None:
    written = export_tables(seeded, tmp_path, "html")
    assert "summary" in written and not {"generation", "prompt", "example"} & set(written)
    page = (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert f"n = {written['summary']:,} rows." in page and not outside(page)
    assert set(export_tables(seeded, tmp_path / "named", "html", tables=["prompt"])) == {"prompt"}
    with pytest.raises(ExportError, match="known: csv, parquet, html"):
        export_tables(seeded, tmp_path, "xml")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_commands_files_have_their_provenance_beside_them(seeded: str, tmp_path: Path, form: str) -> None:
    written = export_tables(seeded, tmp_path, form, tables=["summary", "metric"])
    provenance = json.loads((tmp_path / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["rows"] == written and provenance["studies"][0]["hash"] and provenance["scorers"]
    if form == "parquet":
        inside = metadata_of(tmp_path / "summary.parquet")
        assert inside["studies"] == provenance["studies"]


def test_spreadsheets_get_no_formula() -> None:
    texts = ['=HYPERLINK("http://x")', "+1+cmd|' /C calc'!A0", "-2", "@SUM(1)", "\t=1", "a=1", "", "1"]
    rows = pd.DataFrame({"text": texts, "number": [-1.5] * len(texts)})
    data = exports.to_csv(rows, {"study": "a,=1+1;@x, -2", "n": "-1"})
    head, body = data.split(b"\n", 1)
    assert head == b"# study: a,'=1+1;'@x, -2"
    back = pd.read_csv(io.BytesIO(body), comment="#", keep_default_na=False)
    assert list(back["text"]) == [f"'{text}" for text in texts[:5]] + texts[5:]
    assert (back["number"] == -1.5).all()
