"""Charts by name, each from the DataFrame of the view of the same name. Knows no database and no page."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
from pandas.api.types import is_numeric_dtype

from hormesis.dashboard.base.attack_rows import conditions_of
from hormesis.dashboard.base.selection import mix_rows
from hormesis.dashboard.base.wording import MEASURES, figure_texts, metric_name
from hormesis.dashboard.charts.dose import dose_response
from hormesis.dashboard.charts.entangled import cosine_map, entanglement_by_arm, statistic_by_arm
from hormesis.dashboard.charts.frame import MOST_POINTS, Level, sample
from hormesis.dashboard.charts.hardness import by_condition, curves, steps_needed
from hormesis.dashboard.charts.heads import head_map, limits, survival
from hormesis.dashboard.charts.maps import COLOURINGS, activations, directions
from hormesis.dashboard.charts.mixes import mix_bars
from hormesis.dashboard.charts.tradeoff import tradeoff
from hormesis.dashboard.charts.training import LOSSES, histogram, loss_curves

ChartName = Literal[
    "tradeoffs", "doses", "training", "mixes", "scores", "heads", "probes", "head_statistics",
    "entanglement", "cosines", "direction_map", "activations", "suffixes", "relearning", "attack_curves",
    "injections", "capability",
]  # fmt: skip


class ChartError(ValueError):
    """A chart cannot be drawn as asked: its name, an option or its rows; one line for the person."""


def chart(name: ChartName, rows: pd.DataFrame, *, dark: bool = False, **options: Any) -> go.Figure:
    """The chart of that name as a Plotly figure, drawn from rows of the view of the same name.

    `rows`: as `study.NAME()` gives them, filtered or not; for `heads` also `probes.frame` of a model.
    dark: for a dark page. options: those of the chart, e.g. `logarithmic=True` for `tradeoffs`, `measure=` (a
    column) for `heads` and `probes`, `loss=` for `training`, `by=` for `activations`.

    Raises ChartError for a name or an option there is none of, and for rows that are empty or lack a column.
    """
    draw = named(name)
    unknown = set(options) - set(options_of(draw))
    if unknown:
        raise ChartError(no_option(name, min(unknown), options_of(draw)))
    if rows.empty:
        raise ChartError(f"there are no rows to draw '{name}' from")
    texts = {str(name): column for name, column in rows.items() if not is_numeric_dtype(column)}
    rows = rows.assign(**{name: column.map(figure_texts) for name, column in texts.items()})
    try:
        return draw(
            rows, **({"dark": dark} if "dark" in inspect.signature(draw).parameters else {}), **options
        )
    except KeyError as error:
        raise ChartError(f"the rows lack the column {error}, which '{name}' is drawn from") from None


def named(name: str) -> Callable[..., go.Figure]:
    """The function of a chart. Raises ChartError."""
    if name not in CHARTS:
        raise ChartError(f"no chart '{name}' (charts: {', '.join(CHARTS)})")
    return CHARTS[name]


def options_of(draw: Callable[..., Any]) -> list[str]:
    """Names of what may be set on a chart or a view, apart from its rows and `dark`."""
    return [option for option in inspect.signature(draw).parameters if option not in ("rows", "dark", "self")]


def no_option(name: str, option: str, options: Iterable[str]) -> str:
    """What is said where an option does not exist."""
    return f"'{name}' has no option '{option}' (options: {', '.join(options) or 'none'})"


def _titled(rows: pd.DataFrame) -> tuple[str, str]:
    """The metric of summary rows, and its axis title with the unit."""
    name = str(rows["name"].iloc[0])
    return name, f"{metric_name(name)} ({rows['unit'].iloc[0]})"


def _tradeoffs(rows: pd.DataFrame, *, dark: bool, logarithmic: bool = False) -> go.Figure:
    name, title = _titled(rows)
    frontier = name in ("toxicity", "fire_rate", "expected_max_toxicity")
    return tradeoff(rows, title, dark=dark, chosen=None, logarithmic=logarithmic, frontier=frontier)


def _doses(rows: pd.DataFrame, *, dark: bool, fits: pd.DataFrame | None = None) -> go.Figure:
    name, title = _titled(rows)
    return dose_response(rows, title, dark=dark, from_zero=name == "toxicity", curves=fits)


def _training(rows: pd.DataFrame, *, loss: str = "clean_loss") -> go.Figure:
    if loss not in LOSSES.values():
        raise ChartError(f"no loss '{loss}' (losses: {', '.join(LOSSES.values())})")
    return loss_curves(rows, loss)


def _mixes(rows: pd.DataFrame) -> go.Figure:
    return mix_bars(mix_rows(rows))


def _scores(rows: pd.DataFrame) -> go.Figure:
    return histogram(rows, "Score")


def _words_of(measure: str) -> str:
    words = {column: f"{title} ({text})" for title, (column, text) in MEASURES.items()}
    if measure not in words:
        raise ChartError(f"no measure '{measure}' (measures: {', '.join(words)})")
    return words[measure]


def _heads(rows: pd.DataFrame, *, dark: bool, measure: str = "accuracy") -> go.Figure:
    _words_of(measure)
    if rows.duplicated(["layer", "head"]).any():
        raise ChartError("a map of heads is of one checkpoint: filter the rows, or use study.heads(NAME)")
    return head_map(rows, measure, span=limits(measure, rows), chosen=None, dark=dark)


def _probes(rows: pd.DataFrame, *, measure: str = "accuracy") -> go.Figure:
    return survival(rows, measure, _words_of(measure))


def _head_statistics(rows: pd.DataFrame, *, statistic: str = "p90") -> go.Figure:
    of_statistic = rows[rows["name"] == statistic]
    if of_statistic.empty:
        raise ChartError(f"no statistic '{statistic}' (statistics: {', '.join(dict.fromkeys(rows['name']))})")
    return statistic_by_arm(of_statistic, statistic)


def _entanglement(rows: pd.DataFrame, *, dark: bool, means: pd.DataFrame) -> go.Figure:
    steered = rows[rows["rank"].notna()]
    return entanglement_by_arm(steered, means[means["name"] == "entanglement"], dark=dark)


def _cosines(rows: pd.DataFrame, *, dark: bool) -> go.Figure:
    return cosine_map(rows, chosen=None, dark=dark)


def _is_flat(rows: pd.DataFrame) -> bool:
    return bool(rows["z"].isna().all())


def _direction_map(
    rows: pd.DataFrame,
    *,
    dark: bool,
    method: str = "umap",
    by: str = "Arm",
    null: pd.DataFrame | None = None,
) -> go.Figure:
    if by not in COLOURINGS:
        raise ChartError(f"no colouring '{by}' (colourings: {', '.join(COLOURINGS)})")
    points, _ = sample(rows, MOST_POINTS if null is None else MOST_POINTS // 2)
    beside = None if null is None else null.loc[null.index.intersection(points.index)]
    titles = ("Toxicity directions", "Random directions")
    return directions(
        points, method.upper(), null=beside, titles=titles, by=by, dark=dark, flat=_is_flat(rows)
    )


def _activations(rows: pd.DataFrame, *, by: str = "label", dimensions: int = 2) -> go.Figure:
    points, _ = sample(rows)
    return activations(points, "PCA", by, flat=dimensions == 2)


def _suffixes(rows: pd.DataFrame, *, dark: bool) -> go.Figure:
    gcg = rows[rows["setting"] == "gcg"]
    return by_condition(gcg, conditions_of(gcg), "Success (% of goals)", dark=dark, factor=100)


def _relearning(rows: pd.DataFrame, *, dark: bool) -> go.Figure:
    return steps_needed(rows, conditions_of(rows), float(rows["budget"].max()), dark=dark)


def _attack_curves(rows: pd.DataFrame, *, dark: bool) -> go.Figure:
    """`rows`: of one attack, series (name) and arm, a row per condition and x."""
    first = rows.iloc[0]
    is_relearning = first["attack"] == "relearn"
    return curves(
        rows,
        conditions_of(rows),
        "Steps" if is_relearning else "Tokens written",
        y_title=metric_name(str(first["name"])),
        dark=dark,
        logarithmic=is_relearning,
    )


def _injections(rows: pd.DataFrame, *, dark: bool) -> go.Figure:
    """`rows`: of one arm, a row per condition and frame (`setting`). Conditions stand as arms."""
    by_label = rows.assign(arm=rows["label"])
    order = list(dict.fromkeys(rows["setting"]))
    return by_condition(
        by_label, order, "Change of toxicity (points)", dark=dark, x_column="setting", level=Level(0.0, "")
    )


def _capability(rows: pd.DataFrame, *, dark: bool) -> go.Figure:
    """`rows`: of one task, part and measure, a row per arm and condition."""
    first = rows.iloc[0]
    chance = rows["chance"].dropna()
    level = Level(float(chance.iloc[0]), f"chance {float(chance.iloc[0]):.0%}") if len(chance) else None
    is_fraction = first["unit"] == "fraction"
    title = f"{metric_name(str(first['measure']))} ({'%' if is_fraction else first['unit']})"
    return by_condition(
        rows, conditions_of(rows), title, dark=dark, level=level, factor=100 if is_fraction else 1
    )


CHARTS: Mapping[str, Callable[..., go.Figure]] = {
    "tradeoffs": _tradeoffs,
    "doses": _doses,
    "training": _training,
    "mixes": _mixes,
    "scores": _scores,
    "heads": _heads,
    "probes": _probes,
    "head_statistics": _head_statistics,
    "entanglement": _entanglement,
    "cosines": _cosines,
    "direction_map": _direction_map,
    "activations": _activations,
    "suffixes": _suffixes,
    "relearning": _relearning,
    "attack_curves": _attack_curves,
    "injections": _injections,
    "capability": _capability,
}
"""Chart name to the function that draws it from rows."""
