"""The map of toxicity directions on the geometry page, beside a map of nothing, with its figures of merit."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.base.geometry_words import (
    NULLS,
    SPACE_GUIDES,
    SPACE_TITLES,
    SPACES,
    figure_table,
    quality_words,
    structure_sentence,
)
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import Head
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.charts.frame import MOST_POINTS, sample
from hormesis.dashboard.charts.maps import COLOURINGS, directions, rings
from hormesis.dashboard.parts import card, controls
from hormesis.dashboard.rows import geometry
from hormesis.dashboard.rows.context import Context

METHODS = {"umap": "UMAP", "pca": "PCA"}
POINTS = [
    "x",
    "y",
    "z",
    "kind",
    "share",
    "seed",
    "checkpoint",
    "layer",
    "head",
    "accuracy",
    "selectivity",
    "rank",
]
"""The columns that the maps are drawn from."""


def map_labels(projections: pd.DataFrame) -> dict[str, int]:
    """`UMAP, 2-D` to the projection's id."""
    return {
        f"{METHODS.get(row.method, str(row.method))}, {row.dimensions}-D": int(row.id)
        for row in records(projections)
    }


def stored_maps(context: Context) -> pd.DataFrame:
    """Rows of the projections of directions; those of versions that mapped vectors of heads are left out."""
    projections = rows.projections(context)
    return projections[(projections["subject"] == "directions") & projections["space"].notna()]


@dataclass(frozen=True, eq=False)
class Choice:
    """A map to draw, its null (None where there is none), and how."""

    projection: pd.Series
    null: pd.Series | None
    key: str
    """Of its figures of merit: `functional`, `vocabulary`, `residual/NAME`."""
    colour: str
    note: str

    @property
    def is_flat(self) -> bool:
        """Whether it has two dimensions."""
        return int(self.projection["dimensions"]) == 2


def _pick(maps: pd.DataFrame, preferred: str, above: card.Header) -> Choice:
    """The map's own controls; `maps`: a row each, `preferred`: the checkpoint of residual maps."""
    with above.options():
        spaces = [space for space in SPACES if (maps["space"] == space).any()]
        space = str(
            st.segmented_control(
                "Compared by", spaces, default=spaces[0], required=True, key="space", bind="query-params",
                format_func=lambda name: SPACES[name],
                help="Statements: all checkpoints. Vocabulary: those that share one. Residual stream: one.",
            )
        )  # fmt: skip
        of_space = maps[maps["space"] == space]
        note = ""
        if space == "residual":
            names = sorted(of_space["checkpoint"].astype(str).unique())
            name = preferred if preferred in names else names[0]
            note = "" if name == preferred else f"Residual maps are made for the first seed: of {name} here."
            of_space = of_space[of_space["checkpoint"] == name]
        without_null = of_space[of_space["null_model"].isna()]
        labels = map_labels(without_null.sort_values(["method", "dimensions"], ascending=[False, True]))
        label = str(
            st.segmented_control(
                "Map", list(labels), default=next(iter(labels)), required=True, key="dirs",
                bind="query-params",
            )
        )  # fmt: skip
        nulls = [name for name in NULLS if (of_space["null_model"] == name).any()]
        null_name = st.segmented_control(
            "Beside it", nulls, default=nulls[0] if nulls else None, required=bool(nulls), key="null",
            bind="query-params", format_func=lambda name: NULLS[name],
        )  # fmt: skip
        colour = st.segmented_control(
            "Colour by",
            list(COLOURINGS),
            default="Accuracy",
            required=True,
            key="colour",
            bind="query-params",
        )
    row = without_null[without_null["id"] == labels[label]].iloc[0]
    alike = of_space[
        (of_space["null_model"] == null_name)
        & (of_space["method"] == row["method"])
        & (of_space["dimensions"] == row["dimensions"])
    ]
    key = str(row["key"]).rpartition("/")[0]
    return Choice(row, None if alike.empty else alike.iloc[0], key, str(colour), note)


def direction_map(context: Context, chosen: Head | None, preferred: str) -> None:
    """Toxicity directions of all heads beside a null; `preferred`: the checkpoint of residual maps."""
    maps = stored_maps(context)
    if maps.empty:
        st.info(
            "The map of directions appears when the projections are done.", icon=":material/hourglass_empty:"
        )
        return
    figures = geometry.agreements(context)
    with st.container(border=True, gap="small"):
        above = card.header("directions")
        choice = _pick(maps, preferred, above)
        of_map = figures[figures["key"] == choice.key]
        sentence = structure_sentence(of_map)
        if sentence:
            with st.container(key="verdict"):
                st.markdown(sentence)
        _draw(context, choice, chosen, above)
        if len(of_map):
            _figures(of_map)


def _draw(context: Context, choice: Choice, chosen: Head | None, above: card.Header) -> None:
    """Both maps in one chart; the chosen head is ringed in each."""
    row, dark = choice.projection, is_dark()
    most = MOST_POINTS if choice.null is None else MOST_POINTS // 2
    points, note = sample(geometry.direction_points(context, int(row["id"])), most, total=int(row["n"]))
    null = None
    if choice.null is not None:
        null = geometry.direction_points(context, int(choice.null["id"])).iloc[points.index]
    method, flat, space = METHODS.get(row["method"], row["method"]), choice.is_flat, str(row["space"])
    null_title = "" if choice.null is None else NULLS[str(choice.null["null_model"])]
    figure = drawn(
        directions,
        points[POINTS],
        method,
        null=None if null is None else null[POINTS],
        titles=("Toxicity directions", null_title),
        by=choice.colour,
        dark=dark,
        flat=flat,
    )
    if chosen is not None and flat:
        figure = figure.plus(traces=rings(points, null, chosen, dark=dark))
    title = SPACE_TITLES[space].format(checkpoint=row["checkpoint"])
    card.chart(
        figure,
        key="directions",
        title=title,
        alt=f"{title}, coloured by {choice.colour.lower()}; beside it {null_title.lower() or 'nothing'}",
        guide=f"One point per head and checkpoint. {SPACE_GUIDES[space]} Right: the same from what has no "
        "structure. Click a point to choose its head.",
        note=" ".join(
            part
            for part in (f"n = {int(row['n']):,} directions.", quality_words(row), choice.note, note)
            if part
        ),
        rows=points,
        on_select=lambda: controls.clicked("directions"),
        above=above,
    )


def _figures(figures: pd.DataFrame) -> None:
    """The figures of merit of the map on show, folded away."""
    fold = st.expander("Figures of merit", icon=":material/straighten:", key="merits", on_change="rerun")
    if not fold.open:
        return
    row = figures.iloc[0]
    with fold:
        card.table(
            figure_table(figures),
            key="agreement",
            title="Do neighbours belong to heads that are alike?",
            alt="Figures of merit of the map of directions, with intervals and nulls",
            out=figures.drop(columns=["id", "study_id"]),
            note=(
                f"{int(row['neighbours'])} nearest neighbours in the data, not on the map, in other "
                f"checkpoints where there are several; each null drawn {int(row['draws'])} times. "
                f"{row['interval']}."
            ),
        )
