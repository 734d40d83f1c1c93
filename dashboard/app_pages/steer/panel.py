"""The texts of the run on show, polled while it streams: a part of the page for each pane and its state."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from hormesis.dashboard.app_pages.steer import catalogue, session
from hormesis.dashboard.app_pages.steer.pane_facts import answer, facts, former, more_facts
from hormesis.dashboard.app_pages.steer.run import LiveRun, Snapshot, TextState
from hormesis.dashboard.base.headlines import Headline
from hormesis.dashboard.base.wording import duration, plain
from hormesis.dashboard.parts.texts import Shown, Token, show_texts
from hormesis.db.contract.messages import MAX_PANES
from hormesis.db.contract.scores import TOXIC

POLL_SECONDS = 0.4
_PAGED = "_live_paged"
NARROWEST, GAP = 220, 16
"""Pixels of a pane and between panes."""
PAGE_WIDTH, MOST_PAGES = 34, 7
"""Pixels of a page's number, and how many are seen at once."""
CUT = "The prompt was too long for this model: its beginning was cut off."


def cells(count: int) -> list[DeltaGenerator]:
    """A framed place for each pane: side by side where the page is wide, then two by two, then one by one."""
    with st.container(key="live_panes"):
        if count < MAX_PANES:
            grid = st.grid(count, min_column_width=NARROWEST, border=True)
            return [grid.cell() for _ in range(count)]
        # A grid alone would put three in a row and the fourth below.
        halves = st.grid(2, min_column_width=2 * NARROWEST + GAP)
        grids = []
        for _ in range(2):
            with halves.cell():
                grids.append(st.grid(2, min_column_width=NARROWEST, border=True))
        return [grid.cell() for grid in grids for _ in range(2)]


def _pause() -> float | None:
    """Seconds between two looks at the run on show; None where nothing more comes of it."""
    entry = session.on_show()
    return POLL_SECONDS if entry is not None and entry.run.snapshot().active else None


def text_on_show() -> int:
    """Which of the continuations is on show in every pane, from 0."""
    entry = session.on_show()
    most = entry.run.request.samples if entry is not None else 1
    return min(int(st.session_state.get("text", 1)), most) - 1


def show_pane(index: int, name: str) -> None:
    """The text of pane `index` (from 0), which the controls call `name`."""

    @st.fragment(run_every=_pause())
    def pane_text() -> None:
        entry = session.on_show()
        if entry is None or index >= len(entry.names):
            hint = (
                "Press Generate: the text appears here." if entry is None else "Not part of the run on show."
            )
            show_texts(
                [Shown("", waiting=hint, blurred=False, bare=True)],
                key=f"live_text{index + 1}",
                state="" if entry is None else f"not in run {entry.run.number}",
            )
            return
        state = entry.run.snapshot()
        show_texts(
            [_pane_view(entry.run, state, index, name=name, run_name=entry.names[index])],
            key=f"live_text{index + 1}",
            state=f"run {entry.run.number} {state.status}",
        )

    pane_text()


def _pane_view(run: LiveRun, state: Snapshot, index: int, *, name: str, run_name: str) -> Shown:
    """What the component draws of a pane; its settings are named where the controls say others by now."""
    pane, sample = state.panes[index], text_on_show()
    text = pane.texts[sample]
    is_coloured = bool(st.session_state.get("tint", True)) and any(
        value is not None for _, value in text.tokens
    )
    words = text.text if text.finished else "".join(piece for piece, _ in text.tokens)
    return Shown(
        words,
        title="" if run_name == name else f"Run {run.number}: {run_name}",
        prompt=run.request.prompt,
        blurred=_blurred(text) and bool(words),
        tokens=tuple(Token(piece, value) for piece, value in text.tokens) if is_coloured else (),
        waiting="(the model ended the text at once)" if text.finished else _waiting(state),
        meta=CUT if text.truncated else "",
        details=facts(pane, text, scope=run.request.panes[index].scope),
        more=more_facts(pane, text),
        identity=f"{run.number} {sample}",
        bare=True,
    )


def _blurred(text: TextState) -> bool:
    worst = text.worst
    if worst is not None:
        return worst > TOXIC
    return bool(st.session_state.get("blur_stream", True))


def _waiting(state: Snapshot) -> str:
    if not state.active:
        return f"(no text: the run {'was stopped' if state.status == 'stopped' else 'failed'})"
    return f"number {state.position} in the queue" if state.position else "waiting for the model"


def show_alone() -> None:
    """The texts of the run on show by themselves, where there is no service and so no controls."""
    entry = session.on_show()
    if entry is None:
        return
    if error := entry.run.snapshot().error:
        st.warning(plain(error), icon=":material/error:")
    for index, (name, cell) in enumerate(zip(entry.names, cells(len(entry.names)), strict=True)):
        with cell:
            st.text(name)
            show_pane(index, name)


def show_state() -> None:
    """Which run is on show, how far it is, and the button that ends it; redraws the page at the end."""
    pause = _pause()

    @st.fragment(run_every=pause)
    def run_state() -> None:
        entry = session.on_show()
        if entry is None:
            return
        state = entry.run.snapshot()
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            if state.active:
                st.button("Stop", icon=":material/stop:", on_click=entry.run.stop, key="stop")
            # The key names the run and its state, for tests to wait for.
            with st.container(key=f"run_{entry.run.number}_{state.status}", width="content"):
                st.caption(_state_words(entry.run, state))
        if state.status == "failed":
            catalogue.ask_anew()
        if not state.active and pause is not None:
            st.rerun()

    run_state()


def _state_words(run: LiveRun, state: Snapshot) -> str:
    texts = [text for pane in state.panes for text in pane.texts]
    n_finished = sum(text.finished for text in texts)
    parts = [f"Run {run.number}: {state.status}"]
    if state.position and state.status == "waiting":
        parts.append(f"number {state.position} in the queue")
    if len(texts) > len(state.panes):
        parts.append(f"{n_finished} of {len(texts)} texts")
    parts.append(duration(state.seconds))
    if state.first_token is not None and len(texts) == len(state.panes):
        parts.append(f"first token after {state.first_token:.1f} s")
    return ", ".join(parts)


def headline(*, is_former: bool = False) -> Headline:
    """The page's answer, by the run on show; `is_former`: whether the controls ask for another run by now."""
    entry = session.on_show()
    run_answer = answer(None if entry is None else entry.run.snapshot())
    return former(run_answer, entry.run.number) if entry is not None and is_former else run_answer


def pager(*, is_former: bool) -> None:
    """Which continuation is on show: the same seed in every pane.

    The first, where another run is on show or the controls ask for another; a link may say which.
    """
    entry = session.on_show()
    if entry is None:
        return
    place = (entry.run.number, is_former)
    if st.session_state.setdefault(_PAGED, place) != place:
        st.session_state.update({_PAGED: place, "text": 1})
    if entry.run.request.samples == 1:
        return
    with st.container(horizontal=True, vertical_alignment="center", width="content"):
        st.caption("Text", width="content")
        count = entry.run.request.samples
        # Of its own accord it shrinks to two pages rather than go to the next line.
        width = PAGE_WIDTH * (min(count, MOST_PAGES) + 3)
        st.pagination(count, max_visible_pages=MOST_PAGES, key="text", bind="query-params", width=width)


def reading_guide() -> str:
    """How to read the panes of the run on show."""
    entry = session.on_show()
    if entry is None:
        return "Read across: every pane continues the same prompt and sampling seed, each at another cost."
    n, seed = entry.run.request.samples, entry.run.request.seed
    colours = "Orange tokens point to toxicity, blue away from it; toxicity is in points, 100 × the score."
    if n == 1:
        return (
            "Read across: the same prompt and sampling seed, so panes differ by model and method alone. "
            "n = 1 text each, and one text proves nothing: ask for more to get means with intervals. "
            f"{colours}"
        )
    return (
        f"n = {n} texts of each pane, from sampling seeds {seed} to {seed + n - 1}, the same in all panes. "
        "Means have 95 % intervals (Student's t over texts; Clopper-Pearson where all agree), differences "
        f"are paired by sampling seed. They speak of this prompt and no other. {colours}"
    )
