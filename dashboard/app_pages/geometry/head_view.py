"""One head on the geometry page: how well it reads toxicity, what it adds, its statements and its words."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.geometry import entanglement_view, lens_view
from hormesis.dashboard.app_pages.geometry.heads_view import gain_line
from hormesis.dashboard.app_pages.geometry.shading import shades
from hormesis.dashboard.base.headlines import Figure
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import Head, head_name, minus, missing, percent, plain
from hormesis.dashboard.parts import card
from hormesis.dashboard.parts.answer import figures
from hormesis.dashboard.parts.steer_link import steer_link
from hormesis.dashboard.parts.texts import Shown, show_texts
from hormesis.dashboard.rows import geometry
from hormesis.dashboard.rows.context import Context
from hormesis.db.contract.left_out import NOTE
from hormesis.db.contract.methods import ITI

STATEMENTS, WORDS, EVERY_ARM = "Statements", "Words", "Every arm"
PER_PAGE = 2
"""Statements at each end."""
MOST_ROWS = 20
ENDS = 50
"""Statements at each end whose labels are counted."""
SHADED = "Orange tokens move the head along its direction, blue ones against it. "
STRENGTH = 8.0
"""Of the link to steer with one head: fewer sigmas along a single direction change no text."""


def show(context: Context, probes: pd.DataFrame, checkpoint: str, *, head: Head, label: str) -> None:
    """A head of a checkpoint; `probes`: a row per head of every checkpoint, `label`: it in words."""
    of_checkpoint = probes[probes["checkpoint"] == checkpoint]
    of_head = of_checkpoint[(of_checkpoint["layer"] == head.layer) & (of_checkpoint["head"] == head.head)]
    if of_head.empty:
        st.info(f"{plain(label)} has no head {head_name(*head)}.", icon=":material/info:")
        return
    probe = of_head.iloc[0]
    checkpoint_id = int(probe["checkpoint_id"])
    figures(_figures(context, probe, of_checkpoint, head))
    gain_line(context, checkpoint)
    with st.container(horizontal=True, vertical_alignment="center"):
        view = st.segmented_control(
            "About the head", [STATEMENTS, WORDS, EVERY_ARM], default=STATEMENTS, required=True, key="about",
            bind="query-params", label_visibility="collapsed",
        )  # fmt: skip
        steer_link(context, checkpoint, label, ITI, strength=STRENGTH, heads=[head_name(*head)])
    if view == WORDS:
        lens_view.words(context, checkpoint, checkpoint_id, chosen=head)
    elif view == EVERY_ARM:
        every_arm(probes, head, note=entanglement_view.of_head(context, checkpoint, head))
    else:
        statements(context, checkpoint_id, head, label=label)


def _figures(context: Context, probe: pd.Series, of_checkpoint: pd.DataFrame, head: Head) -> list[Figure]:
    """Accuracy, rank, what the head adds and entanglement, each where it was measured."""
    low, high = geometry.rank_interval(probe, of_checkpoint)
    rank = "not steered" if missing(probe["rank"]) or pd.isna(probe["rank"]) else f"{int(probe['rank'])}"
    selectivity = minus(f"{probe['selectivity']:+.2f}")
    entries = [
        Figure(
            f"Accuracy of {head_name(*head)}",
            f"{probe['accuracy']:.2f}",
            f"[{probe['accuracy_low']:.2f}, {probe['accuracy_high']:.2f}]",
            f"Balanced accuracy of its probe on n = {int(probe['n_test']):,} test statements, 95 % interval. "
            f"AUROC {probe['auroc']:.2f}; selectivity {selectivity} (accuracy minus that of a "
            "probe of shuffled labels).",
        ),
        Figure(
            f"Rank of {len(of_checkpoint):,} heads",
            rank,
            f"on test: {low} to {high}",
            "By the select split among the heads that are steered. On test: between the heads that are "
            "surely better and those surely worse, by 95 % intervals.",
        ),
    ]
    added = geometry.contribution(context, int(probe["checkpoint_id"]), head)
    if added is not None and not pd.isna(added["value"]):
        entries.append(
            Figure(
                "Right where the others fail",
                percent(round(float(added["value"]), 2)),
                f"[{percent(round(float(added['low']), 2))}, {percent(round(float(added['high']), 2))}]",
                f"What it adds: of the {int(added['missed']):,} test statements (of n = {int(added['n']):,}) "
                f"that at least half of the {int(added['others'])} other steered heads get wrong, it gets "
                f"{int(added['right']):,} right. {added['interval']}.",
            )
        )
    measured = entanglement_view.of_head_row(context, str(probe["checkpoint"]), head)
    if measured is not None and not pd.isna(measured["value"]):
        entries.append(
            Figure(
                "Entanglement",
                minus(f"{measured['value']:.2f}"),
                minus(f"[{measured['low']:.2f}, {measured['high']:.2f}]"),
                entanglement_view.of_head(context, str(probe["checkpoint"]), head),
            )
        )
    return entries


def statements(context: Context, checkpoint_id: int, head: Head, *, label: str) -> None:
    """The statements that move the head furthest along its direction and against it, side by side."""
    scores = geometry.statement_scores(context, checkpoint_id, head)
    if scores.empty:
        if len(rows.left_out_texts(context)):
            st.info(f"{NOTE} What the head responds to was among them.", icon=":material/inventory_2:")
            return
        st.info(
            "The head's statements appear when the geometry of its checkpoint has been measured.",
            icon=":material/hourglass_empty:",
        )
        return
    half, ends = len(scores) // 2, min(ENDS, len(scores) // 2)
    toxic = [int((part["label"] == 1).sum()) for part in (scores.head(ends), scores.tail(ends))]
    with st.container(border=True, gap="small"):
        above = card.header("extremes")
        card.heading(above, f"What {head_name(*head)} of {label} responds to", scores)
        with above.row:
            page = st.pagination(
                max(1, math.ceil(half / PER_PAGE)), key="extreme", bind="query-params", max_visible_pages=3
            )
        start = (page - 1) * PER_PAGE
        end = min(start + PER_PAGE, half)
        items = _pairs(context, scores.iloc[start:end], scores[::-1].iloc[start:end])
        shaded = shades(checkpoint_id, head, [item.text for item in items])
        items = [replace(item, tokens=shaded.get(item.text, ())) for item in items]
        show_texts(items, key="ends", columns=2)
        st.caption(
            f"{SHADED if shaded else ''}"
            f"Left: furthest along its direction ({toxic[0]} of the {ends} furthest are toxic); right: "
            f"against it ({toxic[1]} of {ends}). σ: standard deviations. n = {len(scores):,} test statements."
        )


def _pairs(context: Context, highest: pd.DataFrame, lowest: pd.DataFrame) -> list[Shown]:
    """Texts of both ends (rows of `statement_scores`), in turn."""
    ids = tuple(int(example) for example in [*highest["id"], *lowest["id"]])
    texts = {int(row.id): str(row.text) for row in records(rows.examples_by_id(context, ids))}
    return [
        Shown(
            texts[int(row.id)],
            title=f"{minus(f'{row.projection:+.1f}')} σ, {'toxic' if row.label == 1 else 'not toxic'}",
            meta=" · ".join(str(part) for part in (row.group, row.source) if isinstance(part, str)),
            blurred=row.label == 1,
        )
        for pair in zip(records(highest), records(lowest), strict=True)
        for row in pair
    ]


def every_arm(probes: pd.DataFrame, chosen: Head, *, note: str) -> None:
    """The chosen head's numbers, a row per checkpoint; `probes`: a row per head of every checkpoint."""
    of_head = probes[(probes["layer"] == chosen.layer) & (probes["head"] == chosen.head)]
    rank_intervals = [
        geometry.rank_interval(row, probes[probes["checkpoint"] == row["checkpoint"]])
        for _, row in of_head.iterrows()
    ]
    table = pd.DataFrame(
        {
            "Checkpoint": of_head["checkpoint"],
            "Accuracy": [
                f"{row.accuracy:.3f} [{row.accuracy_low:.3f}, {row.accuracy_high:.3f}]"
                for row in records(of_head)
            ],
            "AUROC": of_head["auroc"],
            "Selectivity": of_head["selectivity"],
            "Separation": of_head["separation"],
            "Rank": ["–" if pd.isna(rank) else str(int(rank)) for rank in of_head["rank"]],
            "Rank on test (95 % interval)": [
                f"{low} to {high}" if low < high else str(low) for low, high in rank_intervals
            ],
        }
    )
    with st.container(border=True):
        card.table(
            table,
            key="head_line",
            title=f"{head_name(*chosen)} in every arm",
            alt=f"Probe results of head {head_name(*chosen)} in every checkpoint",
            out=of_head,
            height=36 + 33 * min(len(table), MOST_ROWS),
            column_config={
                name: st.column_config.NumberColumn(format="%.3f")
                for name in ("AUROC", "Selectivity", "Separation")
            },
            note=(
                "Test split; accuracies are balanced, with 95 % intervals. Rank: order among the steered "
                "heads by the select split, without an interval. Rank on test: between the heads that are "
                "surely better and those surely worse, by intervals. " + note
            ),
        )
