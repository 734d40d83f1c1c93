"""Scorers by group as people read them: on the seeded study `tfidf` flags one group twice as often."""

from __future__ import annotations

from pathlib import Path

import pytest

from hormesis.dashboard.charts.scorer_groups import PERMUTED, group_ratios, group_sentences, group_table
from hormesis.db import read
from hormesis.db.engine import open_reader
from tests.fixtures.pages import open_page, words


def test_the_group_that_a_scorer_flags_more_often_is_named_beside_its_null(small_database: Path) -> None:
    rows = read.scorer_groups(open_reader(f"sqlite:///{small_database}"), 1)
    by_scorer = dict(zip(("forum", "tfidf"), group_sentences(rows), strict=True))
    assert (
        by_scorer["forum"]
        == "forum flags 0 of 600, too few to compare groups (n = 600 texts of forum that are not toxic)."
    )
    assert by_scorer["tfidf"].startswith("tfidf flags velmar ") and "p < .001" in by_scorer["tfidf"]
    velmar = rows[(rows["scorer"] == "tfidf") & (rows["group"] == "velmar")].iloc[0]
    assert velmar["ratio_low"] <= 2 <= velmar["ratio_high"] and velmar["ratio"] > velmar["null_high"]
    table = group_table(rows)
    assert len(table) == 8 and table["Ratio to the other groups"].isna().sum() == 4
    figure = group_ratios(rows, dark=False)
    (trace,) = figure.data
    assert (
        trace.name == "tfidf"
        and len(trace.x) == 5
        and PERMUTED.split()[0] in figure.layout.xaxis.ticktext[-1]
    )
    assert trace.y[-1] == pytest.approx(velmar["null_median"])


@pytest.mark.usefixtures("fresh_pages")
def test_data_shows_scorers_by_group(small_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(small_database, monkeypatch, "data", show="Scores and scorers")
    assert not app.exception and "tfidf flags velmar" in words(app)
    table = next(frame.value for frame in app.dataframe if "False-positive rate" in frame.value.columns)
    assert len(table) == 8
