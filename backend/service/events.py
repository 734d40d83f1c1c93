"""Server-sent events of one request: a channel from the worker's thread to the response's event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from fastapi import Request
from fastapi.sse import ServerSentEvent
from starlette.exceptions import HTTPException

T = TypeVar("T")
LOOK_SECONDS = 0.25
"""How often a waiting request is asked whether its reader is still there."""
Event = tuple[str, dict[str, Any]]
"""Name and data."""
LAST = ("end", "error")
"""Events after which nothing follows."""


class Channel:
    """Carries events from any thread to the event loop that made it, until the last event."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def put(self, name: str, data: dict[str, Any]) -> None:
        """Hand over one event from any thread; dropped where the loop is gone (the service is stopping)."""
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, (name, data))
        except RuntimeError:
            return

    async def next(self) -> Event:
        """The next event, waited for; not to be asked for after the last one."""
        return await self._events.get()

    async def __aiter__(self) -> AsyncIterator[ServerSentEvent]:
        """The events; all text outside ASCII is escaped, so no client splits a line at U+2028."""
        name = ""
        while name not in LAST:
            name, data = await self.next()
            yield ServerSentEvent(event=name, raw_data=compact_json(data))


def compact_json(data: dict[str, Any]) -> str:
    """One line of ASCII. Raises ValueError for NaN and infinity."""
    return json.dumps(data, allow_nan=False, separators=(",", ":"))


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives. Raises HTTPException 499, which nobody reads, where the reader goes first."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_SECONDS))[0]:
            if await request.is_disconnected():
                raise HTTPException(499, "the reader is gone")
        return task.result()
    finally:
        task.cancel()
