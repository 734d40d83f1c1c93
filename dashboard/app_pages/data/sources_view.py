"""Where the text came from: what became of each row, which roles are independent, whose text it is."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.base import source_tables
from hormesis.dashboard.parts import card, states
from hormesis.dashboard.rows.context import Context


def sources(context: Context) -> None:
    """Rows of every source and role; what roles share; licences and revisions."""
    uses, overlaps = rows.source_uses(context), rows.source_overlaps(context)
    if uses.empty:
        stages = rows.stages(context)
        if ((stages["stage"] == "text") & (stages["status"] == "done")).any():
            st.info("An older version read the text of this study, and it did not count rows.")
        else:
            running = rows.study_progress(context).active
            states.not_yet("counts of rows", after="reading the text", running=running)
        return
    with st.container(border=True):
        row_counts(uses)
    with st.container(border=True):
        roles(uses, overlaps)
    with st.container(border=True):
        matching_runs(overlaps)
    with st.container(border=True):
        card.table(
            source_tables.origin_table(uses).dropna(axis="columns", how="all"),
            key="origins",
            title="Whose text it is",
            alt="Location, licence, attribution and revision of every source",
            note="As the study file states them; what it does not state is left out, or a dash.",
            column_config={"Revision": st.column_config.TextColumn(width="small")},
        )


def row_counts(uses: pd.DataFrame) -> None:
    """What became of each row that was read."""
    n_read, n_used = int(uses["rows_read"].sum()), int(uses["rows_used"].sum())
    table = source_tables.use_table(uses).dropna(axis="columns", how="all")
    card.table(
        table,
        key="uses",
        title="What became of each row",
        alt="Rows read and used by source and role, with the reasons why others were dropped",
        note=(
            f"n = {n_read:,} rows read in all roles, {n_used:,} used, the others dropped; a source that two "
            "roles read is counted in both. Longer than the context: of the rows used; statements and "
            "prompts lose their beginning, documents go on in the next window."
        ),
        out=uses,
        column_config=_numbers(table) | {"Why dropped": st.column_config.TextColumn(width="large")},
    )


def _numbers(table: pd.DataFrame) -> dict[str, Any]:
    counts = table.select_dtypes("integer").columns
    return {str(name): st.column_config.NumberColumn(format="localized") for name in counts}


def roles(uses: pd.DataFrame, overlaps: pd.DataFrame) -> None:
    """Which roles have platform, annotators or texts in common."""
    pairs = source_tables.pair_table(uses, overlaps)
    table = source_tables.role_table(uses, pairs)
    dependent = source_tables.dependent(pairs)
    platforms, annotators = (int(pairs[name].sum()) for name in ("same_platform", "same_annotators"))
    texts = int((pairs["shared_first"] > 0).sum())
    note = f"**Not independent: {'; '.join(dependent)}.** " if dependent else ""
    note += (
        "A probe or a scorer from where the toxic text is from may know the place, not toxicity. "
        f"Of {len(pairs)} pairs of roles, {platforms} have a platform in common, {annotators} annotators and "
        f"{texts} identical texts (in brackets: rows of the role in the first column)."
    )
    unstated = [name for name in ("Platform", "Annotators") if table[name].isna().any()]
    if unstated:
        keys = " and ".join(f"`{name.lower()}`" for name in unstated)
        note += f" A dash: the study file does not state {keys} of a source, so it cannot be compared."
    card.table(
        table,
        key="roles",
        title="Which roles are independent?",
        alt="Roles with those of the same platform, annotators or texts",
        note=note,
        out=pairs,
        column_config=_numbers(table),
    )


def matching_runs(overlaps: pd.DataFrame) -> None:
    """How much of the training text has eight words in a row in common with what models are tested on."""
    table = source_tables.run_table(overlaps)
    if table.empty:
        return
    card.table(
        table,
        key="runs",
        title="Do models train on their test?",
        alt="Documents that have eight words in a row in common with statements or prompts",
        note=(
            "A match is eight words in a row, in any case, without punctuation; texts of fewer words are not "
            "counted. Held-out text is not trained on: what matches there is chance, and in a language of "
            "few words much does. `decontaminate = true` in a study file leaves matching documents out."
        ),
        out=overlaps,
        column_config=_numbers(table) | {"Matching part": st.column_config.NumberColumn(format="percent")},
    )
