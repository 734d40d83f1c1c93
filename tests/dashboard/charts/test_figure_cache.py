"""Figures that are kept: the same as drawn afresh, found again by content, never confused, drawn once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest

from hormesis.dashboard.charts import figure_cache as shelf
from hormesis.dashboard.charts.dose import dose_response
from hormesis.dashboard.charts.figure_cache import Drawn, drawn
from hormesis.dashboard.charts.heads import survival

CALLS: list[str] = []


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    shelf.forget()
    CALLS.clear()
    yield
    shelf.forget()


def counted(table: pd.DataFrame, name: str = "") -> go.Figure:
    CALLS.append(name)
    return go.Figure(go.Scatter(x=table["x"], y=table["y"], text=table["words"], name=name))


def slow(table: pd.DataFrame) -> go.Figure:
    CALLS.append("slow")
    time.sleep(0.05)
    return go.Figure(go.Scatter(x=table["x"]))


def frame(*values: float, words: str = "a") -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(len(values)), "y": values, "words": [words] * len(values)})


def test_a_kept_figure_is_what_the_chart_draws() -> None:
    rows = pd.DataFrame(
        {"kind": "toxic", "share": [0.0, 0.25], "method": "none", "condition_key": "none", "strength": 0.0,
         "matched_cost": np.nan, "value": [20.0, 30.0], "low": [19.0, np.nan], "high": [21.0, np.nan],
         "n": 10, "n_seeds": 2, "unit": "points"}
    )  # fmt: skip
    heads = pd.DataFrame(
        {"checkpoint": "c", "kind": "toxic", "share": 0.1, "seed": 0, "accuracy": np.linspace(0.5, 0.9, 50)}
    )
    for kept_figure, plain in (
        (drawn(dose_response, rows, "y", dark=True), dose_response(rows, "y", dark=True)),
        (drawn(survival, heads, "accuracy", "x"), survival(heads, "accuracy", "x")),
    ):
        sent = json.loads(plotly.io.to_json(kept_figure, validate=False))
        assert sent == json.loads(plotly.io.to_json(plain, validate=False))
        assert json.loads(kept_figure.figure.to_json()) == json.loads(plain.to_json())


def test_the_same_rows_are_drawn_once_whoever_holds_them() -> None:
    first = drawn(counted, frame(1.0, 2.0))
    again = pd.concat([frame(1.0), frame(2.0)]).assign(x=[0, 1])
    assert drawn(counted, again) is first
    assert len(CALLS) == 1


@pytest.mark.parametrize(
    "other",
    [
        frame(1.0, 2.5),
        frame(1.0, 2.0, words="b"),
        frame(1.0, 2.0).assign(x=[0.0, 1.0]),
        frame(1.0, 2.0).rename(columns={"y": "z"}).assign(y=[1.0, 2.0]),
        frame(1.0, 2.0).assign(words=[{"a": [1, 2]}, {"a": [1, 3]}]),
        frame(1.0, np.nan),
    ],
    ids=["value", "word", "type", "column", "dict", "missing"],
)
def test_other_rows_get_a_figure_of_their_own(other: pd.DataFrame) -> None:
    first = drawn(counted, frame(1.0, 2.0))
    assert drawn(counted, other) is not first
    assert drawn(counted, frame(1.0, 2.0), "named") is not first
    assert len(CALLS) == 3


def test_nested_and_large_values_tell_figures_apart() -> None:
    vectors = np.arange(5_000, dtype=float)
    changed = vectors.copy()
    changed[2_500] += 1e-9
    tables = [frame(1.0).assign(v=pd.Series([vector], dtype=object)) for vector in (vectors, changed)]
    assert drawn(counted, tables[0]) is not drawn(counted, tables[1])


def test_missing_numbers_are_sent_as_null() -> None:
    rows = frame(1.0, np.nan)
    rows["y"] = pd.Series([1.0, np.nan], dtype=object)
    sent = plotly.io.to_json(drawn(counted, rows), validate=False)
    assert "NaN" not in sent and json.loads(sent)["data"][0]["y"] == [1.0, None]


def test_many_who_ask_at_once_wait_for_one_drawing() -> None:
    figures: list[Drawn] = []
    threads = [threading.Thread(target=lambda: figures.append(drawn(slow, frame(1.0)))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert CALLS == ["slow"] and len(figures) == 12 and len({id(figure) for figure in figures}) == 1


def test_the_longest_unused_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "_SHELF", shelf._Shelf(3_000))
    first, second = frame(*range(50)), frame(*range(50), words="b")
    drawn(counted, first)
    drawn(counted, second)
    drawn(counted, first)
    drawn(counted, frame(*range(50), words="c"))
    assert len(CALLS) == 3
    drawn(counted, first)
    assert len(CALLS) == 3
    drawn(counted, second)
    assert len(CALLS) == 4


def test_a_chart_that_fails_is_tried_again() -> None:
    with pytest.raises(KeyError):
        drawn(counted, pd.DataFrame({"x": [1]}))
    with pytest.raises(KeyError):
        drawn(counted, pd.DataFrame({"x": [1]}))
    assert len(CALLS) == 2
