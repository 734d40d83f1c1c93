"""Server-sent events of one request: a channel from the worker's thread to the response's event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi.sse import ServerSentEvent

LAST = ("end", "error")
"""Events after which nothing follows."""


class Channel:
    """Carries events from any thread to the event loop that made it, until the last event."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    def put(self, name: str, data: dict[str, Any]) -> None:
        """Hand over one event from any thread; dropped where the loop is gone (the service is stopping)."""
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, (name, data))
        except RuntimeError:
            return

    async def __aiter__(self) -> AsyncIterator[ServerSentEvent]:
        """The events; all text outside ASCII is escaped, so no client splits a line at U+2028."""
        name = ""
        while name not in LAST:
            name, data = await self._events.get()
            text = json.dumps(data, allow_nan=False, separators=(",", ":"))
            yield ServerSentEvent(event=name, raw_data=text)
