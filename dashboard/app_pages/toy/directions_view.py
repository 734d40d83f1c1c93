"""The directions of one run, drawn on their principal axes, at a share and seed of the person's choice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from hormesis.dashboard.charts import toy as charts
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows import toy
from hormesis.dashboard.rows.cache import Database

FLAT, DEEP = "2-D", "3-D"
REFERENCE = 1.0
NETWORKS = {"trained": "Trained", "frozen": "Frozen at r = 1"}


@dataclass(frozen=True)
class View:
    """What is drawn of a run."""

    network: str
    probe: str
    cosine: str
    flat: bool


def directions(
    database: Database, experiment: int, measures: pd.DataFrame, *, probe: str, cosine: str
) -> None:
    """The pickers, and the run beside that at r = 1; `measures`: a row per run and network."""
    shares = sorted({float(share) for share in measures["share"]})
    seeds = sorted({int(seed) for seed in measures["seed"]})
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            share = st.select_slider(
                "Share r", shares, value=shares[0], key="toy_share", bind="query-params", width=320
            )
            seed = st.selectbox("Seed", seeds, key="toy_seed", bind="query-params", width=110)
            network = st.segmented_control(
                "Network",
                list(NETWORKS),
                default="trained",
                required=True,
                format_func=lambda name: NETWORKS[name],
                key="toy_network",
                bind="query-params",
            )
            view = st.segmented_control(
                "View", [FLAT, DEEP], default=FLAT, required=True, key="toy_view", bind="query-params"
            )
        chosen = View(str(network or "trained"), probe, cosine, flat=view != DEEP)
        pictures = [(float(share), "toy_directions")]
        if share != REFERENCE and REFERENCE in shares:
            pictures.append((REFERENCE, "toy_directions_equal"))
        grid = st.grid(len(pictures), min_column_width=400)
        for of_share, key in pictures:
            with grid.cell():
                vectors = toy.directions(
                    database,
                    experiment,
                    share=of_share,
                    seed=int(seed),
                    network=chosen.network,
                    probe=probe,
                )
                _picture(vectors, measures, share=of_share, seed=int(seed), view=chosen, key=key)


def _picture(
    vectors: NDArray[np.float64], measures: pd.DataFrame, *, share: float, seed: int, view: View, key: str
) -> None:
    """One run's directions [12, width]; `two`, `three`: parts of 1 that so many axes hold."""
    runs = measures[
        (measures["share"] == share) & (measures["seed"] == seed) & (measures["network"] == view.network)
    ]
    if not vectors.size or runs.empty:
        st.info("There is no such run; choose another share or seed.", icon=":material/hourglass_empty:")
        return
    run = runs.iloc[0]
    _, two, three = charts.principal(vectors)
    out = pd.DataFrame(vectors, columns=[f"dimension {place + 1}" for place in range(vectors.shape[1])])
    out.insert(0, "feature", [charts.feature_name(place) for place in range(len(vectors))])
    card.chart(
        charts.directions(vectors, signed=view.cosine == "signed", flat=view.flat),
        key=key,
        title=f"The 12 directions at r = {share:g}, seed {seed}",
        alt=f"Unit directions of the 12 features at r = {share:g}, on principal axes, rare ones in orange",
        guide=(
            "Arrows from the origin, all of length 1 before projection: a short one points out of the "
            "picture. Hover a tip for its nearest other direction."
        ),
        note=(
            f"The axes hold {(two if view.flat else three):.0%} of the directions' squared length. "
            f"u = {run[f'rare_{view.cosine}']:.3f}, c = {run[f'control_{view.cosine}']:.3f}; accuracy on the "
            f"rare chain {run['rare_accuracy']:.2f}."
        ),
        rows=out,
    )
