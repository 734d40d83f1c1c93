"""Maps of directions: two alike side by side, coloured as asked, drawn without WebGL where that is enough."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from hormesis.dashboard.base.wording import Head
from hormesis.dashboard.charts.maps import COLOURINGS, SVG_POINTS, directions


def points(n: int = 24, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(n, 3))
    return pd.DataFrame(
        {
            "x": places[:, 0], "y": places[:, 1], "z": places[:, 2],
            "kind": np.where(np.arange(n) % 3 == 2, "imported", "toxic"),
            "share": np.where(np.arange(n) % 3 == 2, np.nan, 0.25 * (np.arange(n) % 2)),
            "seed": pd.array(np.arange(n) % 2, dtype="Int64"), "checkpoint": "c",
            "layer": np.arange(n) % 4, "head": np.arange(n), "accuracy": rng.uniform(0.5, 1, n),
            "selectivity": rng.uniform(0, 0.4, n), "rank": np.where(np.arange(n) < 5, np.arange(n), np.nan),
        }
    )  # fmt: skip


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("by", COLOURINGS)
def test_both_maps_hold_every_head_under_the_same_colours(by: str, flat: bool) -> None:
    chart = directions(points(), "UMAP", null=points(seed=1), titles=("a", "b"), by=by, dark=False, flat=flat)
    panels: dict[str, dict[str, str]] = {}
    counts: dict[str, int] = {}
    for trace in chart.data:
        panel = (trace.xaxis if flat else trace.scene) or "first"
        panels.setdefault(panel, {})[trace.name] = str(trace.marker.coloraxis or trace.marker.color)
        counts[panel] = counts.get(panel, 0) + len(trace.x)
    assert list(counts.values()) == [24, 24]
    first, second = panels.values()
    assert first == second
    if flat:
        titles = [chart.layout[axis].title.text for axis in ("xaxis", "xaxis2")]
        assert titles == ["<b>a</b>, UMAP 1", "<b>b</b>, UMAP 1"]
    else:
        assert [note.text for note in chart.layout.annotations] == ["<b>a</b>", "<b>b</b>"]
    assert all(trace.showlegend is not True for trace in chart.data[len(chart.data) // 2 :])


def test_a_click_gives_the_head_and_the_chosen_one_is_ringed_on_both() -> None:
    chart = directions(points(), "PCA", null=points(seed=1), chosen=Head(1, 5), dark=True)
    names = [name for trace in chart.data if trace.customdata is not None for name in trace.customdata]
    assert len(names) == 48 and set(names) == {f"L{place % 4}H{place}" for place in range(24)}
    rings = [trace for trace in chart.data if trace.legendgroup == "ring"]
    assert [len(ring.x) for ring in rings] == [1, 1] and rings[1].xaxis == "x2"


def test_small_maps_need_no_webgl() -> None:
    small, large = (directions(points(n), "UMAP", dark=False) for n in (30, SVG_POINTS + 1))
    assert {type(trace) for trace in small.data} == {go.Scatter}
    assert {type(trace) for trace in large.data} == {go.Scattergl}
