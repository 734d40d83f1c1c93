"""What the service offers, put into words: checkpoints, their methods and their heads."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import streamlit as st

from hormesis.dashboard.app_pages.steer import client
from hormesis.dashboard.base.wording import arm_label, head_name
from hormesis.db.contract.measured import MeasuredSteering
from hormesis.db.contract.messages import HeadInfo, MethodInfo, ModelInfo


class Offer(ModelInfo):
    """A checkpoint that can be asked for, as the page names it."""

    label: str
    is_of_study: bool
    """Whether it is of the study on show."""

    @property
    def steerable(self) -> bool:
        """Whether there is a method beside leaving it alone."""
        return len(self.methods) > 1

    @property
    def most_heads(self) -> int:
        """Heads it has."""
        return max(1, sum(self.heads_by_layer.values()))

    @property
    def usual_heads(self) -> int:
        """Heads that its study steers, else the usual share of all."""
        return min(self.heads_selected or max(4, round(0.08 * self.most_heads)), self.most_heads)

    @property
    def head_names(self) -> list[str]:
        """Names of all heads, by layer."""
        return [head_name(layer, head) for layer, n in self.heads_by_layer.items() for head in range(n)]

    def method(self, name: str) -> MethodInfo:
        """The method of that name, else the first."""
        return next((method for method in self.methods if method.name == name), self.methods[0])

    def measured_under(
        self, method: MethodInfo, *, direction: str | None, control: int | None
    ) -> list[MeasuredSteering]:
        """Its conditions of a method along these directions, the weakest first; what it does not heed is
        passed over."""
        rows = [
            row
            for row in self.measured
            if row.method == method.name
            and ("direction" not in method.settings or row.direction == direction)
            and ("control" not in method.settings or row.control == control)
        ]
        return sorted(rows, key=lambda row: row.strength)

    def matched_under(
        self, method: MethodInfo, *, direction: str | None, control: int | None
    ) -> dict[float, MeasuredSteering]:
        """Those whose strength the study matched to a cost, by that cost in nats, the cheapest first."""
        rows = self.measured_under(method, direction=direction, control=control)
        matched = {row.matched_cost: row for row in rows if row.matched_cost is not None}
        return dict(sorted(matched.items()))


@st.cache_data(ttl=2.0, max_entries=4, show_spinner=False)
def _models(address: str) -> list[ModelInfo]:
    return client.models(address)


@st.cache_data(ttl=30.0, max_entries=32, show_spinner=False)
def _heads(address: str, checkpoint_id: int, token: str) -> list[HeadInfo]:
    return client.heads(address, checkpoint_id)


def ask_anew() -> None:
    """Have the service asked for its checkpoints the next time: it may be gone."""
    _models.clear()


def absent(address: str, study_id: int) -> list[ModelInfo]:
    """Checkpoints of the study on show whose weights cannot be loaded. Raises ServiceProblem."""
    return [model for model in _models(address) if model.problem and model.study_id == study_id]


def load(address: str, offer: Offer) -> None:
    """Have the service load a checkpoint, once in a session, before somebody waits for its first token."""
    checkpoints = st.session_state.setdefault("_loading", set())
    if not offer.loaded and (place := (address, offer.checkpoint_id)) not in checkpoints:
        checkpoints.add(place)
        client.load(address, offer.checkpoint_id)


def offers(address: str, study_id: int) -> list[Offer]:
    """Checkpoints that can be loaded, those of the study on show first; alike labels get the checkpoint's id.

    Raises ServiceProblem.
    """
    models = sorted(
        (model for model in _models(address) if not model.problem),
        key=lambda model: (
            model.study_id != study_id,
            model.kind != "toxic",
            model.share or 0,
            model.seed or 0,
        ),
    )
    labels = [_label(model, study_id) for model in models]
    counts = Counter(labels)
    return [
        Offer(
            **dict(model),
            label=label if counts[label] == 1 else f"{label} (checkpoint {model.checkpoint_id})",
            is_of_study=model.study_id == study_id,
        )
        for model, label in zip(models, labels, strict=True)
    ]


def heads(address: str, offer: Offer, token: str) -> pd.DataFrame:
    """Probed heads of a checkpoint with their numbers and `order`; empty where none was probed.

    `token` is the database's change token. Raises ServiceProblem.
    """
    heads = pd.DataFrame([dict(head) for head in _heads(address, offer.checkpoint_id, token)])
    return heads.astype({"rank": "float64"}) if len(heads) else heads


def _label(model: ModelInfo, study_id: int) -> str:
    imported = model.kind == "imported" or model.share is None
    name = model.name if imported else arm_label(model.kind, model.share, model.seed)
    return name if model.study_id == study_id else f"{model.study}: {name}"
