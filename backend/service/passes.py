"""Serving one request: its panes grouped by checkpoint, each group decoded together, then scores and means.

Runs on the worker's thread alone.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hormesis.backend.generation.threads import threads_for
from hormesis.backend.service.job_queue import Job
from hormesis.backend.service.model_cache import ModelCache
from hormesis.backend.service.pane_summary import ScoredText, summarise
from hormesis.backend.service.plans import PanePlan
from hormesis.backend.service.scoring import Scoring, finite, fluency
from hormesis.db.contract.messages import (
    GenerateRequest,
    HeadVector,
    ProjectionResponse,
    ResidualVector,
    TokenProjection,
)

if TYPE_CHECKING:
    from hormesis.backend.generation.generation import Continuation
    from hormesis.backend.model.directions import HeadDirection
    from hormesis.backend.model.models import LoadedModel
    from hormesis.backend.model.steering import RowSteering

Group = list[tuple[int, PanePlan]]
"""Panes of the same weights with their place in the request."""
MOST_ROWS = 16
"""Rows of one decode pass: bounds the memory of its cache where many continuations are asked for."""


@dataclass(frozen=True, eq=False)
class Row:
    """One continuation of a pane, the `sample`-th from the request's seed on."""

    pane: int
    plan: PanePlan
    steering: RowSteering
    sample: int

    @property
    def place(self) -> dict[str, int]:
        """What an event says of where it belongs."""
        return {"pane": self.pane, "sample": self.sample}


def prepare() -> None:
    """Import torch and transformers, which takes seconds, before anybody waits for a token."""
    for room in ("model.models", "generation.streaming"):
        importlib.import_module(f"hormesis.backend.{room}")


def serve(
    job: Job, request: GenerateRequest, plans: Sequence[PanePlan], *, cache: ModelCache, scoring: Scoring
) -> None:
    """Stream every pane of a request, each text with its scores, one group of equal weights after another.

    `plans`: one per pane. Raises Stopped where the request was cancelled.
    """
    from hormesis.backend.model.steering import moves_anything

    job.emit("start", {"request_id": job.id, "panes": len(plans), "samples": request.samples})
    texts: list[list[ScoredText]] = [[] for _ in plans]
    for group in by_weights(plans):
        job.check()
        loaded = cache.get(group[0][1].checkpoint)
        job.check()
        steering = {pane: steering_of(loaded, plan) for pane, plan in group}
        step = max(1, MOST_ROWS // len(group))
        for start in range(0, request.samples, step):
            samples = range(start, min(start + step, request.samples))
            rows = [Row(pane, plan, steering[pane], sample) for sample in samples for pane, plan in group]
            _serve_rows(job, request, rows, loaded=loaded, scoring=scoring, texts=texts)
        for pane, plan in group:
            unsteered = [
                texts[other]
                for other, twin in group
                if twin.prefix == plan.prefix and not moves_anything(steering[other])
            ]
            summary = summarise(
                pane,
                plan,
                steering[pane],
                texts=texts[pane],
                first=texts[0],
                unsteered=unsteered[0] if unsteered else None,
            )
            job.emit("summary", summary.model_dump())


def _serve_rows(
    job: Job,
    request: GenerateRequest,
    rows: Sequence[Row],
    *,
    loaded: LoadedModel,
    scoring: Scoring,
    texts: list[list[ScoredText]],
) -> None:
    """Decode rows of equal weights in one pass and tell each with its scores; they are added to `texts`."""
    checkpoint = rows[0].plan.checkpoint
    began = time.perf_counter()
    with threads_for(checkpoint.parameters):
        continuations = _stream(job, request, rows, loaded=loaded)
    seconds = time.perf_counter() - began
    job.check()
    values, absent = scoring.score(
        [continuation.text for continuation in continuations], checkpoint, [request.prompt] * len(rows)
    )
    for index, (row, continuation) in enumerate(zip(rows, continuations, strict=True)):
        scores = {name: scores[index] for name, scores in values.items()}
        texts[row.pane].append(ScoredText(continuation, scores))
        cost = row.plan.cost
        result = {
            "text": continuation.text,
            "tokens": continuation.tokens,
            "finished": continuation.finished,
            "truncated": continuation.truncated,
            "seconds": round(seconds, 4),
            "scores": scores,
            "fluency": fluency(continuation.text),
            "absent": absent,
            "cost": None if cost.cost is None else cost.cost.model_dump(),
            "cost_note": cost.note,
        }
        job.emit("done", row.place | result)


def by_weights(plans: Sequence[PanePlan]) -> list[Group]:
    """Group panes by checkpoint, and by what was tuned from it, in order of first appearance."""
    groups: dict[tuple[int, str, str], Group] = {}
    for index, plan in enumerate(plans):
        groups.setdefault(plan.checkpoint.key, []).append((index, plan))
    return list(groups.values())


def steering_of(loaded: LoadedModel, plan: PanePlan) -> RowSteering:
    """The row's intervention and strength, as offline generation takes them.

    Raises SteeringError where a vector of the request does not fit the model.
    """
    from hormesis.backend.model.added_vectors import with_vectors
    from hormesis.backend.model.steering import iti

    pane = plan.pane
    row: RowSteering = (None, 0.0)
    if plan.steering:
        row = iti(loaded.sites, plan.steering, pane.scope), pane.strength
    if not pane.has_vectors:
        return row
    heads = {(shift.layer, shift.head): scaled(shift) for shift in pane.head_vectors}
    residual = {shift.layer: scaled(shift) for shift in pane.residual_vectors}
    return with_vectors(loaded, row, pane.scope, heads=heads, residual=residual)


def scaled(shift: HeadVector | ResidualVector) -> NDArray[np.float32]:
    """What is added: a request's vector times its strength, float32."""
    return np.asarray(shift.vector, np.float32) * np.float32(shift.strength)


def _stream(
    job: Job, request: GenerateRequest, rows: Sequence[Row], *, loaded: LoadedModel
) -> list[Continuation]:
    """Decode rows in one pass, telling each piece of text with its projection."""
    from hormesis.backend.generation.streaming import stream

    counts = [0] * len(rows)
    projections: list[float | None] = [None] * len(rows)

    def on_projection(row: int, value: float) -> None:
        projections[row] = finite(value)

    def on_token(row: int, _: int, text: str) -> None:
        piece = {"index": counts[row], "text": text, "projection": projections[row]}
        counts[row] += 1
        job.emit("token", rows[row].place | piece)

    return stream(
        loaded,
        [(request.prompt, row.steering, (request.seed + row.sample)) for row in rows],
        on_token,
        should_stop=job.cancelled,
        new_tokens=request.new_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        head_directions=rows[0].plan.reading,
        on_projection=on_projection,
        prefixes=[row.plan.prefix for row in rows],
    )


def project(loaded: LoadedModel, texts: Sequence[str], direction: HeadDirection) -> ProjectionResponse:
    """Every token of the texts with its projection on a head's direction. Raises SteeringError."""
    from hormesis.backend.generation.token_projections import token_projections

    with threads_for(loaded.parameters):
        by_text = token_projections(loaded, texts, direction)
    return ProjectionResponse(
        texts=[
            [TokenProjection(text=text, projection=finite(value)) for text, value in tokens]
            for tokens in by_text
        ]
    )
