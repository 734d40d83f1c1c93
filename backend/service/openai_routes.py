"""The OpenAI-style routes: names of models, and completions as JSON or as a stream.

A request's response begins once its model is loaded and its prompts fit, so that a refusal has its status.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Request
from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from hormesis.backend.api.completion_messages import (
    ApiProblem,
    Choice,
    Completion,
    CompletionRequest,
    Model,
    ModelList,
    Usage,
)
from hormesis.backend.api.model_names import ModelName
from hormesis.backend.service.authentication import client_of, refusal
from hormesis.backend.service.events import LAST, Channel, Event, compact_json, while_connected
from hormesis.backend.service.live import LiveService
from hormesis.db.contract.messages import MAX_NAME

STREAM = """With `stream`: server-sent events without names, each a chunk in JSON, then `[DONE]`; where the
request fails on the way, `{"error": ...}` and no `[DONE]`. Closing the connection cancels the request."""
CHUNK = {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}
STREAM_CONTENT = {"text/event-stream": {"itemSchema": CHUNK}}


@dataclass(frozen=True, eq=False)
class RunningCompletion:
    """A queued request: what is the same in its answer and in every chunk, and its events."""

    request: CompletionRequest
    model: str
    id: str
    events: Channel
    created: int = field(default_factory=lambda: int(time.time()))

    def chunk(self, choices: list[Choice], usage: Usage | None = None) -> Completion:
        """The answer, or a part of it."""
        return Completion(
            id=f"cmpl-{self.id}", created=self.created, model=self.model, choices=choices, usage=usage
        )


def add_openai_routes(app: FastAPI, live: LiveService, problems: dict[int | str, dict[str, Any]]) -> None:
    """Add the routes below /v1. `problems`: descriptions of refusals by status."""
    refusals = {status: {**problem, "model": ApiProblem} for status, problem in problems.items()}

    @app.get("/v1/models", summary="Names that a completion can ask for", responses=_of(refusals, 401, 503))
    def models() -> ModelList:
        return ModelList(data=[_model(name) for name in live.names()])

    @app.get(
        "/v1/models/{model:path}", summary="One of these names", responses=_of(refusals, 401, 404, 422, 503)
    )
    def model(model: Annotated[str, Path(min_length=1, max_length=MAX_NAME)]) -> Model:
        return _model(live.name(model))

    @app.post(
        "/v1/completions",
        summary="Continue prompts by a model under a stored condition, as OpenAI's completions do",
        responses={
            200: {"model": Completion, "description": STREAM, "content": STREAM_CONTENT},
            **_of(refusals, 400, 401, 404, 413, 422, 500, 503),
        },
    )
    async def completions(
        request: Request, running: Annotated[RunningCompletion, Depends(_submit)]
    ) -> Response:
        if running.request.stream:
            first = await while_connected(request, _first(running.events))
            return _failure(first) or StreamingResponse(_chunks(running), media_type="text/event-stream")
        return await while_connected(request, _answer(running))


def _of(refusals: dict[int | str, dict[str, Any]], *statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: refusals[status] for status in statuses}


def _model(name: ModelName) -> Model:
    return Model(id=name.id, created=name.created, checkpoint_id=name.checkpoint_id, condition=name.key)


async def _submit(request: Request, body: CompletionRequest) -> AsyncIterator[RunningCompletion]:
    """Queue a request before its response begins; dropped once that ends or its reader is gone."""
    live: LiveService = request.app.state.live
    events = Channel()
    job, plan = await run_in_threadpool(live.complete, body, events.put, client_of(request))
    try:
        yield RunningCompletion(body, plan.model, job.id, events)
    finally:
        live.drop(job)


async def _first(events: Channel) -> Event:
    """The first event after the request's places in the queue."""
    while (event := await events.next())[0] == "queued":
        pass
    return event


def _failure(event: Event) -> Response | None:
    """The refusal that an event stands for; None for any other event."""
    status = {"refused": 422, "error": 500}.get(event[0])
    return None if status is None else refusal(status, event[1]["message"], path="/v1/")


async def _answer(running: RunningCompletion) -> Response:
    """All continuations as one answer, or the refusal that came instead."""
    texts: dict[int, str] = {}
    choices: list[Choice] = []
    usage = None
    event = await _first(running.events)
    while event[0] != "end":
        name, data = event
        if failure := _failure(event):
            return failure
        if name in ("text", "choice"):
            texts[data["index"]] = texts.get(data["index"], "") + data["text"]
        if name == "choice":
            choices.append(Choice(**data | {"text": texts[data["index"]]}))
        elif name == "usage":
            usage = Usage(**data)
        event = await running.events.next()
    return JSONResponse(running.chunk(choices, usage).model_dump())


async def _chunks(running: RunningCompletion) -> AsyncIterator[bytes]:
    """The stream: a chunk for each piece of text, one with the reason for each continuation's end."""
    options = running.request.stream_options
    name = ""
    while name not in LAST:
        name, data = await running.events.next()
        if name in ("text", "choice"):
            yield _event(running.chunk([Choice(**{"finish_reason": None, **data})]))
        elif name == "usage" and options is not None and options.include_usage:
            yield _event(running.chunk([], Usage(**data)))
        elif name == "error":
            yield format_sse_event(data_str=compact_json({"error": data | {"type": "server_error"}}))
        elif name == "end":
            yield format_sse_event(data_str="[DONE]")


def _event(chunk: Completion) -> bytes:
    return format_sse_event(data_str=compact_json(chunk.model_dump()))
