"""The panes of a live run, polled while it streams, and the session's history. Knows runs, no service."""

from __future__ import annotations

import json
import shlex
from typing import Any

import streamlit as st

from dashboard.live.client import Request
from dashboard.live.run import LiveRun, PaneState, Snapshot
from dashboard.texts import Shown, Token, show_texts
from dashboard.wording import duration, interval

RUN, NAMES, HISTORY = "_live_run", "_live_names", "_live_history"
POLL_SECONDS = 0.25
LONGEST_HISTORY = 20
TOXIC = 0.5
SHOWN_FLUENCY = ("repetition", "repetition_4", "distinct_2")


def _meta(pane: PaneState, baseline: dict[str, float] | None) -> str:
    parts = []
    for name, value in pane.scores.items():
        change = f" ({value - baseline[name]:+.2f})" if baseline and name in baseline else ""
        parts.append(f"{name} {value:.2f}{change}")
    parts += [
        f"{name.replace('_', ' ').replace('-', ' ')} {value:.2f}"
        for name, value in pane.fluency.items()
        if name.endswith("fluency") or name in SHOWN_FLUENCY
    ]
    cost = pane.cost
    if cost and isinstance(cost.get("value"), int | float):
        parts.append("cost " + interval(cost["value"], cost.get("low"), cost.get("high"), "nats"))
    elif pane.finished:
        parts.append("cost not measured at this setting")
    return " · ".join(parts)


def _blurred(pane: PaneState) -> bool:
    worst = pane.worst
    if worst is not None:
        return worst > TOXIC
    return bool(st.session_state.get("blur_stream", True))


def _shown(names: list[str], request: Request, state: Snapshot) -> list[Shown]:
    tint = bool(st.session_state.get("tint", True))
    first = state.panes[0].scores if state.panes and state.panes[0].finished else None
    items = []
    for place, (name, pane) in enumerate(zip(names, state.panes, strict=False)):
        coloured = tint and any(value is not None for _, value in pane.tokens)
        text = pane.text if pane.finished else "".join(text for text, _ in pane.tokens)
        waiting = f"number {state.position} in the queue" if state.position else "waiting for the model"
        items.append(
            Shown(
                text,
                title=name,
                meta=_meta(pane, first if place else None),
                prompt=request.prompt,
                blurred=_blurred(pane) and bool(text),
                tokens=tuple(Token(piece, value) for piece, value in pane.tokens) if coloured else (),
                waiting=waiting if state.active else "(no text)",
            )
        )
    return items


def _draw(run: LiveRun, names: list[str]) -> Snapshot:
    state = run.snapshot()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Stop", icon=":material/stop:", on_click=run.stop, key="stop", disabled=not state.active)
        place = (
            f", number {state.position} in the queue" if state.position and state.status == "waiting" else ""
        )
        first = "" if state.first_token is None else f", first token after {state.first_token:.1f} s"
        st.caption(f"{state.status.capitalize()}{place}, {duration(state.seconds)}{first}")
    if state.status == "failed":
        st.warning(state.error, icon=":material/error:")
    show_texts(_shown(names, run.request, state), key="live_panes", columns=len(state.panes))
    return state


def show() -> None:
    """Draw the current run; while it streams this polls it, and clicks elsewhere do not disturb it."""
    run, names = st.session_state.get(RUN), st.session_state.get(NAMES, [])
    if not isinstance(run, LiveRun):
        st.caption("Press generate: the panes stream side by side from the same seed.")
        return
    active = run.snapshot().active

    @st.fragment(run_every=POLL_SECONDS if active else None)
    def panes() -> None:
        state = _draw(run, names)
        if not state.active and active:
            _remember(run, names, state)
            st.rerun()

    panes()
    st.caption(
        "Read across: the same prompt and seed, so panes differ by model and steering alone. Orange "
        "tokens point to "
        "toxicity, blue away from it; scores run from 0 to 1, changes are against the first pane, n "
        "= 1 text each."
    )
    _copies(run)


def _remember(run: LiveRun, names: list[str], state: Snapshot) -> None:
    if state.status == "failed" and not any(pane.tokens for pane in state.panes):
        return
    kept: list[dict[str, Any]] = st.session_state.setdefault(HISTORY, [])
    kept.insert(0, {"request": run.request, "names": names, "state": state})
    del kept[LONGEST_HISTORY:]


def _copies(run: LiveRun) -> None:
    """The request as JSON, curl and Python."""
    fold = st.expander("Copy this request", icon=":material/content_copy:", key="copies", on_change="rerun")
    if not fold.open:
        return
    body = json.dumps(run.request.as_json(), indent=2)
    with fold:
        json_tab, curl_tab, python_tab = st.tabs(["JSON", "curl", "Python"])
        json_tab.code(body, language="json")
        one_line = shlex.quote(json.dumps(run.request.as_json()))
        curl_tab.code(
            f"curl -N {run.address}/generate -H 'Content-Type: application/json' -d {one_line}",
            language="bash",
        )
        python_tab.code(
            "import httpx\n\nrequest = "
            + repr(run.request.as_json())
            + f'\nwith httpx.stream("POST", "{run.address}/generate", json=request, timeout=120) as answer:\n'
            "    for line in answer.iter_lines():\n        print(line)",
            language="python",
        )


def history() -> None:
    """Earlier runs of this session."""
    kept: list[dict[str, Any]] = st.session_state.get(HISTORY, [])
    if len(kept) < 2:
        return
    fold = st.expander(
        f"History ({len(kept) - 1})", icon=":material/history:", key="history", on_change="rerun"
    )
    if not fold.open:
        return
    with fold:
        for place, entry in enumerate(kept[1:]):
            show_texts(
                _shown(entry["names"], entry["request"], entry["state"]),
                key=f"history_{place}",
                columns=len(entry["names"]),
            )
