"""What has been run: studies, arms and stages with live progress, errors, loss curves, provenance."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from dashboard import card, context, rows, states
from dashboard.charts.training import LOSSES, loss_curves
from dashboard.progress import stage_order, with_rates
from dashboard.progress_view import live_progress
from dashboard.records import records
from dashboard.wording import arm_label, duration, rate


def arms_table(found: context.Context) -> None:
    """One row per arm: what it was trained on."""
    arms = rows.arms(found)
    if arms.empty:
        return
    shown = pd.DataFrame(
        {
            "Arm": arms["name"],
            "Kind": [arm_label(row.kind, row.share) for row in records(arms)],
            "Seed": arms["seed"],
            "Clean tokens": arms["clean_tokens"],
            "Added tokens": arms["added_tokens"],
            "Repeats": arms["repeats"],
        }
    )
    with st.container(border=True):
        st.markdown("**Arms**")
        st.dataframe(
            shown,
            hide_index=True,
            column_config={
                "Clean tokens": st.column_config.NumberColumn(format="localized"),
                "Added tokens": st.column_config.NumberColumn(format="localized"),
                "Repeats": st.column_config.NumberColumn(
                    format="%.2f", help="Above 1: added text was gone through more than once."
                ),
            },
            alt="Arms of the study with their token counts",
        )
        st.caption(
            "Clean tokens are the same in every arm; added tokens are toxic, or plain forum text in "
            "the control."
        )


def stages_table(stages: pd.DataFrame) -> None:
    """Every stage with its time, rate and state; errors in plain words above."""
    table = with_rates(stages)
    failed = table[table["status"] == "failed"]
    for row in records(failed):
        st.error(
            f"{row.error or 'No reason was recorded.'}",
            title=f"{row.stage} of {row.subject} failed",
            icon=":material/error:",
        )
    order = sorted(
        table.index, key=lambda at: (stage_order(str(table.at[at, "stage"])), str(table.at[at, "subject"]))
    )
    table = table.loc[order]
    shown = pd.DataFrame(
        {
            "Stage": table["stage"],
            "On": table["subject"],
            "State": table["status"],
            "Progress": table["fraction"] * 100,
            "Working time": [duration(value) for value in table["seconds"]],
            "Rate": [rate(value, unit) for value, unit in zip(table["rate"], table["unit"], strict=True)],
            "Time left": [duration(value) for value in table["left"]],
            "Last sign of life": pd.to_datetime(table["heartbeat"], utc=True),
            "Said": table["message"],
            "Host": table["host"],
        }
    )
    with st.container(border=True):
        st.markdown("**Stages**")
        st.dataframe(
            shown,
            hide_index=True,
            column_config={
                "Progress": st.column_config.ProgressColumn(format="%.0f %%", min_value=0, max_value=100),
                "Last sign of life": st.column_config.DatetimeColumn(format="distance"),
            },
            alt="Stages with state, progress, rate and time left",
        )
        total = float(table["seconds"].sum())
        st.caption(
            f"n = {len(table)} stages, {duration(total)} of work in all. Working time is summed over "
            f"resumptions."
        )


def curves(found: context.Context) -> None:
    """Loss curves of every arm."""
    points = rows.train_points(found)
    known = [label for label, column in LOSSES.items() if len(points) and points[column].notna().any()]
    if not known:
        return
    with st.container(border=True):
        picked = st.segmented_control(
            "Loss on", known, default=known[0], required=True, key="loss", bind="query-params"
        )
        card.chart(
            loss_curves(points, LOSSES[str(picked or known[0])], height=400),
            key="runs_loss",
            title="Loss over training",
            alt="Loss over tokens seen, one line per arm",
            how=(
                "Lower is better. A sudden drop late in training is a skill learned late: do not "
                "read one seed alone."
            ),
            note=f"n = {points['arm'].nunique()} arms.",
            rows=points,
        )


def provenance(found: context.Context, stages: pd.DataFrame) -> None:
    """Where the numbers come from."""
    study = found.study
    with st.container(border=True):
        st.markdown("**Where these numbers come from**")
        last = stages.sort_values("heartbeat").iloc[-1] if len(stages) else None
        packages = last["packages"] if last is not None and isinstance(last["packages"], dict) else {}
        facts = {
            "Study": str(study["name"]),
            "Study hash": str(study["hash"]),
            "Scale": str(study["scale"]),
            "Begun": str(study["created"])[:19],
            "Git revision": str(last["git_revision"])
            if last is not None and isinstance(last["git_revision"], str)
            else "not recorded",
        }
        facts |= {f"Data: {name}": str(value) for name, value in (study.get("data_revisions") or {}).items()}
        facts |= {f"Package: {name}": str(value) for name, value in packages.items()}
        scorers = rows.scorers(found)
        facts |= {
            f"Scorer: {row.name_}": str(row.revision)
            for row in records(scorers.rename(columns={"name": "name_"}))
        }
        st.dataframe(
            pd.DataFrame({"What": list(facts), "Value": list(facts.values())}),
            hide_index=True,
            alt="Provenance: hash, revisions, packages",
        )
        fold = st.expander("Configuration", icon=":material/settings:", key="config", on_change="rerun")
        if fold.open:
            text = json.dumps(found.config, indent=2)
            fold.code(text, language="json")
            fold.download_button(
                "Download JSON",
                text,
                f"{study['name']}.json",
                "application/json",
                key="config_json",
                on_click="ignore",
            )


def studies(found: context.Context) -> None:
    """All studies of the database."""
    if len(found.studies) < 2:
        return
    shown = found.studies[["name", "hash", "scale", "created"]].rename(
        columns={"name": "Study", "hash": "Hash", "scale": "Scale", "created": "Begun"}
    )
    with st.container(border=True):
        st.markdown("**Studies in this database**")
        st.dataframe(shown, hide_index=True, alt="All studies of the database")
        st.caption("Choose the one on show at the top of the page.")


here = context.current()
st.subheader("What has been run?")
all_stages = rows.stages(here)
state = rows.study_progress(here)
if not state.finished:
    live_progress(here.url, here.study_id)
if all_stages.empty:
    states.not_yet("stages", after="the start of the study", running=True)
else:
    stages_table(all_stages)
curves(here)
arms_table(here)
provenance(here, all_stages)
studies(here)
