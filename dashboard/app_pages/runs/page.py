"""What has been run: stages with live progress, errors, losses, comparisons, provenance; start and stop."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.access.audience import audience_of_server
from hormesis.dashboard.app_pages.runs.chain_view import number_chain
from hormesis.dashboard.app_pages.runs.compare_view import compare
from hormesis.dashboard.app_pages.runs.control_view import control_bar
from hormesis.dashboard.app_pages.runs.start_view import awaited, start_form
from hormesis.dashboard.app_pages.runs.state import standing
from hormesis.dashboard.app_pages.runs.tables import arms_table, checkpoints_table, stages_table, studies
from hormesis.dashboard.parts import card, export_metadata, states
from hormesis.dashboard.parts.progress_view import live_progress, loss_card
from hormesis.dashboard.report.button import report_button
from hormesis.dashboard.rows.context import Context, current_or_none
from hormesis.dashboard.running.permission import Home, Refusal, control
from hormesis.db.location import database_url

NOW, LOSS, COMPARE, CHAIN, START = (
    "Progress",
    "Loss curves",
    "Compare",
    "Where numbers come from",
    "Start a study",
)


def curves(context: Context) -> None:
    """Loss curves of every arm."""
    has_curves = loss_card(
        context,
        key="runs_loss",
        title="Loss over training",
        guide="Lower is better. A sudden drop late in training is a skill learned late: do not read one seed "
        "alone.",
        height=460,
    )
    if not has_curves and context.only_imports:
        states.trained_elsewhere("no loss curves")
    elif not has_curves:
        running = rows.study_progress(context).active
        states.not_yet("loss curves", after="the first steps of training", running=running)


def provenance(context: Context, stages: pd.DataFrame) -> None:
    """The study's own facts (`entries`: name to text), and its configuration."""
    entries = {"scale": str(context.study["scale"]), "begun": str(context.study["created"])[:19]}
    entries = export_metadata.study_facts(context, rows.scorers(context), stages) | entries
    with st.container(border=True):
        card.table(
            pd.DataFrame({"What": list(entries), "Value": list(entries.values())}),
            key="provenance",
            title="This study",
            alt="Provenance: hash, revisions, packages",
        )
        fold = st.expander("Configuration", icon=":material/settings:", key="config", on_change="rerun")
        if fold.open:
            text = json.dumps(context.config, indent=2)
            fold.code(text, language="json")
            fold.download_button(
                "Download JSON",
                text,
                f"{context.study['name']}.json",
                "application/json",
                key="config_json",
                on_click="ignore",
            )


def progress_tab(context: Context, home: Home | Refusal) -> None:
    """How the study stands, its stages (rows), arms and checkpoints."""
    all_stages = rows.stages(context)
    usable_home = home if isinstance(home, Home) else None
    study_state = standing(all_stages, str(context.study["hash"]), usable_home, now=datetime.now(UTC))
    control_bar(context, home, study_state.kind)
    if study_state.kind != "finished":
        live_progress(context, cut=study_state.can_resume)
    if all_stages.empty:
        states.not_yet("stages", after="the start of the study", running=study_state.alive)
    else:
        stages_table(all_stages, is_running=study_state.alive)
    arms_table(context)
    checkpoints_table(context)
    studies(context)


def of_study(context: Context, home: Home | Refusal) -> None:
    """The tabs of a study."""
    names = (NOW, LOSS, COMPARE, CHAIN, START)
    for tab, name in zip(
        st.tabs(names, key="tab", on_change="rerun", bind="query-params"), names, strict=True
    ):
        if not tab.open:
            continue
        with tab:
            if name == NOW:
                progress_tab(context, home)
            elif name == LOSS:
                curves(context)
            elif name == COMPARE:
                compare(context)
            elif name == CHAIN:
                number_chain(context)
                provenance(context, rows.stages(context))
            else:
                start_form(home)


context = current_or_none()
with st.container(horizontal=True, vertical_alignment="center"):
    st.subheader("What has been run?", width="stretch")
    if context is not None:
        report_button(context)
permission = control(database_url(), audience_of_server())
awaited(permission)
if context is None:
    with st.container(border=True):
        st.markdown("**Start a study**")
        start_form(permission)
else:
    of_study(context, permission)
