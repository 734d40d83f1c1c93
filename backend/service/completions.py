"""Serving one OpenAI-style completion: its plan from the database, then one decode pass over all its rows.

The plan is that of the stored condition itself: its weights, prefix, heads, directions, strength and scope.
The decoder, the queue and the cache of models are those of `passes`. Runs on the worker's thread alone.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from hormesis.backend.api.completion_messages import DEFAULT_TOKENS, CompletionRequest
from hormesis.backend.api.model_names import model_of_name
from hormesis.backend.api.stop_strings import StoppedText
from hormesis.backend.generation.threads import threads_for
from hormesis.backend.model.directions import HeadDirection, NoDirections, require_directions
from hormesis.backend.service.catalogue import find_checkpoint
from hormesis.backend.service.costs import PaneCost
from hormesis.backend.service.job_queue import Job
from hormesis.backend.service.model_cache import ModelCache
from hormesis.backend.service.passes import steering_of
from hormesis.backend.service.plans import PanePlan, check_vectors, tuned_record
from hormesis.backend.service.ranked_heads import PaneProblem, RankedHeads
from hormesis.db.contract.messages import MAX_SEED, Pane
from hormesis.db.contract.methods import NONE, SCOPES, has_own_heads
from hormesis.db.schema import Condition

if TYPE_CHECKING:
    from hormesis.backend.generation.generation import Continuation
    from hormesis.backend.model.loaded import LoadedModel

SEEDS = 2**64
"""Seeds that a row can have; negative ones count from the end."""


@dataclass(frozen=True, eq=False)
class CompletionPlan:
    """What a request's name stands for."""

    model: str
    """The name in its listed form."""
    pane: PanePlan


def plan_completion(connection: Connection, request: CompletionRequest) -> CompletionPlan:
    """Plan a request from one state of the database; `condition`: the stored row, empty for none.

    Raises UnknownName, AmbiguousName, and PaneProblem where a vector does not fit the checkpoint or a stored
    direction is gone.
    """
    name = model_of_name(connection, request.model)
    query = select(Condition.__table__).where(Condition.id == name.condition_id)
    stored = connection.execute(query).mappings().one_or_none()
    condition: dict[str, Any] = {} if stored is None else dict(stored)
    # Not validated: a study's own strengths may lie above what a request may ask for.
    pane = Pane.model_construct(
        checkpoint_id=name.checkpoint_id,
        method=condition.get("method", NONE),
        strength=condition.get("strength", 0.0),
        scope=condition.get("scope", SCOPES[0]),
        head_vectors=request.head_vectors,
        residual_vectors=request.residual_vectors,
    )
    check_vectors(connection, pane)
    parameters = condition.get("parameters") or {}
    plan = PanePlan(
        pane=pane,
        checkpoint=tuned_record(find_checkpoint(connection, name.checkpoint_id), parameters),
        steering=_directions(connection, name.checkpoint_id, condition.get("direction_method")),
        reading=(),
        cost=PaneCost(None),
        prefix=str(parameters.get("prefix", "")),
    )
    return CompletionPlan(name.id, plan)


def _directions(connection: Connection, checkpoint: int, method: str | None) -> tuple[HeadDirection, ...]:
    """Directions of the heads that a condition moves: of those selected, or of the set's own.

    `checkpoint`: its id; `method`: stored name of the directions, None where nothing is steered.
    """
    if method is None:
        return ()
    ranked = RankedHeads.read(connection, checkpoint)
    places = [] if ranked is None else ranked.places if has_own_heads(method) else ranked.selected
    by_place = {} if ranked is None else ranked.directions(connection, method, places)
    directions = tuple(by_place.values())
    try:
        require_directions(directions, method)
    except NoDirections as problem:
        raise PaneProblem(str(problem)) from None
    return directions


def serve_completion(
    job: Job, request: CompletionRequest, plan: CompletionPlan, *, cache: ModelCache
) -> None:
    """Generate every row of a request, telling text as it comes. Raises Stopped and ModelError.

    Events: `refused` {message} and nothing more, or `ready` {}, `text` {index, text}, `choice` {index, text:
    what was held back, finish_reason}, `usage` {prompt_tokens, completion_tokens, total_tokens}.
    """
    from hormesis.backend.generation.generation import GenerationError
    from hormesis.backend.model.steering import SteeringError

    loaded = cache.get(plan.pane.checkpoint)
    job.check()
    try:
        prompt_tokens = _count_prompt_tokens(loaded, request, plan.pane.prefix)
        steering_of(loaded, plan.pane)
    except (GenerationError, SteeringError) as error:
        job.emit("refused", {"message": str(error)})
        return
    job.emit("ready", {})
    texts = [StoppedText(request.stops) for _ in range(len(request.prompts) * request.count)]
    with threads_for(plan.pane.checkpoint.parameters):
        continuations = _stream(job, request, plan.pane, loaded=loaded, texts=texts)
    job.check()
    completion_tokens = 0
    for index, (text, continuation) in enumerate(zip(texts, continuations, strict=True)):
        is_over = text.is_stopped or continuation.finished
        reason = "stop" if is_over else "length"
        job.emit("choice", {"index": index, "text": text.rest(), "finish_reason": reason})
        completion_tokens += min(text.tokens, continuation.tokens)
    total = prompt_tokens + completion_tokens
    counts = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}
    job.emit("usage", counts)


def _count_prompt_tokens(loaded: LoadedModel, request: CompletionRequest, prefix: str) -> int:
    """Tokens of all prompts, each behind the prefix. Raises GenerationError where one leaves no room."""
    from hormesis.backend.generation.generation import GenerationError, encode_behind

    new_tokens = _new_tokens(request)
    ids, is_cut = encode_behind(loaded, request.prompts, prefix, new_tokens=new_tokens)
    if any(is_cut):
        raise GenerationError(
            f"prompt {is_cut.index(True)} is too long: it and max_tokens = {new_tokens} are more than the "
            f"model's context of {loaded.context} tokens"
        )
    return sum(len(row) for row in ids)


def _stream(
    job: Job, request: CompletionRequest, plan: PanePlan, *, loaded: LoadedModel, texts: list[StoppedText]
) -> list[Continuation]:
    """One pass over all rows, prompt by prompt; ends early once each has met a stop string or its end token.

    `texts`: what is told of each row; `speaking`: rows of which a token was told in this step.
    """
    from hormesis.backend.generation.streaming import stream

    steering = steering_of(loaded, plan)
    seed = secrets.randbelow(MAX_SEED) if request.seed is None else request.seed
    seeds = [(seed + sample) % SEEDS for sample in range(request.count)]
    rows = [(prompt, steering, seed) for prompt in request.prompts for seed in seeds]
    speaking: set[int] = set()

    def on_token(row: int, _: int, piece: str) -> None:
        if texts[row].is_stopped:
            return
        speaking.add(row)
        if text := texts[row].add(piece):
            job.emit("text", {"index": row, "text": text})

    def should_stop() -> bool:
        # A row of which no token was told has come to its end token or its stop string.
        is_over = not any(row in speaking and not texts[row].is_stopped for row in range(len(rows)))
        speaking.clear()
        return is_over or job.cancelled()

    return stream(
        loaded,
        rows,
        on_token,
        should_stop=should_stop,
        new_tokens=_new_tokens(request),
        temperature=1.0 if request.temperature is None else request.temperature,
        top_p=1.0 if request.top_p is None else request.top_p,
        prefixes=[plan.prefix] * len(rows),
    )


def _new_tokens(request: CompletionRequest) -> int:
    return request.max_tokens or DEFAULT_TOKENS
