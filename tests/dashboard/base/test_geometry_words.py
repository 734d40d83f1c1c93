"""What the figures of merit of a map say: structure only beyond every null, and chance called chance."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from hormesis.dashboard.base.geometry_words import figure_table, structure, structure_sentence

ROW = {
    "low": 0.2, "high": 0.4, "expected": None, "independent_mean": None, "independent_high": None,
    "independent_p": None, "random_mean": 0.1, "random_high": 0.2, "heads": 320, "checkpoints": 10,
}  # fmt: skip


def figures(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([ROW | row for row in rows])


def figure(measure: str, p: float, independent_p: float | None = None, value: float = 0.34) -> dict[str, Any]:
    return {"measure": measure, "value": value, "random_p": p, "independent_p": independent_p}


@pytest.mark.parametrize(
    ("accuracy", "layer", "expected"),
    [
        ((0.01, 0.01), (0.01, None), ["accuracy", "layer"]),
        ((0.01, 0.2), (0.01, 0.01), ["layer"]),  # beyond one null only
        ((0.03, None), (0.6, None), []),  # two measures are tried
    ],
)
def test_structure_is_what_every_null_falls_short_of(
    accuracy: tuple[float, float | None], layer: tuple[float, float | None], expected: list[str]
) -> None:
    rows = figures(figure("accuracy", *accuracy), figure("layer", *layer), figure("likeness", 0.01))
    assert structure(rows) == expected
    sentence = structure_sentence(rows)
    assert ("have structure" in sentence) == bool(expected)
    assert ("cannot be told from random ones" in sentence) == (not expected)


def test_the_sentence_has_values_intervals_nulls_and_n() -> None:
    sentence = structure_sentence(figures(figure("accuracy", 0.01), figure("layer", 0.5, value=0.25)))
    assert sentence == (
        "These directions have structure (accuracy): neighbours' accuracies correlate by +0.34 [+0.20, "
        "+0.40], of random directions +0.10 (95 % of draws below +0.20); 25 % [20 %, 40 %] share the layer, "
        "of random directions 10 % (95 % of draws below 20 %). n = 320 heads of 10 checkpoints."
    )


def test_no_figures_no_sentence() -> None:
    assert structure_sentence(figures(figure("likeness", 0.01)).head(0)) == ""
    assert structure_sentence(figures(figure("likeness", 0.01))) == ""


def test_the_table_has_every_figure_and_the_nulls_there_are() -> None:
    rows = figures(figure("likeness", 0.01), figure("accuracy", 0.01))
    table = figure_table(rows)
    assert table["Map"].tolist() == ["0.340 [0.200, 0.400]"] * 2
    assert list(table.columns) == ["Figure of merit", "Map", "Expected", "Random directions"]
    with_labels = figure_table(
        figures(
            figure("accuracy", 0.01)
            | {"independent_mean": -0.04, "independent_high": 0.1, "independent_p": 0.02}
        )
    )
    assert with_labels["Heads that share only the label"].tolist() == ["−0.040, 95 % below 0.100 (p = .020)"]
