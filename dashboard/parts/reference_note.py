"""Which study came with the package, and which one runs beside it."""

from __future__ import annotations

from functools import cache

import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.base.wording import duration, plain
from hormesis.dashboard.rows.context import Context, context_of, study_names
from hormesis.db.contract.left_out import BUNDLED
from hormesis.db.reference import references

PAGE = "app_pages/overview/page.py"


@cache
def _hashes() -> frozenset[str]:
    return frozenset(reference.hash for reference in references())


def is_reference(context: Context) -> bool:
    """Whether the study's rows are those of the package: a run of one's own has the texts too."""
    return str(context.study["hash"]) in _hashes() and len(rows.left_out_texts(context)) > 0


def again(context: Context) -> str:
    """The command that makes the rows of a study of the package again, beside those that are here."""
    name = str(context.study["name"])
    work = f"import {BUNDLED} --study" if context.only_imports else "run"
    return f"HORMESIS_HOME=again hormesis {work} {name}"


def badge(context: Context) -> None:
    """A mark in the sidebar of a study that came with the package."""
    if is_reference(context):
        st.badge("Reference study", icon=":material/inventory_2:", color="violet")


def note(context: Context) -> None:
    """A line on a study that came with the package, with a link to the first study that is running."""
    if not is_reference(context):
        return
    name = plain(str(context.study["name"]))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="reference_note"):
        work = duration(rows.stages(context)["seconds"].sum())
        st.caption(
            f":material/inventory_2: **{name}** is a reference study: its numbers came with hormesis, "
            f"without texts and weights. `{again(context)}` makes them again ({work} of work).",
            width="content",
        )
        for place, label in enumerate(study_names(context.studies)):
            progress = rows.study_progress(context_of(context, context.studies, place))
            if progress.active:
                st.page_link(
                    PAGE,
                    label=f"{plain(label)} is running beside it: {progress.fraction:.0%}",
                    icon=":material/play_circle:",
                    query_params={"study": label},
                )
                return
