"""The dashboard's application: the pages behind a check of who asks, on every way of starting it.

Streamlit runs this file as a script for each viewer. A server imports it and finds `app`: `streamlit run`,
our launcher, and any other ASGI server.
"""

from __future__ import annotations

import socket

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hormesis.dashboard.access.audience import audience_of_server
from hormesis.dashboard.access.guard import Guard
from hormesis.dashboard.running.download_lifetime import keep_downloads
from hormesis.db.contract.hosts import Hosts

# What a browser may do with our pages: fetch nothing from elsewhere, whatever a text on them says, and show
# them in no frame of another site. Streamlit's and Plotly's scripts need the rest.
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' data: blob:; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)


class HostCheck:
    """Answers, over HTTP and WebSocket, only to the names that the server was started for (plain ASGI).

    These are the names of `server.address`, and those of `--allow` or Streamlit's `server.allowedHosts`. No
    page of another site may use the dashboard, nor show it in a frame, where a click could be led astray.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app, audience = app, audience_of_server()
        self._hosts = Hosts(
            # Without an address Streamlit listens on every one; nobody said that others may use them.
            address=audience.address or "127.0.0.1",
            machine=socket.gethostname(),
            also=audience.names,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or refuse it (ASGI)."""
        refusal = None if scope["type"] == "lifespan" else self._hosts.refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _with_policy(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.sentence})
        else:
            await PlainTextResponse(refusal.sentence, refusal.status)(scope, receive, send)


def _with_policy(send: Send) -> Send:
    """The same, with `POLICY` as a header."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("content-security-policy", POLICY)
        await send(message)

    return sent


if __name__ == "__main__":
    from hormesis.dashboard.navigation import draw_page

    draw_page()
else:
    keep_downloads()
    app = st.App(__file__, middleware=[Middleware(HostCheck), Middleware(Guard)])
