"""One streaming run: a thread reads the service's events into panes, a page polls snapshots of them.

Knows the order of events and how to stop; nothing of how panes are drawn. A page that is left or rerun
does not disturb the thread; a run ends by itself, by `stop`, or when the service ends it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from hormesis.dashboard.app_pages.steer.client import Event, ServiceProblem, cancel, generate
from hormesis.dashboard.base.refresh import session_name
from hormesis.db.contract.measured import PaneSummary
from hormesis.db.contract.messages import GenerateRequest


@dataclass(frozen=True)
class TextState:
    """What one continuation has so far. `tokens` holds (text, projection in sigmas or None)."""

    tokens: tuple[tuple[str, float | None], ...] = ()
    text: str = ""
    finished: bool = False
    seconds: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    fluency: dict[str, float] = field(default_factory=dict)
    cost: dict[str, Any] | None = None
    cost_note: str = ""
    """Why there is no cost."""
    truncated: bool = False
    """Whether the prompt was too long for the model, so that its beginning was cut off."""
    absent: dict[str, str] = field(default_factory=dict)
    """Scorers that could not judge the text, with the reason."""

    @property
    def worst(self) -> float | None:
        """The highest toxicity score of any scorer, or None before the scores have come."""
        return max(self.scores.values()) if self.scores else None


@dataclass(frozen=True)
class PaneState:
    """What a pane has so far: its continuations by seed, and what they come to once all are there."""

    texts: tuple[TextState, ...] = (TextState(),)
    summary: PaneSummary | None = None

    @property
    def finished(self) -> bool:
        """Whether every continuation is there."""
        return all(text.finished for text in self.texts)


@dataclass(frozen=True)
class Snapshot:
    """A consistent picture of a run at one moment."""

    status: str
    """`waiting`, `streaming`, `done`, `stopped` or `failed`."""
    position: int | None
    """Place in the service's queue while waiting."""
    panes: tuple[PaneState, ...]
    error: str
    first_token: float | None
    """Seconds from the click to the first token."""
    seconds: float

    @property
    def active(self) -> bool:
        """Whether more may come."""
        return self.status in ("waiting", "streaming")


def _numbers(values: Any) -> dict[str, float]:
    if not isinstance(values, dict):
        return {}
    return {str(name): float(value) for name, value in values.items() if isinstance(value, int | float)}


def _words(values: Any) -> dict[str, str]:
    return {str(name): str(why) for name, why in values.items()} if isinstance(values, dict) else {}


def apply(pane: PaneState, event: Event) -> PaneState:
    """The pane after a `token`, `done` or `summary` event; anything malformed in it is left out."""
    if event.name == "summary":
        try:
            return replace(pane, summary=PaneSummary.model_validate(event.data))
        except ValidationError:
            return pane
    sample = event.data.get("sample", 0)
    if not isinstance(sample, int) or not 0 <= sample < len(pane.texts):
        return pane
    texts = list(pane.texts)
    texts[sample] = _apply_to_text(texts[sample], event)
    return replace(pane, texts=tuple(texts))


def _apply_to_text(text: TextState, event: Event) -> TextState:
    """A continuation after a `token` or `done` event."""
    data = event.data
    if event.name == "token":
        projection = data.get("projection")
        value = float(projection) if isinstance(projection, int | float) else None
        return replace(text, tokens=(*text.tokens, (str(data.get("text", "")), value)))
    cost = data.get("cost")
    scored = _numbers(data.get("scores"))
    # A scorer of fluency is no verdict on toxicity: it must neither blur a text nor stand among such scores.
    fluent = {name: value for name, value in scored.items() if name.endswith("fluency")}
    seconds = data.get("seconds")
    return replace(
        text,
        text=str(data.get("text", "")),
        finished=True,
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        scores={name: value for name, value in scored.items() if name not in fluent},
        fluency=fluent | _numbers(data.get("fluency")),
        cost=cost if isinstance(cost, dict) else None,
        cost_note=str(data.get("cost_note") or ""),
        truncated=data.get("truncated") is True,
        absent=_words(data.get("absent")),
    )


class LiveRun:
    """A running or finished request. Safe to read from any thread."""

    def __init__(self, address: str, request: GenerateRequest, number: int = 1) -> None:
        """Prepare a run; `number` is its place among the runs of a session, 1 for the first."""
        self.address = address
        self._viewer = session_name()
        self.request = request
        self.number = number
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._begin = time.monotonic()
        self._request_id: str | None = None
        panes = (PaneState((TextState(),) * request.samples),) * len(request.panes)
        self._state = Snapshot("waiting", None, panes, error="", first_token=None, seconds=0.0)
        self._thread = threading.Thread(target=self._read, name="live-run", daemon=True)

    def start(self) -> LiveRun:
        """Begin reading; returns itself."""
        self._thread.start()
        return self

    def snapshot(self) -> Snapshot:
        """The present picture; the clock runs while the run is active."""
        with self._lock:
            state = self._state
        return replace(state, seconds=time.monotonic() - self._begin) if state.active else state

    def stop(self) -> None:
        """End the run and free the model; what has come stays."""
        self._stop.set()
        with self._lock:
            request_id = self._request_id
            self._state = self._ended("stopped") if self._state.active else self._state
        if request_id is not None:
            threading.Thread(target=cancel, args=(self.address, request_id), daemon=True).start()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the reading thread; for tests and scripts."""
        self._thread.join(timeout)

    def _ended(self, status: str, error: str = "") -> Snapshot:
        return replace(self._state, status=status, error=error, seconds=time.monotonic() - self._begin)

    def _read(self) -> None:
        """The thread's work: take events until the run ends, fails or is stopped."""
        events = generate(self.address, self.request, self._viewer)
        try:
            for event in events:
                if self._stop.is_set():
                    break
                self._take(event)
                if event.name in ("end", "error"):
                    break
        except ServiceProblem as problem:
            with self._lock:
                self._state = self._ended("failed", str(problem)) if self._state.active else self._state
        finally:
            events.close()
        with self._lock:
            if self._state.active:
                is_complete = all(pane.finished for pane in self._state.panes)
                error = (
                    "" if is_complete else "The model service ended the stream before the text was complete."
                )
                self._state = self._ended("done" if is_complete else "failed", error)

    def _take(self, event: Event) -> None:
        """Change the state by one event: `queued`, `token`, `done`, `summary` or `error`."""
        with self._lock:
            if not self._state.active:
                return
            if event.name == "queued":
                position = event.data.get("position")
                self._state = replace(self._state, position=position if isinstance(position, int) else None)
            elif event.name == "error":
                message = str(event.data.get("message", "The model service failed."))
                self._state = self._ended("failed", message)
            elif event.name in ("token", "done", "summary"):
                self._into_pane(event)
            if isinstance(event.data.get("request_id"), str):
                self._request_id = event.data["request_id"]

    def _into_pane(self, event: Event) -> None:
        """Give an event to its pane (`number` from 0)."""
        number = event.data.get("pane")
        panes = list(self._state.panes)
        if not isinstance(number, int) or not 0 <= number < len(panes):
            return
        panes[number] = apply(panes[number], event)
        first = self._state.first_token
        self._state = replace(
            self._state,
            status="streaming",
            panes=tuple(panes),
            first_token=time.monotonic() - self._begin if first is None else first,
        )
