"""Server-sent events: their text form, and the response that ends the work when its reader goes away.

Knows asyncio and ASGI; knows nothing of what the events mean.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Event = tuple[str, dict[str, Any]]
KEEP_ALIVE_SECONDS = 10.0
LAST = ("end", "error")
"""Events after which nothing follows."""


def encode(event: Event) -> bytes:
    """One event as text. Everything outside ASCII is escaped, so no client splits a line at U+2028."""
    name, data = event
    return f"event: {name}\ndata: {json.dumps(data, allow_nan=False, separators=(',', ':'))}\n\n".encode()


class Channel:
    """Carries events from the worker's thread to the event loop of the response that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def put(self, name: str, data: dict[str, Any]) -> None:
        """Hand over one event from any thread; dropped where the loop is gone (the service is stopping)."""
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, (name, data))
        except RuntimeError:
            return

    async def get(self) -> Event:
        """The next event."""
        return await self._events.get()


class EventStream(Response):
    """Streams a channel until its last event; calls `on_close` exactly once, however the stream ends.

    A reader that goes away is noticed at once from the connection, not at the next write, so that work
    which is still waiting in the queue, or between two tokens, is dropped too.
    """

    media_type = "text/event-stream"

    def __init__(self, channel: Channel, on_close: Callable[[], None]) -> None:
        self.status_code = 200
        self.background = None
        self.body = b""
        self._channel = channel
        self._on_close = on_close
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream (ASGI)."""
        gone = asyncio.create_task(_closed(receive))
        written = asyncio.create_task(self._write(send))
        try:
            await asyncio.wait((gone, written), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._on_close()
            gone.cancel()
            if not written.done():
                written.cancel()
            await asyncio.gather(gone, written, return_exceptions=True)

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        name = ""
        while name not in LAST:
            try:
                event = await asyncio.wait_for(self._channel.get(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                chunk = b": waiting\n\n"
            else:
                name, chunk = event[0], encode(event)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _closed(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
