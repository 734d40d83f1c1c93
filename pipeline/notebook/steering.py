"""How a model is steered in a notebook, and what a folder saved so says of itself: no more than is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from hormesis.backend.model.card import card_text, steered_heads, steering_rows
from hormesis.backend.model.directions import HeadDirection
from hormesis.backend.model.export import earlier_note
from hormesis.backend.model.steering import Intervention, RowSteering, SteeringError, iti
from hormesis.db.contract.methods import ITI, Scope
from hormesis.pipeline.execution.provenance import packages
from hormesis.pipeline.notebook.probes import Heads, Probes, head_directions

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

OPENING = """\
A language model with some attention heads steered, saved by hormesis {version}. For research on
detoxification: it was not checked for any use, and can still say toxic things.
"""

MEASURED = """## Measured

Nothing: neither this model's toxicity nor what its steering costs was measured when it was saved.
"""


@dataclass(frozen=True, eq=False)
class Steering:
    """Heads moved by `-strength * sigma * vector`, with where the directions come from.

    method: their name, empty where a table gives none; source: what they were fitted on, in words.
    """

    intervention: Intervention
    strength: float
    heads: Sequence[HeadDirection]
    method: str
    source: str

    @property
    def row(self) -> RowSteering:
        """The steering of one row of a batch."""
        return self.intervention, self.strength

    def about(self) -> dict[str, Any]:
        """What goes into `steering.json` as well: the words of the card, for a program to read."""
        return {
            "method": ITI,
            "direction": self.method or None,
            "fitted_on": self.source,
            "sign": "strength counts sigmas against the directions",
            "steered_heads": steered_heads(self.heads),
            "hormesis": packages().get("hormesis", ""),
        }

    def card(self, loaded: LoadedModel, name: str) -> str:
        """The model card of `loaded`, called `name`, saved under this steering."""
        version = packages().get("hormesis", "")
        rows = [
            ("model", name),
            ("method", ITI),
            ("directions", self.method or "of a table that names no method"),
            ("fitted on", self.source),
            *steering_rows(self.heads, f"{self.strength:g} sigmas against the directions"),
        ]
        if earlier_note(loaded) is not None:
            rows.append(("steered before", "yes: `earlier` in steering.json"))
        return card_text(
            f"{name}, steered",
            OPENING.format(version=version),
            [*rows, ("hormesis", version)],
            measured=MEASURED,
            heads=self.heads,
            model_type=str(loaded.model.config.model_type),
        )


def steering_of(
    loaded: LoadedModel,
    directions: Probes | pd.DataFrame,
    heads: Heads,
    *,
    strength: float,
    method: str,
    scope: Scope,
) -> Steering:
    """What a notebook asks for (see `Model.steer`). Raises SteeringError where it does not fit."""
    if not math.isfinite(strength):
        raise SteeringError(f"strength must be a finite number, not {strength}")
    chosen = head_directions(directions, heads, method=method)
    if isinstance(directions, Probes):
        source = directions.statements
    else:
        method = method if "method" in directions else ""
        source = "unknown: the directions were given as a table"
    return Steering(iti(loaded.sites, chosen, scope), float(strength), chosen, method, source)
