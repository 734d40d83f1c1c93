"""Server-sent events of one request: a channel from the worker's thread to the response's event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi.sse import ServerSentEvent

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
