"""Sources: labels as people have them, and a reason for every row that is not used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hormesis.pipeline.sources.record import Reason, Record, RowCount, Stop
from hormesis.pipeline.sources.rows import record_of, records
from hormesis.pipeline.study.source_config import SourceConfig
from tests.fixtures.source_files import file_source, refused, write_rows


def source(**settings: Any) -> SourceConfig:
    return SourceConfig.model_validate({"role": "probe", "kind": "file", "path": "a.csv", **settings})


def label(row: dict[str, Any], **settings: Any) -> int | None:
    record = record_of({"text": "t", **row}, source(**settings), "row 1")
    return record.label if isinstance(record, Record) else None


@pytest.mark.parametrize(
    ("values", "by_any", "by_all"),
    [((1, 0), 1, 0), ((1, 1), 1, 1), ((0, 0), 0, 0), ((1, None), 1, None), ((0, None), None, 0)],
)
def test_several_columns_make_one_label(
    values: tuple[int | None, int | None], by_any: int | None, by_all: int | None
) -> None:
    row = {"hate": values[0], "threat": values[1]}
    assert label(row, label=["hate", "threat"]) == by_any
    assert label(row, label=["hate", "threat"], label_rule="all") == by_all


@pytest.mark.parametrize(
    ("value", "positive", "negative", "expected"),
    [
        ("Hateful ", ["hateful"], ["neutral"], 1), ("neutral", ["hateful"], ["neutral"], 0),
        ("anything", ["hateful"], ["*"], 0), ("anything", ["*"], ["fine"], 1), ("fine", ["*"], ["fine"], 0),
        ("2", [2, 3], [0, 1], 1), (0, [2, 3], [0, 1], 0), ("no", [True], [False], 0),
        ("", ["a"], ["*"], None),
    ],
)  # fmt: skip
def test_label_values_are_what_the_study_says(
    value: Any, positive: list[Any], negative: list[Any], expected: int | None
) -> None:
    assert label({"class": value}, label="class", positive=positive, negative=negative) == expected


@pytest.mark.parametrize(
    "mistake",
    [{"positive": ["a"]}, {"negative": ["a"]}, {"positive": ["*"], "negative": ["*"]},
     {"positive": ["a"], "negative": ["b"], "label_threshold": 0.5}, {"delimiter": "::"},
     {"positive": ["a", "Toxic"], "negative": ["toxic "]}, {"encoding": "latin-99"}, {"encoding": "hex"}],
)  # fmt: skip
def test_settings_that_contradict_themselves_are_refused(mistake: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        source(label="class", **mistake)


def test_an_unknown_label_is_told_with_those_seen_and_what_to_write(tmp_path: Path) -> None:
    rows = [
        {"text": f"t {n}", "class": name} for n, name in enumerate(["hateful", "abusive", "fine", "spam"])
    ]
    cfg = file_source(write_rows(tmp_path / "a.csv", rows), "probe", label="class", group=None, score=None)
    plain = cfg.model_copy(update={"kind_column": None})
    refused(
        plain, "line 2", "'hateful', not 0 or 1", '"hateful", "abusive", "fine", "spam"', "positive = [...]"
    )
    lists = {"positive": ("hateful", "abusive"), "negative": ("fine",)}
    refused(
        plain.model_copy(update=lists), "line 5", "'spam'", "neither positive nor negative", "where_not.class"
    )
    with pytest.raises(ValueError, match="'class' holds true, which neither"):  # as it is to be written
        label({"class": True}, label="class", positive=["true"], negative=["false"])


ROW = st.fixed_dictionaries(
    {
        "text": st.sampled_from(["", "  ", "short", "long enough", "far too long for this", "fine so far"]),
        "label": st.sampled_from([0, 1, None]),
        "kind": st.sampled_from(["a", "b"]),
    }
)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(ROW, min_size=1), limit=st.none() | st.integers(1, 5))
def test_every_row_is_used_or_dropped_for_one_reason(rows: list[dict[str, Any]], limit: int | None) -> None:
    cfg = source(label="label", where={"kind": ["a"]}, min_characters=8, max_characters=15, limit=limit)
    reasons: list[Reason | None] = []
    for row in rows:
        text = row["text"].strip()
        reasons.append(
            Reason.FILTER if row["kind"] == "b" else Reason.NO_TEXT if not text
            else Reason.SHORT if len(text) < 8 else Reason.LONG if len(text) > 15
            else Reason.NO_LABEL if row["label"] is None else None
        )  # fmt: skip
        if reasons.count(None) == limit:
            break
    count = RowCount()
    stream = records(((f"row {n}", row) for n, row in enumerate(rows)), cfg, count)
    if None not in reasons:
        with pytest.raises(ValueError, match=f"none of {len(rows)} rows is left \\({len(rows)} |, "):
            list(stream)
    else:
        assert len(list(stream)) == count.used == reasons.count(None)
    assert count.read == len(reasons)
    assert dict(count.dropped) == {reason: reasons.count(reason) for reason in set(reasons) - {None}}
    assert count.stopped == (Stop.LIMIT if reasons.count(None) == limit else "")
