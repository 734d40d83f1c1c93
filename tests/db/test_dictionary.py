"""The data dictionary: every table and column has a meaning, every number a unit, and no word is spare."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, Integer, MetaData, Table

from hormesis.db.schema import Arm, Base, Score, ToyRun, dictionary
from hormesis.db.schema.dictionary import field_of, table_meaning, type_of, words

TABLES = Base.metadata.sorted_tables
ALL = words()
COLUMNS = [column for table in TABLES for column in table.columns]


def without_meaning() -> list[str]:
    return [str(column) for column in COLUMNS if not field_of(column).meaning]


def without_unit() -> list[str]:
    numbers = [c for c in COLUMNS if type_of(c) in ("integer", "number") and not c.foreign_keys]
    return [str(column) for column in numbers if column.name != "id" and not field_of(column).unit]


def test_every_table_and_column_is_described() -> None:
    assert [table.name for table in TABLES if not table_meaning(table)] == []
    assert without_meaning() == []
    assert without_unit() == []


def test_a_column_without_a_word_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = {of: {name: word for name, word in words()[of].items() if name != "high"} for of in words()}
    monkeypatch.setattr(dictionary, "words", lambda: fewer)
    assert "metric.high" in without_meaning() and "metric.high" in without_unit()


@pytest.mark.parametrize("of", ["meaning", "unit"])
def test_no_word_is_spare(of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry decides at least one column; what a docstring says already is not said again."""
    before = [field_of(column) for column in COLUMNS]
    spare = []
    for name in words()[of]:
        others = {key: word for key, word in words()[of].items() if key != name}
        monkeypatch.setattr(dictionary, "words", lambda others=others: {**ALL, of: others})
        if [field_of(column) for column in COLUMNS] == before:
            spare.append(name)
        monkeypatch.undo()
    assert spare == []


def test_docstrings_of_inherited_columns_and_keys_are_read() -> None:
    position = field_of(Base.metadata.tables["probe"].columns["position"])
    assert (position.meaning, position.type, position.unit) == (
        "`last` token or `mean` over tokens.",
        "text",
        "",
    )
    share = field_of(Arm.__table__.columns["share"], "arm_share")
    assert (share.name, share.unit, share.is_nullable) == ("arm_share", "fraction", False)
    assert share.meaning.startswith("Added tokens / all tokens")
    assert field_of(ToyRun.__table__.columns["share"]).unit == "ratio"
    scorer = field_of(Score.__table__.columns["scorer_id"])
    assert (scorer.key, scorer.meaning) == ("primary, to `scorer.id`", "The row of `scorer`.")


def test_a_foreign_table_has_no_entry() -> None:
    other = Table("other", MetaData(), Column("id", Integer))
    with pytest.raises(KeyError):
        field_of(other.columns["id"])
