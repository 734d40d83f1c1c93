"""Authentication middleware (plain ASGI): bearer token, Host check against DNS rebinding, body limit."""

from __future__ import annotations

import asyncio
import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hormesis.backend.api.completion_messages import ApiError, ApiProblem
from hormesis.backend.service.settings import MAX_BODY_BYTES
from hormesis.db.contract.hosts import Hosts
from hormesis.db.contract.messages import MAX_NAME, VIEWER_HEADER
from hormesis.db.contract.tokens import is_same

CODES = {401: "invalid_api_key", 404: "not_found"}
OPEN_PATHS = ("/health",)
BODY_SECONDS = 20.0
"""For all of a request's body to arrive."""
TOO_LARGE = f"the body is too large: at most {MAX_BODY_BYTES} bytes are read"


def refusal(
    status: int, message: str, headers: dict[str, str] | None = None, *, path: str = ""
) -> JSONResponse:
    """Any refusal as JSON: one line under `message`, for OpenAI-style paths inside `error`."""
    if not path.startswith("/v1/"):
        return JSONResponse({"message": message}, status, headers=headers)
    kind = "server_error" if status >= 500 else "invalid_request_error"
    problem = ApiProblem(error=ApiError(message=message, type=kind, code=CODES.get(status)))
    return JSONResponse(problem.model_dump(), status, headers=headers)


class Guard:
    """Asks for the bearer token on all but /health, and on loopback for a loopback name (`Hosts`).

    The latter keeps a web page in the person's own browser from using the service; elsewhere the token does.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Hosts | None) -> None:
        self._app = app
        self._token = token
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or refuse it (ASGI)."""
        answer = self._refused(scope) if scope["type"] == "http" else None
        await (answer or self._app)(scope, _bounded(receive), send)

    def _refused(self, scope: Scope) -> JSONResponse | None:
        """The refusal of an HTTP request; None lets it pass."""
        headers, path = dict(scope["headers"]), scope["path"]
        stranger = self._hosts.refusal(scope) if self._hosts is not None else None
        if stranger is not None:
            return refusal(stranger.status, stranger.sentence, path=path)
        stated_length = headers.get(b"content-length", b"0")
        if stated_length.isdigit() and int(stated_length[:20]) > MAX_BODY_BYTES:
            return refusal(413, TOO_LARGE, path=path)
        if self._token is None or path in OPEN_PATHS:
            return None
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer" and is_same(token.strip(), self._token):
            return None
        challenge = {"www-authenticate": "Bearer"}
        return refusal(401, "this service asks for its bearer token", challenge, path=path)


def client_of(request: Request) -> str:
    """Who asks, for taking turns: a dashboard's viewer, else an address (the token is the same for all)."""
    address = request.client.host if request.client is not None else ""
    return f"{address} {request.headers.get(VIEWER_HEADER, '')[:MAX_NAME]}"


def _bounded(receive: Receive) -> Receive:
    """The same, for a body that names no length or never ends: a 413 past the bound, a 408 past the time."""
    n_bytes, is_whole = 0, False
    until = time.monotonic() + BODY_SECONDS

    async def counted() -> Message:
        nonlocal n_bytes, is_whole
        try:
            message = await asyncio.wait_for(
                receive(), None if is_whole else max(until - time.monotonic(), 0.01)
            )
        except TimeoutError:
            raise HTTPException(
                408, f"the body took longer than {BODY_SECONDS:.0f} s", {"connection": "close"}
            ) from None
        is_whole = not message.get("more_body", False)
        n_bytes += len(message.get("body", b""))
        if n_bytes > MAX_BODY_BYTES:
            raise HTTPException(413, TOO_LARGE)
        return message

    return counted
