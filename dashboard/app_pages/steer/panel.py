"""The panes of the run on show, polled while it streams."""

from __future__ import annotations

from typing import Any

import streamlit as st

from hormesis.dashboard.app_pages.steer import catalogue, session
from hormesis.dashboard.app_pages.steer.run import LiveRun, PaneState, Snapshot
from hormesis.dashboard.base.wording import duration
from hormesis.dashboard.parts.texts import Shown, Token, show_texts

POLL_SECONDS = 0.25
TOXIC = 0.5
SHOWN_FLUENCY = {
    "forum-fluency": "Fluency (forum)",
    "repetition": "Repeated 4-grams",
    "distinct_2": "Distinct bigrams",
}


def details(pane: PaneState, baseline: dict[str, float] | None) -> tuple[tuple[str, str], ...]:
    """Label and value of scores, fluency and added cost of a pane; `baseline`: scores of the first pane."""
    if not pane.finished:
        return ()
    lines = []
    for name, value in pane.scores.items():
        change = f" ({value - baseline[name]:+.2f})" if baseline and name in baseline else ""
        lines.append((f"Toxicity ({name})", f"{value:.2f}{change}"))
    lines += [(f"Score ({name})", f"none: {why}") for name, why in pane.absent.items()]
    if not lines:
        lines.append(("Toxicity", "none: no scorer could judge this text"))
    lines += [
        (title, f"{pane.fluency[name]:.2f}") for name, title in SHOWN_FLUENCY.items() if name in pane.fluency
    ]
    lines.append(("Added cost", _nats(pane.cost) or pane.cost_note or "not measured at this setting"))
    if pane.truncated:
        lines.append(("Prompt", "too long for this model: its beginning was cut off"))
    return tuple(lines)


def _nats(cost: dict[str, Any] | None) -> str:
    """A measured cost with its interval, to a ten thousandth of a nat; empty where there is none."""
    value, low, high = (cost or {}).get("value"), (cost or {}).get("low"), (cost or {}).get("high")
    if not isinstance(value, int | float):
        return ""
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return f"{value:+.4f} nats (no interval)"
    return f"{value:+.4f} [{low:+.4f}, {high:+.4f}] nats"


def _blurred(pane: PaneState) -> bool:
    worst = pane.worst
    if worst is not None:
        return worst > TOXIC
    return bool(st.session_state.get("blur_stream", True))


def _waiting(state: Snapshot) -> str:
    if not state.active:
        return f"(no text: the run {'was stopped' if state.status == 'stopped' else 'failed'})"
    return f"number {state.position} in the queue" if state.position else "waiting for the model"


def _pane_texts(run: LiveRun, pane_names: tuple[str, ...], state: Snapshot) -> list[Shown]:
    """What each pane shows; `first_scores`: of the first pane once it has finished."""
    tint = bool(st.session_state.get("tint", True))
    first_scores = state.panes[0].scores if state.panes and state.panes[0].finished else None
    items = []
    for place, (name, pane) in enumerate(zip(pane_names, state.panes, strict=False)):
        coloured = tint and any(value is not None for _, value in pane.tokens)
        text = pane.text if pane.finished else "".join(text for text, _ in pane.tokens)
        empty_words = "(the model ended the text at once)" if pane.finished else _waiting(state)
        items.append(
            Shown(
                text,
                title=name,
                prompt=run.request.prompt,
                blurred=_blurred(pane) and bool(text),
                tokens=tuple(Token(piece, value) for piece, value in pane.tokens) if coloured else (),
                waiting=empty_words,
                details=details(pane, first_scores if place else None),
            )
        )
    return items


def _status(run: LiveRun, state: Snapshot) -> None:
    """Which run this is and how far it is; the container's key names both, for tests to wait for."""
    waits = state.position and state.status == "waiting"
    place = f", number {state.position} in the queue" if waits else ""
    first = "" if state.first_token is None else f", first token after {state.first_token:.1f} s"
    with st.container(key=f"run_{run.number}_{state.status}"):
        st.caption(f"Run {run.number}: {state.status}{place}, {duration(state.seconds)}{first}")


def _draw(run: LiveRun, pane_names: tuple[str, ...]) -> Snapshot:
    """Draw the run as it is now and give back that state."""
    state = run.snapshot()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Stop", icon=":material/stop:", on_click=run.stop, key="stop", disabled=not state.active)
        _status(run, state)
    if state.status == "failed":
        catalogue.ask_anew()
        st.warning(state.error, icon=":material/error:")
    show_texts(
        _pane_texts(run, pane_names, state),
        key="live_panes",
        columns=len(state.panes),
        state=f"run {run.number} {state.status}",
    )
    return state


def show() -> None:
    """Draw the run on show; while it streams this polls it, and clicks elsewhere do not disturb it."""
    entry = session.on_show()
    if entry is None:
        st.caption("Press generate: the panes stream side by side from the same seed.")
        return
    run, pane_names = entry.run, entry.names
    active = run.snapshot().active

    @st.fragment(run_every=POLL_SECONDS if active else None)
    def panes() -> None:
        state = _draw(run, pane_names)
        if not state.active and active:
            st.rerun()

    panes()
    st.caption(
        "Read across: the same prompt and seed, so panes differ by model and method alone. Orange tokens "
        "point to toxicity, blue away from it; scores run from 0 to 1, changes are against the first pane, "
        "n = 1 text each."
    )
