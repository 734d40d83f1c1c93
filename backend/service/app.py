"""The FastAPI application: routes and exception handlers; the work is `backend.service.live`."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse

from hormesis.backend.api.endpoints_page import POLICY, endpoints_page
from hormesis.backend.api.model_names import NameProblem
from hormesis.backend.service.authentication import Guard, client_of, refusal
from hormesis.backend.service.catalogue import UnknownCheckpoint
from hormesis.backend.service.events import LAST, Channel, while_connected
from hormesis.backend.service.job_queue import Emit, Job, QueueFull
from hormesis.backend.service.live import LiveService
from hormesis.backend.service.openai_routes import add_openai_routes
from hormesis.backend.service.settings import ServiceError, Settings, require_token
from hormesis.db.contract.hosts import Hosts
from hormesis.db.contract.messages import (
    MAX_ID,
    Cancelled,
    CheckpointName,
    GenerateRequest,
    HeadInfo,
    Health,
    Loading,
    ModelInfo,
    Problem,
    ProjectionRequest,
    ProjectionResponse,
    ScoreRequest,
    ScoreResponse,
    explain,
)
from hormesis.db.engine import DatabaseProblem

VERSION = importlib.metadata.version("hormesis")
log = logging.getLogger(__name__)
Body = TypeVar("Body")
STREAM = """Server-sent events, each with JSON data: `queued` {request_id, position: requests ahead},
`start` {request_id, panes, samples}, `token` {pane, sample, index, text, projection}, for each text `done`
{pane, sample, text, tokens, finished, truncated, seconds, scores, absent, fluency, cost, cost_note}, for each
pane `summary` {pane, n, empty, scores, differences, strength, heads, positions, unchanged, note}, then `end`
{} or `error` {message}. In a summary, `scores` and `differences` (to the first pane, text by text of the same
seed) hold {value, low, high, n, interval} by scorer, over the texts that have one; `empty` counts texts
without a word, whose scores are null, `positions` those steered in all texts, `unchanged` the texts that are
those of the unsteered pane, `note` says why a steering changed none. Lines that
begin with a colon are to be ignored. Closing the connection cancels the request."""

EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["queued", "start", "token", "done", "summary", "end", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}
"""One event of the stream, for the OpenAPI description."""


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    words = {
        400: "Not readable",
        401: "No token",
        404: "Not found",
        413: "Too large",
        422: "Out of bounds",
        500: "The request failed, e.g. since its weights are gone",
        503: "The queue is full, or the database cannot be read",
    }
    return {status: {"model": Problem, "description": words[status]} for status in statuses}


def create_app(settings: Settings) -> FastAPI:
    """The service as an ASGI application. Raises ServiceError where the settings are not safe to serve."""
    require_token(settings)
    live = LiveService(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(live.close)

    app = FastAPI(
        title="Hormesis live service",
        version=VERSION,
        description="Live generation under steering, and scores, for the checkpoints of a study database.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.live = live
    hosts = Hosts(settings.host) if settings.loopback else None
    app.add_middleware(Guard, token=settings.token, hosts=hosts)
    _add_refusals(app)
    _add_reading(app, live)
    _add_work(app, live)
    add_openai_routes(app, live, _problems(400, 401, 404, 413, 422, 500, 503))
    _add_page(app, live)
    return app


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return refusal(422, explain(list(error.errors())), path=request.url.path)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        return refusal(error.status_code, str(error.detail), headers, path=request.url.path)

    @app.exception_handler(ServiceError)
    async def service(request: Request, error: ServiceError) -> JSONResponse:
        status = {UnknownCheckpoint: 404, QueueFull: 503}.get(type(error), 422)
        headers = {"retry-after": "2"} if status == 503 else None
        return refusal(status, str(error), headers, path=request.url.path)

    @app.exception_handler(NameProblem)
    async def name(request: Request, error: NameProblem) -> JSONResponse:
        return refusal(error.status, str(error), path=request.url.path)

    @app.exception_handler(DatabaseProblem)
    async def database(request: Request, error: DatabaseProblem) -> JSONResponse:
        return refusal(503, str(error), {"retry-after": "2"}, path=request.url.path)


def _add_reading(app: FastAPI, live: LiveService) -> None:
    @app.get("/health", summary="Is the service there, and how busy is it")
    async def health() -> Health:
        return Health(status="ok", version=VERSION, **live.state())

    @app.get("/models", summary="Checkpoints that can be asked for", responses=_problems(401, 503))
    def models() -> list[ModelInfo]:
        return live.models()

    @app.get(
        "/models/{checkpoint:path}/heads",
        summary="Probed heads of a checkpoint, named by id or name, by layer and head",
        responses=_problems(401, 404, 422, 503),
    )
    def heads(checkpoint: Annotated[CheckpointName, Path()]) -> list[HeadInfo]:
        return live.heads(_id_or_name(checkpoint))

    @app.post(
        "/models/{checkpoint:path}/load",
        summary="Load a small checkpoint before its first request",
        status_code=202,
        responses=_problems(401, 404, 422, 503),
    )
    def load(request: Request, checkpoint: Annotated[CheckpointName, Path()]) -> Loading:
        return Loading(loading=live.prepare(_id_or_name(checkpoint), client_of(request)))


def _id_or_name(checkpoint: str) -> int | str:
    is_id = checkpoint.isascii() and checkpoint.isdecimal() and len(checkpoint) < len(str(MAX_ID))
    return int(checkpoint) if is_id else checkpoint


async def _submit(request: Request, body: GenerateRequest) -> AsyncIterator[Channel]:
    """Queue a request before its response begins, so that a refusal has its status; dropped once it ends."""
    live: LiveService = request.app.state.live
    events = Channel()
    job = await run_in_threadpool(live.submit, body, events.put, client_of(request))
    try:
        yield events
    finally:
        live.drop(job)


async def _queued(
    request: Request, live: LiveService, submit: Callable[[Body, Emit, str], Job], body: Body
) -> Any:
    """The whole answer of a request that waits in a queue; no thread waits with it.

    Raises what `submit` does, and ServiceError where the work fails.
    """
    events = Channel()
    job = await run_in_threadpool(submit, body, events.put, client_of(request))
    try:
        return await while_connected(request, _answer(events))
    finally:
        live.drop(job)


async def _answer(events: Channel) -> Any:
    answer = None
    name = ""
    while name not in LAST:
        name, data = await events.next()
        answer = data.get("answer", answer)
    if answer is None:
        raise ServiceError(str(data.get("message", "the request failed")))
    return answer


def _add_page(app: FastAPI, live: LiveService) -> None:
    @app.get("/", include_in_schema=False)
    def page(request: Request) -> HTMLResponse:
        try:
            names = [name.id for name in live.names()]
        except DatabaseProblem:
            names = []
        html = endpoints_page(app.openapi(), address=str(request.base_url), models=names)
        return HTMLResponse(html, headers={"content-security-policy": POLICY})


def _add_work(app: FastAPI, live: LiveService) -> None:
    @app.post(
        "/generate",
        summary="Continue a prompt in one to four panes",
        response_class=EventSourceResponse,
        responses={
            200: {"description": STREAM, "content": {"text/event-stream": {"itemSchema": EVENT}}},
            **_problems(400, 401, 404, 413, 422, 503),
        },
    )
    async def generate(events: Annotated[Channel, Depends(_submit)]) -> AsyncIterator[ServerSentEvent]:
        async for event in events:
            yield event

    @app.delete(
        "/requests/{request_id}",
        summary="Cancel a waiting or running request",
        responses=_problems(401, 404, 422),
    )
    def cancel(request_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]) -> Cancelled:
        if not live.cancel(request_id):
            raise HTTPException(404, f"no request {request_id} is waiting or running")
        return Cancelled(request_id=request_id)

    @app.post(
        "/projections",
        summary="Project every token of texts on the direction of one head",
        responses=_problems(400, 401, 404, 413, 422, 503),
    )
    async def projections(request: Request, body: ProjectionRequest) -> ProjectionResponse:
        answer: ProjectionResponse = await _queued(request, live, live.project, body)
        return answer

    @app.post(
        "/score",
        summary="Score texts by every scorer that is available",
        responses=_problems(400, 401, 404, 413, 422, 503),
    )
    async def score(request: Request, body: ScoreRequest) -> ScoreResponse:
        answer: ScoreResponse = await _queued(request, live, live.score, body)
        return answer
