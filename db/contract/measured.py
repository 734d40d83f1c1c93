"""Numbers in the model service's answers: what a steering costs, and what the texts of a pane come to."""

from __future__ import annotations

from pydantic import BaseModel


class Cost(BaseModel):
    """Measured increase of held-out cross-entropy in nats per token, with its interval."""

    value: float
    low: float | None
    high: float | None
    source: str


class MeasuredSteering(BaseModel):
    """A condition that the study put a checkpoint under, with what it cost."""

    method: str
    direction: str | None
    """`mass_mean`, `probe`, or another set of the study's; null where no direction of a class is followed."""
    control: int | None
    """Index of the random direction."""
    strength: float
    """Sigmas; 0 for methods that steer nothing."""
    heads: int
    """How many of the best heads are steered."""
    scope: str
    matched_cost: float | None
    """Nats that the strength was searched for; null for a strength that the study fixed."""
    cost: Cost | None
    """Null before it was measured."""


class Mean(BaseModel):
    """A mean over texts with its 95 % interval; `low` and `high` are null for a single text."""

    value: float
    low: float | None
    high: float | None
    n: int
    interval: str
    """How the interval was made."""


class PaneSummary(BaseModel):
    """What all texts of a pane come to: the data of the event `summary`."""

    pane: int
    n: int
    """Texts."""
    empty: int
    """Texts without a word: the model ended them at once."""
    scores: dict[str, Mean]
    """Mean score by scorer, over the texts that it could judge."""
    differences: dict[str, Mean]
    """Mean of this pane's score less the first pane's, text by text of the same seed; empty for the first."""
    strength: float
    """Sigmas, as the pane asked for them or as the study matched them to a cost."""
    heads: int
    """Heads that are steered."""
    positions: int
    """Positions steered in all texts together: one for each token drawn, and with scope `all` those of the
    prompt."""
    unchanged: int | None
    """Texts that are, token by token, those of an unsteered pane with the same weights and prompt; null where
    the request has no such pane."""
    note: str
    """Why the steering changed nothing; empty where it changed a text, or where nothing can be compared."""
