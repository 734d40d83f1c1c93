"""A browser's side of Streamlit's protocol without a browser: opens pages, sets widgets, lets fragments tick.

Knows messages, not pages. What a run of a page sent (bytes, charts, errors) and how long it took is kept as
a `Run`, so one class serves the benchmarks and the test of fifty viewers at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

INTERRUPTED = ForwardMsg.ScriptFinishedStatus.FINISHED_EARLY_FOR_RERUN
OF_FRAGMENT = ForwardMsg.ScriptFinishedStatus.FINISHED_FRAGMENT_RUN_SUCCESSFULLY
VALUES = {
    "selectbox": "string_value",
    "text_input": "string_value",
    "text_area": "string_value",
    "checkbox": "bool_value",
    "pagination": "int_value",
    "button": "trigger_value",
    "button_group": "string_array_value",
    "slider": "double_array_value",
    "number_input": "double_value",
    "plotly_chart": "string_value",
}


@dataclass
class Run:
    """What one run of the page sent, and how long the server took from the request to its last message."""

    fragment: bool
    seconds: float = 0.0
    size: int = 0
    charts: dict[str, str] = field(default_factory=dict)
    """Plotly specifications by widget or element id."""
    errors: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    """Titles and texts of notes on the page: warnings, problems, states."""

    def points(self) -> dict[str, int]:
        """Number of points of every chart: the longest coordinate of each trace, summed."""
        return {name: _points(json.loads(spec)) for name, spec in self.charts.items()}


def _points(figure: dict[str, Any]) -> int:
    return sum(max((_length(trace.get(axis)) for axis in "xyz"), default=0) for trace in figure["data"])


def _length(values: Any) -> int:
    if isinstance(values, dict):  # a typed array: base64 text and the type's name, e.g. f8
        return len(values.get("bdata", "")) * 3 // 4 // int(str(values.get("dtype", "f8")).lstrip("fiu"))
    return len(values) if isinstance(values, list) else 0


class Viewer:
    """One session. Use `viewing`, which connects and disconnects."""

    def __init__(self, socket: ClientConnection, base: str, scheme: str) -> None:
        self._socket = socket
        self._base, self._scheme = base, scheme
        self._values: dict[str, tuple[str, Any]] = {}
        self._ended: asyncio.Queue[Run] = asyncio.Queue()
        self._begun = time.perf_counter()
        self.page, self.query, self.page_hash = "", "", ""
        self.widgets: dict[str, tuple[str, str, Any]] = {}
        """Key to (id, kind, message) of every widget drawn so far."""
        self.ticking: dict[str, float] = {}
        """Fragments that run by themselves: id to seconds between runs."""
        self.runs: list[Run] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        """Take messages in until the connection ends."""
        run = Run(fragment=False)
        async for raw in self._socket:
            message = ForwardMsg.FromString(raw if isinstance(raw, bytes) else raw.encode())
            kind = message.WhichOneof("type")
            run.size += len(raw)
            if kind == "new_session":
                self.page_hash = message.new_session.page_script_hash
                if not message.metadata.run.fragment_ids:
                    self.ticking.clear()
            elif kind == "navigation":
                # A session begins with the address's page; which one is drawn in the end is said here.
                self.page_hash = message.navigation.page_script_hash
            elif kind == "auto_rerun":
                self.ticking[message.auto_rerun.fragment_id] = message.auto_rerun.interval
            elif kind == "delta" and message.delta.HasField("new_element"):
                self._element(run, message.delta.new_element)
            elif kind == "script_finished" and message.script_finished != INTERRUPTED:
                run.seconds = time.perf_counter() - self._begun
                run.fragment = message.script_finished == OF_FRAGMENT
                self.runs.append(run)
                self._ended.put_nowait(run)
                run = Run(fragment=False)

    def _element(self, run: Run, element: Any) -> None:
        kind = element.WhichOneof("type")
        children = getattr(element, kind)
        if kind == "exception":
            run.errors.append(f"{children.type}: {children.message}")
        if kind == "alert":
            run.alerts.append(f"{children.title} {children.body}".strip())
        name = str(getattr(children, "id", ""))
        if kind == "plotly_chart":
            run.charts[name or str(len(run.charts))] = children.spec
        if kind in VALUES and name:
            # Streamlit's ids end in the key that the page gave: $$ID-HASH-KEY.
            self.widgets[name.split("-", 2)[-1]] = (name, kind, children)

    async def _send(self, state: ClientState) -> None:
        self._begun = time.perf_counter()
        state.query_string, state.page_script_hash = self.query, self.page_hash
        state.context_info.color_scheme = self._scheme
        state.context_info.url = f"{self._base}/{self.page}"
        for name, (kind, value) in self._values.items():
            widget = state.widget_states.widgets.add(id=name)
            if kind in ("string_array_value", "double_array_value"):
                getattr(widget, kind).data.extend(value)
            else:
                setattr(widget, kind, value)
        await self._socket.send(BackMsg(rerun_script=state).SerializeToString())
        self._values = {name: state for name, state in self._values.items() if state[0] != "trigger_value"}

    async def _finished(self, seconds: float) -> Run:
        ended = asyncio.create_task(self._ended.get())
        await asyncio.wait((ended, self.reading), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return ended.result()
        ended.cancel()
        if self.reading.done():
            self.reading.result()
            raise ConnectionError("the dashboard closed the connection")
        raise TimeoutError(f"no run of the page ended within {seconds:g} s")

    async def open(self, page: str = "", query: str = "", seconds: float = 120.0) -> Run:
        """Go to a page, as a click on the navigation or a pasted link does; returns when it has run."""
        self.page, self.query, self.page_hash = page, query, ""
        await self._send(ClientState(page_name=page))
        return await self._finished(seconds)

    async def choose(self, key: str, value: Any, seconds: float = 60.0) -> Run:
        """Give the widget of that key a value, as a person does, and wait for the page's run."""
        name, kind, _ = self.widgets[key]
        self._values[name] = (VALUES[kind], value)
        await self._send(ClientState())
        return await self._finished(seconds)

    def forget(self) -> None:
        """Forget values and widgets, as a page opened anew does."""
        self._values.clear()
        self.widgets.clear()

    async def tick(self, fragment: str, seconds: float = 60.0) -> Run:
        """Let one of the ticking fragments run."""
        await self._send(ClientState(fragment_id=fragment, is_auto_rerun=True))
        return await self._finished(seconds)


@contextlib.asynccontextmanager
async def viewing(url: str, scheme: str = "light", cookie: str = "") -> AsyncIterator[Viewer]:
    """A session with the dashboard at `url`; closed afterwards."""
    address = url.replace("http", "ws", 1) + "/_stcore/stream"
    headers = {"Cookie": cookie} if cookie else {}
    async with connect(
        address,
        subprotocols=["streamlit"],  # type: ignore[list-item]
        additional_headers=headers,
        max_size=None,
        compression=None,
    ) as socket:
        viewer = Viewer(socket, url, scheme)
        try:
            yield viewer
        finally:
            viewer.reading.cancel()
            await asyncio.wait((viewer.reading,))
