"""Serving one request: its panes grouped by checkpoint, each group one decode pass, then scores.

Runs on the worker's thread alone.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hormesis.backend.service.job_queue import Job
from hormesis.backend.service.model_cache import ModelCache
from hormesis.backend.service.plans import PanePlan
from hormesis.backend.service.scoring import Scoring, finite, fluency
from hormesis.backend.service.threads import threads_for
from hormesis.db.contract.messages import GenerateRequest, HeadVector, ResidualVector

if TYPE_CHECKING:
    from hormesis.backend.generation.generation import Continuation
    from hormesis.backend.model.models import LoadedModel
    from hormesis.backend.model.steering import RowSteering

Group = list[tuple[int, PanePlan]]
"""Panes of the same weights with their place in the request."""


def prepare() -> None:
    """Import torch and transformers, which takes seconds, before anybody waits for a token."""
    for room in ("model.models", "generation.streaming"):
        importlib.import_module(f"hormesis.backend.{room}")


def serve(
    job: Job, request: GenerateRequest, plans: Sequence[PanePlan], *, cache: ModelCache, scoring: Scoring
) -> None:
    """Stream every pane of a request, each with its scores, one group of equal weights after another.

    `plans`: one per pane. Raises Stopped where the request was cancelled.
    """
    job.emit("start", {"request_id": job.id, "panes": len(plans)})
    for group in by_weights(plans):
        job.check()
        loaded = cache.get(group[0][1].checkpoint)
        job.check()
        began = time.perf_counter()
        with threads_for(group[0][1].checkpoint.parameters):
            continuations = _stream(job, request, group, loaded=loaded)
        seconds = time.perf_counter() - began
        job.check()
        texts = [continuation.text for continuation in continuations]
        prompts = [request.prompt] * len(texts)
        values, absent = scoring.score(texts, group[0][1].checkpoint, prompts)
        for row, ((pane, plan), continuation) in enumerate(zip(group, continuations, strict=True)):
            result = {
                "pane": pane,
                "text": continuation.text,
                "tokens": continuation.tokens,
                "finished": continuation.finished,
                "truncated": continuation.truncated,
                "seconds": round(seconds, 4),
                "scores": {name: scores[row] for name, scores in values.items()},
                "fluency": fluency(continuation.text),
                "absent": absent,
                "cost": None if plan.cost.cost is None else plan.cost.cost.model_dump(),
                "cost_note": plan.cost.note,
            }
            job.emit("done", result)


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


def _stream(job: Job, request: GenerateRequest, group: Group, *, loaded: LoadedModel) -> list[Continuation]:
    """Decode a group in one pass, telling each piece of text with its projection."""
    from hormesis.backend.generation.streaming import stream

    counts = [0] * len(group)
    projections: list[float | None] = [None] * len(group)

    def on_projection(row: int, value: float) -> None:
        projections[row] = finite(value)

    def on_token(row: int, _: int, text: str) -> None:
        piece = {"pane": group[row][0], "index": counts[row], "text": text, "projection": projections[row]}
        counts[row] += 1
        job.emit("token", piece)

    return stream(
        loaded,
        [(request.prompt, steering_of(loaded, plan), request.seed) for _, plan in group],
        on_token,
        should_stop=job.cancelled,
        new_tokens=request.new_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        head_directions=group[0][1].reading,
        on_projection=on_projection,
        prefixes=[plan.prefix for _, plan in group],
    )
