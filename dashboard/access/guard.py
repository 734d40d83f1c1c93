"""Log-in with a shared token before every HTTP request and WebSocket (plain ASGI), and its session cookie.

The cookie holds a time signed with a key made from the token (HMAC-SHA256, itsdangerous), never the token.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from pathlib import Path
from urllib.parse import parse_qs

from itsdangerous import BadSignature, TimestampSigner
from jinja2 import Template
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hormesis.dashboard.access import oidc
from hormesis.dashboard.access.audience import AccessProblem, Audience, LogIn, audience_of_server, log_in_of
from hormesis.db.contract.tokens import is_same, token_from_environment

COOKIE = "hormesis_viewer"
COOKIE_SECONDS = 7 * 24 * 3600
MAX_FORM_BYTES = 4096
BODY_SECONDS = 20
"""As the model service waits for what is sent to it."""
MOST_WRONG = 20
"""Wrong tokens in a minute, from everybody together, after which nobody is let in for the rest of it."""
HEALTH = "/_stcore/health"
FORWARDED = (
    "forwarded",
    "via",
    "x-real-ip",
    *(f"x-forwarded-{name}" for name in ("for", "host", "proto", "server")),
)
UNTOLD = (
    "this came through a proxy that the dashboard was not told of: "
    "start it with --allow NAME or --base-path PATH"
)
NO_STORE = {"cache-control": "no-store"}
PAGE = Template((Path(__file__).parent / "log_in.html.jinja").read_text(encoding="utf-8"), autoescape=True)


class Guard:
    """Lets everybody in at this machine alone; elsewhere asks for the cookie, which the log-in page gives.

    Where Streamlit's OpenID Connect is set up the pages themselves ask (`oidc.py`).
    """

    def __init__(self, app: ASGIApp, *, audience: Audience | None = None) -> None:
        """`audience`: that of the server by default, whose options are read now and not before."""
        self._app, self._audience = app, audience or audience_of_server()
        self._token = token_from_environment() or ""
        self._signer = TimestampSigner(
            self._token, salt=COOKIE, key_derivation="hmac", digest_method=hashlib.sha256
        )
        self._wrong: deque[float] = deque(maxlen=MOST_WRONG)
        self._log_in: LogIn | AccessProblem
        try:
            self._log_in = log_in_of(self._audience)
        except AccessProblem as problem:
            self._log_in = problem
        if self._log_in == "oidc":
            oidc.PAGES_ASK.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or answer it (ASGI)."""
        answer = None if scope["type"] == "lifespan" else await self._answer(scope, receive)
        if answer is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "log in first"})
        else:
            await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        """What is answered in place of a page; None lets the request pass."""
        connection = HTTPConnection(scope)
        if not self._audience.is_shared:
            # No browser speaks HTTP/1.0, and a proxy that was not set up otherwise does.
            is_old = scope.get("http_version") == "1.0"
            is_proxied = is_old or any(name in connection.headers for name in FORWARDED)
            return PlainTextResponse(UNTOLD, 403) if is_proxied else None
        if scope["path"] == self._audience.base_path + HEALTH:
            return None
        if isinstance(self._log_in, AccessProblem):
            return PlainTextResponse(str(self._log_in), 403)
        if self._log_in == "oidc" or self._is_signed(connection.cookies.get(COOKIE, "")):
            return None
        if scope["type"] == "http" and scope["method"] == "POST":
            return await self._logged_in(Request(scope, receive))
        return _page("", 401)

    def _is_signed(self, cookie: str) -> bool:
        try:
            return bool(self._signer.unsign(cookie, max_age=COOKIE_SECONDS))
        except BadSignature:
            return False

    async def _logged_in(self, request: Request) -> Response:
        """The way to the page first asked for, with the cookie; or the log-in page, with what went wrong."""
        sent = await _sent_token(request)  # first: while it is read others are counted
        if len(self._wrong) == MOST_WRONG and time.monotonic() - self._wrong[0] < 60:
            return _page("Too many wrong tokens; wait a minute.", 429)
        if not is_same(sent, self._token):
            self._wrong.append(time.monotonic())
            return _page("This is not the token of this dashboard.", 401)
        answer = RedirectResponse(_address(request.scope, self._audience.base_path), 303, NO_STORE)
        proxy_scheme = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
        answer.set_cookie(
            COOKIE,
            self._signer.sign(b"viewer").decode(),
            max_age=COOKIE_SECONDS,
            path=self._audience.base_path or "/",
            secure="https" in (request.url.scheme, proxy_scheme),
            httponly=True,
            samesite="lax",  # a link in a message leads to the page, not to the log-in
        )
        return answer


async def _sent_token(request: Request) -> bytes:
    """The form's one field; empty where the form is longer than a token can be or never comes to its end."""
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MAX_FORM_BYTES:
                    return b""
    except (TimeoutError, ClientDisconnect):
        return b""
    return parse_qs(body.decode("latin-1")).get("token", [""])[0].strip().encode()


def _address(scope: Scope, base_path: str) -> str:
    """The path that was asked for, on this site: `//name` would be the address of another."""
    path = "/" + scope["raw_path"].decode("latin-1").lstrip("/")
    if not f"{path}/".startswith(f"{base_path}/"):
        return f"{base_path}/"
    query = scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def _page(problem: str, status: int) -> Response:
    """The log-in page. Its form is sent to the address it stands at, so a deep link is kept."""
    return HTMLResponse(PAGE.render(problem=problem), status, NO_STORE)
