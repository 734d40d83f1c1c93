"""Rows of the geometry page beyond probes and projections, cached until the database changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import rows
from dashboard.context import Context
from db import read

STATISTICS = {
    "Mean": "mean",
    "Median": "median",
    "90th percentile": "p90",
    "Best head": "max",
    "Above 0.7": "above-0.7",
    "Above 0.8": "above-0.8",
    "Above 0.85": "above-0.85",
    "Above 0.9": "above-0.9",
}


def position(found: Context) -> str:
    """The study's own probing position."""
    return str((found.config.get("probe") or {}).get("position", "last"))


def entangled(found: Context) -> pd.DataFrame:
    """Entanglement of every kept head of every checkpoint."""
    table = rows.call(found, "entanglement", found.study_id, position=position(found))
    return table.assign(kind=table["kind"].astype(object).where(table["kind"].notna(), "imported"))


def cosines(found: Context, checkpoint_id: int) -> pd.DataFrame:
    """Cosines of toxicity with every other feature in every kept head of a checkpoint."""
    return rows.call(found, "feature_cosines", checkpoint_id, position=position(found))


def words(found: Context, checkpoint_id: int, layer: int, head: int) -> pd.DataFrame:
    """Tokens that a head's direction raises and lowers."""
    return rows.call(found, "lens_tokens", checkpoint_id, layer, head, position=position(found))


def worded_heads(found: Context, checkpoint_id: int) -> set[tuple[int, int]]:
    """Heads of a checkpoint that have such tokens."""
    table = rows.call(found, "lens_heads", checkpoint_id, position=position(found))
    return set(zip(table["layer"].astype(int), table["head"].astype(int), strict=True))


def head_summaries(found: Context) -> pd.DataFrame:
    """Statistics of the heads of every arm."""
    return rows.call(found, "head_summaries", found.study_id)


@st.cache_resource(max_entries=32, show_spinner=False)
def _components(
    url: str, token: str, checkpoint_id: int, layer: int, head: int, at: str
) -> pd.DataFrame | None:
    stored = read.activations(rows.engine(url), checkpoint_id, layer, head, at)
    if stored is None or len(stored.values) < 3:
        return None
    centred = stored.values - stored.values.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:3] * np.sign(axes[np.arange(len(axes[:3])), np.abs(axes[:3]).argmax(axis=1)])[:, None]
    places = np.zeros((len(centred), 3))
    places[:, : len(axes)] = centred @ axes.T
    table = stored.examples.rename(columns={"id": "example_id"})
    return table.assign(x=places[:, 0], y=places[:, 1], z=places[:, 2])


def components(found: Context, checkpoint_id: int, layer: int, head: int) -> pd.DataFrame | None:
    """First three principal components of a head's activations, a row per statement; None if not kept."""
    token = read.changed_part(found.token)
    made = _components(found.url, token, checkpoint_id, layer, head, position(found))
    return None if made is None else made.copy(deep=False)


def kept_heads(found: Context) -> pd.DataFrame:
    """Heads whose activations are stored, with their checkpoints."""
    return rows.call(found, "kept_heads", found.study_id, position=position(found))


def rank_range(mine: pd.Series, table: pd.DataFrame) -> tuple[int, int]:
    """Places a head may take by test accuracy: those whose interval lies wholly above or below its own are
    surely better or worse. `table`: the heads of the same checkpoint."""
    better = int((table["accuracy_low"] > mine["accuracy_high"]).sum())
    worse = int((table["accuracy_high"] < mine["accuracy_low"]).sum())
    return better + 1, len(table) - worse
