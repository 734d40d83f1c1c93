"""Steer models yourself: base and steered text side by side, streaming from the model service."""

from __future__ import annotations

from textwrap import shorten
from typing import Any

import streamlit as st

from dashboard import context, rows
from dashboard.live import absence, panel
from dashboard.live.client import Pane, Request, ServiceProblem, models
from dashboard.live.run import LiveRun
from dashboard.wording import arm_label

METHODS = {"iti": "ITI", "random-direction": "Random direction", "none": "Unsteered"}
DIRECTIONS = ("mass_mean", "probe")
LONGEST_PROMPT = 2000


def offered(address: str, study_id: int) -> list[dict[str, Any]]:
    """Models of the study on show first, then all others."""
    found = models(address)
    return sorted(
        found,
        key=lambda row: (
            row.get("study_id") != study_id,
            row.get("kind") != "toxic",
            row.get("share") or 0,
            row.get("seed") or 0,
        ),
    )


def label(row: dict[str, Any], study_id: int) -> str:
    """A model in words."""
    if row.get("kind") == "imported" or row.get("share") is None:
        return str(row.get("name"))
    name = arm_label(str(row["kind"]), float(row["share"]), row.get("seed"))
    return name if row.get("study_id") == study_id else f"{row.get('study', 'other study')}: {name}"


def presets(found: context.Context) -> list[str]:
    """A few prompts of the study, of every kind."""
    table = rows.prompts(found, 40)
    if table.empty:
        return []
    kinds = table.assign(kind=table["kind"].fillna("")).groupby("kind", sort=True)
    mixed = [
        str(text)
        for texts in zip(*[list(group["text"])[:3] for _, group in kinds], strict=False)
        for text in texts
    ]
    return mixed[:6] or [str(text) for text in table["text"].head(6)]


def use_preset() -> None:
    """A preset was picked: it becomes the prompt."""
    if st.session_state.get("preset"):
        st.session_state["prompt"] = st.session_state["preset"]


def prompt_box(found: context.Context) -> str:
    """The prompt, with presets above it."""
    known = presets(found)
    if known:
        st.session_state.setdefault("prompt", known[0])
        if found.harmless:
            shown = {text: shorten(text, 44, placeholder=" …") for text in known}
        else:
            shown = {text: f"Prompt {place}" for place, text in enumerate(known, 1)}
        kind = "from this study's prompts"
        st.pills(
            f"Presets, {kind}",
            known,
            format_func=lambda text: shown.get(text, text),
            key="preset",
            on_change=use_preset,
        )
    return str(
        st.text_area(
            "Prompt",
            key="prompt",
            bind="query-params",
            max_chars=LONGEST_PROMPT,
            height=80,
            on_change="ignore",
        )
        or ""
    )


def pane_controls(number: int, offers: list[dict[str, Any]], study_id: int) -> Pane:
    """The controls of one pane; the first is the base unless it is changed."""
    names = [label(row, study_id) for row in offers]
    first = number == 1
    start = len(names) - 1 if number > 2 else 0
    picked = st.selectbox(
        "Model", names, index=min(start, len(names) - 1), key=f"model{number}", bind="query-params"
    )
    model = offers[names.index(picked) if picked in names else 0]
    found = [str(name) for name in model.get("directions", []) if str(name) in DIRECTIONS]
    if not found:
        st.caption("Not probed, so it has no direction to be steered along.")
    known = [name for name in METHODS if found or name == "none"]
    method = st.selectbox(
        "Method",
        known,
        index=known.index("none") if first else 0,
        format_func=METHODS.__getitem__,
        key=f"method{number}",
        bind="query-params",
    )
    strength, heads, direction, scope = 0.0, None, "mass_mean", "generated"
    if method != "none":
        strength = st.slider(
            "Strength (sigmas)",
            0.0,
            12.0,
            2.0,
            0.25,
            key=f"strength{number}",
            bind="query-params",
            help="How many standard deviations each chosen head is moved away from toxicity.",
        )
        most = int(model.get("n_layers", 1)) * int(model.get("n_heads", 1))
        usual = min(int(model.get("heads_selected") or max(4, round(0.08 * most))), most)
        with st.popover("Heads, direction, scope", icon=":material/settings:", width="stretch"):
            heads = int(st.number_input("Heads", 1, most, usual, key=f"heads{number}", bind="query-params"))
            direction = str(
                st.segmented_control(
                    "Direction",
                    found,
                    default=found[0],
                    required=True,
                    key=f"direction{number}",
                    bind="query-params",
                )
            )
            scope = str(
                st.segmented_control(
                    "Positions steered",
                    ["generated", "all"],
                    default="generated",
                    required=True,
                    key=f"scope{number}",
                    bind="query-params",
                )
            )
    control = 0 if method == "random-direction" else None
    return Pane(int(model["checkpoint_id"]), str(method), float(strength), heads, direction, scope, control)


def sampling() -> dict[str, Any]:
    """Settings that all panes share."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        length = st.slider("New tokens", 8, 120, 40, 4, key="length", bind="query-params", width=200)
        heat = st.slider("Temperature", 0.0, 2.0, 1.0, 0.1, key="heat", bind="query-params", width=200)
        top = st.slider("Top p", 0.1, 1.0, 0.9, 0.05, key="top", bind="query-params", width=200)
        seed = st.number_input("Seed", 0, 2**31, 0, key="seed", bind="query-params", width=130)
    return {"new_tokens": int(length), "temperature": float(heat), "top_p": float(top), "seed": int(seed)}


def start(address: str, request: Request, names: list[str]) -> None:
    """Begin a run; one that still streams is ended first."""
    running = st.session_state.get(panel.RUN)
    if isinstance(running, LiveRun) and running.snapshot().active:
        running.stop()
    st.session_state[panel.RUN] = LiveRun(address, request).start()
    st.session_state[panel.NAMES] = names


here = context.current()
address = context.service_address()
st.subheader("What does steering do to the text?")
try:
    if address is None:
        raise ServiceProblem("")
    offers = offered(address, here.study_id)
except ServiceProblem as problem:
    absence.absent(address, str(problem))
    st.stop()
if not offers:
    st.info(
        "The model service knows no checkpoint yet. The first appears when an arm has been trained.",
        icon=":material/hourglass_empty:",
    )
    absence.wait_for_service(address)
    st.stop()

prompt = prompt_box(here)
count = int(
    st.segmented_control("Panes", [2, 3, 4], default=2, required=True, key="panes", bind="query-params") or 2
)
panes, names = [], []
grid = st.grid(count, min_column_width=230)
for number in range(1, count + 1):
    with grid.cell(), st.container(border=True):
        pane = pane_controls(number, offers, here.study_id)
        panes.append(pane)
        model = next(row for row in offers if int(row["checkpoint_id"]) == pane.checkpoint_id)
        how = "unsteered" if pane.method == "none" else f"{METHODS[pane.method]}, strength {pane.strength:g}"
        names.append(f"{label(model, here.study_id)}, {how}")
settings = sampling()
with st.container(horizontal=True, vertical_alignment="center"):
    pressed = st.button("Generate", type="primary", icon=":material/play_arrow:", key="generate")
    st.toggle(
        "Blur until scored",
        value=not here.harmless,
        key="blur_stream",
        bind="query-params",
        help="Off, text is seen as it streams and blurred once a scorer puts it above 0.5.",
    )
    st.toggle(
        "Colour tokens",
        value=True,
        key="tint",
        bind="query-params",
        help="By projection on the toxicity direction.",
    )
if pressed:
    if prompt.strip():
        start(address, Request(tuple(panes), prompt, **settings), names)
    else:
        st.warning("Write a prompt first.", icon=":material/edit:")
panel.show()
panel.history()
