"""What the service offers, put into words: checkpoints, their methods and their heads. Knows no widgets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.live import client
from dashboard.wording import arm_label, head_name

NONE = "none"


@dataclass(frozen=True)
class Method:
    """A detox method of a checkpoint, and the settings of a pane that it heeds."""

    name: str
    title: str
    settings: frozenset[str]
    prefix: str = ""
    """Text that it puts before the prompt."""


@dataclass(frozen=True)
class Offer:
    """A checkpoint that can be asked for."""

    checkpoint_id: int
    label: str
    n_layers: int
    n_heads: int
    selected: int
    directions: tuple[str, ...]
    controls: tuple[int, ...]
    methods: tuple[Method, ...]
    own: bool = True
    """Whether it is of the study on show."""
    kind: str = "toxic"
    share: float = 0.0

    @property
    def steerable(self) -> bool:
        """Whether there is a method beside leaving it alone."""
        return len(self.methods) > 1

    @property
    def most_heads(self) -> int:
        """Heads it has."""
        return max(1, self.n_layers * self.n_heads)

    @property
    def usual_heads(self) -> int:
        """Heads that its study steers, else the usual share of all."""
        return min(self.selected or max(4, round(0.08 * self.most_heads)), self.most_heads)

    @property
    def head_names(self) -> list[str]:
        """Names of all heads, by layer."""
        return [head_name(layer, head) for layer in range(self.n_layers) for head in range(self.n_heads)]

    def method(self, name: str) -> Method:
        """The method of that name, else the first."""
        return next((method for method in self.methods if method.name == name), self.methods[0])


@st.cache_data(ttl=2.0, max_entries=4, show_spinner=False)
def _models(address: str) -> list[dict[str, Any]]:
    return client.models(address)


@st.cache_data(ttl=30.0, max_entries=32, show_spinner=False)
def _heads(address: str, checkpoint_id: int, token: str) -> list[dict[str, Any]]:
    return client.heads(address, checkpoint_id)


def offers(address: str, study_id: int) -> list[Offer]:
    """Checkpoints of the study on show first, then all others. Raises ServiceProblem."""
    models = sorted(
        _models(address),
        key=lambda row: (
            row.get("study_id") != study_id,
            row.get("kind") != "toxic",
            row.get("share") or 0,
            row.get("seed") or 0,
        ),
    )
    labels = [_label(row, study_id) for row in models]
    often = Counter(labels)
    try:
        return [
            _offer(
                row,
                label if often[label] == 1 else f"{label} (checkpoint {row['checkpoint_id']})",
                study_id,
            )
            for row, label in zip(models, labels, strict=True)
        ]
    except (KeyError, TypeError):
        raise client.ServiceProblem("The model service is of another version than this dashboard.") from None


def heads(address: str, offer: Offer, token: str) -> pd.DataFrame:
    """Probed heads of a checkpoint with their numbers and `order`; empty where none was probed.

    `token` is the database's change token. Raises ServiceProblem.
    """
    table = pd.DataFrame(_heads(address, offer.checkpoint_id, token))
    return table.astype({"rank": "float64"}) if len(table) else table


def _label(row: dict[str, Any], study_id: int) -> str:
    if row.get("kind") == "imported" or row.get("share") is None:
        name = str(row.get("name"))
    else:
        name = arm_label(str(row["kind"]), float(row["share"]), row.get("seed"))
    return name if row.get("study_id") == study_id else f"{row.get('study', 'other study')}: {name}"


def _offer(row: dict[str, Any], label: str, study_id: int) -> Offer:
    methods = tuple(
        Method(
            str(method["name"]),
            str(method["title"]),
            frozenset(method["settings"]),
            str(method.get("prefix") or ""),
        )
        for method in row["methods"]
    )
    return Offer(
        int(row["checkpoint_id"]),
        label,
        int(row["n_layers"]),
        int(row["n_heads"]),
        int(row["heads_selected"]),
        tuple(str(name) for name in row["directions"]),
        tuple(int(index) for index in row["controls"]),
        methods or (Method(NONE, "Unsteered", frozenset()),),
        row.get("study_id") == study_id,
        str(row.get("kind")),
        float(row.get("share") or 0.0),
    )
