"""Tables of sources: reasons in words, and which roles have something in common."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import text

from hormesis.dashboard.base.source_tables import (
    dependent,
    origin_table,
    pair_table,
    role_table,
    run_table,
    use_table,
)
from hormesis.db import read
from hormesis.db.engine import open_reader, open_writer
from hormesis.pipeline.commands.console.display import source_lines
from tests.fixtures.pages import clear_caches, open_page, words
from tests.fixtures.seeded_sources import RUNS, SAME_TEXTS, USES
from tests.fixtures.shared_worlds import copy_database

Rows = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture
def rows(tiny_database: Path) -> Rows:
    """Uses and overlaps of the seeded study."""
    engine = open_reader(f"sqlite:///{tiny_database}")
    return read.source_uses(engine, 1), read.source_overlaps(engine, 1)


def test_every_source_says_why_rows_were_dropped(rows: Rows, tiny_database: Path) -> None:
    table = use_table(rows[0]).set_index("Role")
    assert len(table) == len(USES)
    assert table.at["Probe set", "Why dropped"] == "360 same text as another row, 40 text with both labels"
    assert table.at["Probe set", "Read to its end"] == "yes"
    assert table.at["Clean text", "Read to its end"] == "no: there was enough"
    assert pd.isna(table.at["Prompts", "Why dropped"]) and pd.isna(
        table.at["Study's own scorer", "Longer than the context"]
    )
    with open_reader(f"sqlite:///{tiny_database}").connect() as connection:
        lines = source_lines(connection, 1)
    assert (
        "probe statements: 1,000 rows read, 600 used; 360 same text as another row, "
        "40 text with both labels; columns separated by ';', as in the header"
    ) in lines
    assert list(origin_table(rows[0])["Source"]) == ["passages", "talk", "statements", "forum-prompts"]


def test_roles_are_compared_by_what_is_stated_and_counted(rows: Rows) -> None:
    pairs = pair_table(*rows).set_index(["first", "second"])
    assert len(pairs) == 21
    same = {("clean", "heldout_clean"), ("toxic", "informal"), ("toxic", "scorer"), ("informal", "scorer")}
    assert set(pairs[pairs["same_platform"]].index) == same
    stated = pairs["same_annotators"].dropna()
    assert stated.all() and set(stated.index) == same - {("clean", "heldout_clean")}
    assert set(pairs[pairs["shared_first"] > 0].index) == set(SAME_TEXTS)
    table = role_table(rows[0], pairs.reset_index()).set_index("Role")
    assert table.at["Study's own scorer", "Same texts"] == "Toxic text (2,290), Clean-forum control (7,610)"
    assert table.at["Probe set", "Same platform"] == "none" and pd.isna(
        table.at["Probe set", "Same annotators"]
    )
    assert dependent(pairs.reset_index()) == [
        "Toxic text and study's own scorer (platform, annotators, 2,310 texts)"
    ]


def test_nothing_is_compared_that_was_not_stated_or_counted(rows: Rows) -> None:
    uses, overlaps = rows
    pairs = pair_table(uses.assign(platform="", annotators=""), overlaps[:0])
    assert pairs.drop(columns=["first", "second"]).isna().all(axis=None)
    table = role_table(uses, pairs)
    assert table[["Same platform", "Same annotators", "Same texts"]].isna().all(axis=None)
    one_platform = pair_table(uses.assign(platform="P"), overlaps[:0])
    assert set(role_table(uses, one_platform)["Same platform"]) == {"every other role"}
    listed = uses["role"].map(lambda role: "Reddit, Q and P" if role == "probe" else "p (2015)")
    assert pair_table(uses.assign(platform=listed), overlaps[:0])["same_platform"].all()


def test_matching_documents_are_a_part_of_those_long_enough(rows: Rows) -> None:
    table = run_table(rows[1])
    assert len(table) == len(RUNS)
    row = table[
        (table["Documents of"] == "Clean-forum control") & (table["Compared with"] == "Probe set")
    ].iloc[0]
    assert row["Matching part"] == pytest.approx(31 / 14_020)
    assert run_table(rows[1].assign(n_first=0))["Matching part"].isna().all()


@pytest.mark.usefixtures("fresh_pages")
def test_the_page_says_which_roles_are_not_independent(
    tiny_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page(tiny_database, monkeypatch, "data", show="Sources")
    assert not page.exception
    assert "**Not independent: Toxic text and study's own scorer (platform" in words(page)
    assert "n = 88,808 rows read" in words(page)
    older = tmp_path / "older.sqlite"
    engine = open_writer(copy_database(tiny_database, older))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM source_use"))
    page = open_page(older, monkeypatch, "data", show="Sources")
    assert not page.exception and "No counts of rows yet" in words(page)
    with engine.begin() as connection:
        connection.execute(text("UPDATE stage_run SET stage = 'text', subject = 'study' WHERE id = 1"))
    engine.dispose()
    clear_caches()
    page = open_page(older, monkeypatch, "data", show="Sources")
    assert not page.exception and "did not count rows" in words(page)
