"""How hard is the detox to undo? Suffixes, relearning, framed prompts, long texts, sampling, capability."""

from __future__ import annotations

import json

import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.robustness import (
    capability_view,
    relearn_view,
    suffix_view,
    text_views,
    undone_view,
)
from hormesis.dashboard.parts import states
from hormesis.dashboard.rows import robustness as hardness
from hormesis.dashboard.rows.context import current
from hormesis.db.contract.attacks import ATTACK_TITLES
from hormesis.db.contract.stages import stage_title

SECTIONS = {**ATTACK_TITLES, "capability": stage_title("capability")}
HOW = f"""
[hardness]
attacks = {json.dumps(list(ATTACK_TITLES))}

[capability]
tasks = ["minimal_pairs", "cross_entropy"]
"""

context = current()
running = rows.study_progress(context).active
attacks, outcomes = hardness.attacks(context), hardness.outcomes(context)
present = set(attacks["attack"])
if len(hardness.capability(context)):
    present.add("capability")
undone_view.show(hardness.undone_by_attack(attacks))
if not present:
    has_attacks = bool((context.config.get("hardness") or {}).get("attacks"))
    if has_attacks:
        states.not_yet("attacks", after="the attacks on the first arm", running=running)
    else:
        st.info(
            "This study asks for no attacks: they are off unless its file names them.",
            icon=":material/security:",
            title="No attacks",
        )
        st.caption("Everything on the built-in world, attacks included:")
        st.code("hormesis run forum-full", language="bash")
        st.caption("Or add to a study file, and run it:")
        st.code(HOW.strip(), language="toml")
    states.end_page()
sections = [name for name in SECTIONS if name in present]
section = st.segmented_control(
    "Attack",
    sections,
    default=sections[0],
    required=True,
    format_func=lambda name: SECTIONS[name],
    key="attack",
    bind="query-params",
)
match section or sections[0]:
    case "suffix":
        suffix_view.show(context, attacks, outcomes)
    case "relearn":
        relearn_view.show(context, attacks, outcomes)
    case "injection":
        text_views.injections(context, attacks, outcomes)
    case "long":
        text_views.long_texts(context, attacks, outcomes)
    case "sampling":
        text_views.sampling(context, attacks)
    case "quantised":
        text_views.rounded(attacks)
    case _:
        capability_view.show(context)
