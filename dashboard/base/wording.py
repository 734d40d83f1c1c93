"""How things are called on the page: arms, conditions, heads, numbers."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import pandas as pd

from hormesis.dashboard.base.records import records
from hormesis.db.contract.gates import CANNOT_TELL, FAILS, GATES, PASSES, Bounds
from hormesis.db.contract.methods import (
    NULL_TITLES,
    RANDOM_DIRECTION,
    TITLES,
    VARIANTS,
    is_steered,
    method_title,
    null_kind,
)
from hormesis.db.contract.scores import MOST_EMPTY
from hormesis.db.contract.sites import SiteShape, degraded, site_shapes

NAMES: Final = {
    "toxicity": "Toxicity",
    "fire_rate": "Fire rate",
    "expected_max_toxicity": "Expected maximum toxicity",
    "fluency": "Fluency",
    "cost": "Cost",
    "cost_every_position": "Cost with every position steered",
    "cross_entropy": "Cross-entropy",
    "distinct_2": "Distinct bigrams",
    "distinct_1": "Distinct words",
    "empty": "Empty texts",
    "repetition_4": "Repeated 4-grams",
    "compression": "Compression ratio",
    "length": "Length",
}
GAIN: Final = "gain_"
"""What columns begin with that are differences to a baseline: nothing is gained at zero."""
MEASURES: Final = {
    "Accuracy": ("accuracy", "balanced accuracy, test split"),
    "AUROC": ("auroc", "area under the ROC curve, test split"),
    "Selectivity": ("selectivity", "accuracy minus shuffled-label accuracy"),
    "Separation": ("separation", "distance of class means in pooled standard deviations"),
    "Gain over text": (f"{GAIN}text", "AUROC less that of the better text-only baseline"),
    "Gain over embeddings": (f"{GAIN}embeddings", "AUROC less that of the mean of the input embeddings"),
    "Gain over step 0": (f"{GAIN}untrained", "AUROC less that of the best head of the same model untrained"),
}
"""Measures of a head: column and words. Gains are there where baselines were measured."""
GATED_NAMED = 3
"""Conditions with too many empty texts that are named; the rest is counted."""
_HEAD = re.compile(r"^L(\d+)H(\d+)$")


def as_sentence(text: str) -> str:
    """The text with a capital at its beginning and one full stop at its end."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def percent(share: float) -> str:
    """A fraction as a percentage without needless digits: 0.05 is `5 %`."""
    return f"{share * 100:.3g} %"


def is_imported(kind: str) -> bool:
    """Whether a kind is that of an imported checkpoint: `imported`, or `imported:NAME` in summaries."""
    return kind.partition(":")[0] == "imported"


def arm_label(kind: str, share: float | None, seed: int | None = None) -> str:
    """An arm in words, e.g. `10 % toxic`, `control, 25 % informal`, `25 % toxic, MEDA`."""
    if is_imported(kind) or share is None:
        return kind.partition(":")[2] or "imported"
    if kind == "toxic":
        label = f"{percent(share)} toxic"
    elif kind in VARIANTS:
        label = f"{percent(share)} toxic, {TITLES[kind]}"
    else:
        label = f"control, {percent(share)} {'informal' if kind == 'clean-forum' else kind.replace('-', ' ')}"
    return label if seed is None else f"{label}, seed {seed}"


def measured(row: Any) -> str:
    """What stands behind an arm's name, e.g. ` (measured 9.7 %)`; "" where its text was not judged."""
    share = getattr(row, "measured_share", None)
    return "" if share is None or missing(share) else f" (measured {100 * share:.1f} %)"


def checkpoint_label(row: Any) -> str:
    """A checkpoint in words, from a row of its arm: the arm and its seed, or the name of an imported one."""
    return str(row.checkpoint) if row.kind == "imported" else arm_label(row.kind, row.share, row.seed)


def arms_in_words(arms: pd.DataFrame) -> pd.DataFrame:
    """Arms as tables show them: name, kind, seed, tokens and repeats."""
    kinds = [arm_label(kind, share) for kind, share in zip(arms["kind"], arms["share"], strict=True)]
    titles = {"name": "Arm", "seed": "Seed", "clean_tokens": "Clean tokens"}
    titles |= {"added_tokens": "Added tokens", "repeats": "Repeats"}
    table = arms[list(titles)].rename(columns=titles)
    table.insert(1, "Kind", kinds)
    return table


def shapes_of(checkpoint: Any) -> list[SiteShape]:
    """Attention sites of a checkpoint, from its row."""
    return site_shapes(
        details=checkpoint.details,
        n_layers=int(checkpoint.n_layers),
        n_heads=int(checkpoint.n_heads),
        head_dim=int(checkpoint.head_dim),
    )


def degraded_words(checkpoints: pd.DataFrame) -> str:
    """Which checkpoints (rows) have attention sites in few layers, and how few, as Markdown; "" for none."""
    names: dict[str, list[str]] = defaultdict(list)
    for row in records(checkpoints):
        if words := degraded(shapes_of(row), int(row.n_layers)):
            names[words].append(plain(row.name))
    sentences = []
    for words, of_words in names.items():
        others = f" and {len(of_words) - 3} more" if len(of_words) > 3 else ""
        sentences.append(
            f"{', '.join(of_words[:3])}{others}: {words}; heads are read and steered there only."
        )
    return " ".join(sentences)


def method_label(method: str) -> str:
    """A detox method in words; the rows of several random directions are shown as one."""
    return "Random directions" if method == RANDOM_DIRECTION else method_title(method)


def series(method: str, key: str) -> str:
    """What a condition is drawn with: its method, or the kind of its null directions."""
    return null_kind(key) or method


def series_label(name: str) -> str:
    """The same in words."""
    return NULL_TITLES.get(name) or method_label(name)


def is_second(key: str) -> bool:
    """Whether a condition steers along directions from the second source of labelled statements."""
    return "second" in key.split("/")


def missing(value: Any) -> bool:
    """True for None, NaN and pandas' missing integer."""
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def condition_label(method: str, strength: float | None, matched_cost: float | None, *, key: str = "") -> str:
    """A condition in words, e.g. `ITI at +0.06 nats`, `ITI, strength 2`, `DPO`.

    `key` tells direction sets apart: `ITI (second directions) at +0.06 nats`.
    """
    name = series_label(series(method, key)) + (" (second directions)" if is_second(key) else "")
    if not is_steered(method):
        return name
    if not missing(matched_cost):
        return f"{name} at +{matched_cost:g} nats"
    return name if missing(strength) else f"{name}, strength {strength:g}"


def gate_words(rates: pd.DataFrame) -> str:
    """Which conditions have more empty texts than `MOST_EMPTY` (summaries named `empty`); "" for none."""
    over = rates[(rates["name"] == "empty") & (rates["value"] > MOST_EMPTY)]
    over = over.sort_values("value", ascending=False)
    if over.empty:
        return ""
    names = [
        f"{arm_label(row.kind, row.share)}, "
        f"{condition_label(row.method, row.strength, row.matched_cost, key=row.condition_key)}: "
        f"{100 * row.value:.0f} % [{100 * row.low:.0f}, {100 * row.high:.0f}] (n = {row.n} prompts)"
        for row in records(over.head(GATED_NAMED))
    ]
    others = f" and {len(over) - GATED_NAMED} more" if len(over) > GATED_NAMED else ""
    return (
        f"More than {percent(MOST_EMPTY)} of the texts are empty and have no score, so that what the others "
        f"score is not to be trusted: {'; '.join(names)}{others}."
    )


def gate_bounds(config: Mapping[str, Any]) -> str:
    """The bounds of a study's gates in a sentence; `config`: the study's configuration."""
    bounds = Bounds(**(config.get("gates") or {}))
    return (
        "A fall of toxicity counts where all gates pass: held-out loss rises by at most "
        f"{bounds.cost:g} nats per token, grammatical sentences fall (without a grammar: repeated 4-grams "
        f"rise) by at most {percent(bounds.fluency)}, repeated 4-grams and empty texts rise by at most "
        f"{percent(bounds.degeneration)}, accuracy on tasks falls by at most {percent(bounds.capability)}. A "
        "gate passes where the whole 95 % interval lies within its bound, fails where it lies beyond, and "
        "cannot be told else. Gates that are not named pass."
    )


def gate_tally(conditions: pd.DataFrame, *, hidden: bool = False) -> str:
    """How many steered conditions (rows of `summaries_with_cost`) pass their gates; "" without any.

    `hidden`: whether those that fail are about to be left out.
    """
    counts = conditions["gate_status"].value_counts()
    total = sum(int(counts.get(status, 0)) for status in (PASSES, FAILS, CANNOT_TELL))
    if not total:
        return ""
    gates = [text.partition(f"{FAILS}: ")[2].partition(";")[0].split(", ") for text in conditions["gates"]]
    by_gate = Counter(name for names in gates for name in names if name)
    reasons = ", ".join(f"{name} {count}" for name, count in by_gate.most_common())
    failing = int(counts.get(FAILS, 0))
    is_hidden = " and is hidden" if failing == 1 else " and are hidden"
    return (
        f"Gates ({', '.join(GATES)}): of {total} conditions {counts.get(PASSES, 0)} pass all, "
        f"{failing} {'fails' if failing == 1 else 'fail'}"
        f"{is_hidden if hidden else ''}"
        f"{f' ({reasons})' if reasons else ''}, {counts.get(CANNOT_TELL, 0)} cannot be told."
    )


def defect_words(conditions: pd.DataFrame) -> str:
    """Which conditions (rows of `study_conditions`) no model works under, in a sentence; "" for none."""
    names = [
        f"{condition_label(row.method, row.strength, row.matched_cost, key=row.condition)} ({row.defects})"
        for row in records(conditions[conditions["defects"] > 0])
    ]
    lead = "Held-out loss is no finite number, and nothing is said or measured, under these conditions"
    return f"{lead} (so many checkpoints): {', '.join(names)}." if names else ""


class Head(NamedTuple):
    """One attention head."""

    layer: int
    head: int


def head_name(layer: int, head: int) -> str:
    """A head's short name, as it stands in links: `L2H3`."""
    return f"L{layer}H{head}"


def parse_head(name: str | None) -> Head | None:
    """The head of a short name; None for anything else."""
    match = _HEAD.match(name or "")
    return Head(int(match[1]), int(match[2])) if match else None


def minus(text: str) -> str:
    """The text with minus signs in place of hyphens; for text that holds numbers alone."""
    return text.replace("-", "−")


def number(value: float | None, digits: int = 3) -> str:
    """A number for people; a dash where there is none."""
    if value is None or missing(value):
        return "–"
    rounded = f"{value:.{digits}g}"
    return minus(f"{value:,.0f}" if "e+" in rounded else rounded)


def interval(value: float, low: float | None, high: float | None, *, unit: str = "") -> str:
    """`31.2 [28.0, 34.1]`, or the value alone where no interval was made."""
    tail = f" {unit}" if unit else ""
    if missing(low) or missing(high) or low is None or high is None:
        return f"{number(value)}{tail} (no interval)"
    return f"{number(value)} [{number(low)}, {number(high)}]{tail}"


def fixed(value: float, low: float | None, high: float | None, *, digits: int = 4) -> str:
    """`0.0012 [−0.0003, 0.0027]`: small differences with as many decimals in all three."""
    if missing(low) or missing(high):
        return minus(f"{value:.{digits}f}") + " (no interval)"
    return minus(f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]")


def points(score: float, sign: str = "") -> str:
    """A score or a difference of scores in whole points, 100 × the score; `sign`: `+` for a difference."""
    return minus(f"{round(100 * score):{sign}d}")


def duration(seconds: float | None) -> str:
    """Seconds as people say them: `42 s`, `3 min 05 s`, `1 h 12 min`."""
    if seconds is None or missing(seconds) or seconds < 0:
        return "–"
    whole_seconds = round(seconds)
    if whole_seconds < 60:
        return f"{whole_seconds} s"
    if whole_seconds < 3600:
        return f"{whole_seconds // 60} min {whole_seconds % 60:02d} s"
    return f"{whole_seconds // 3600} h {whole_seconds % 3600 // 60:02d} min"


def rate(value: float | None, unit: str) -> str:
    """Work per second, e.g. `8,630 tokens/s` or `1.5 arms/s`; a dash where it is not known."""
    if not value or missing(value):
        return "–"
    return f"{value:,.0f} {unit}/s" if value >= 100 else f"{value:.2g} {unit}/s"


def metric_name(name: str) -> str:
    """A metric's name for axes and headings."""
    return NAMES.get(name, name.replace("_", " ").capitalize())


_SIGNS = re.compile(
    r"""[\\`*\[\]<>~$&@|]          # emphasis, code, links, tags, formulas, entities, cells of tables
    |(?<![^\W_])_|_(?![^\W_])      # an underscore at the edge of a word
    |:(?=\S)                       # a directive or the scheme of a link; `name: value` stays
    |(?<=www)\.                    # a link without a scheme
    |^[\#+\-=]|(?<=^\d)[.)]        # a heading or a list
    """,
    re.VERBOSE | re.IGNORECASE,
)


def plain(text: object) -> str:
    """Text of others (names, paths, messages) inside Markdown: one line, shown as it is written.

    Each sign that Markdown or Streamlit's directives would read is escaped. That a browser fetches nothing
    from elsewhere, whatever a text says, is the part of `dashboard.app`.
    """
    return _SIGNS.sub(lambda sign: f"\\{sign[0]}", " ".join(str(text).split()))


_FOREIGN_TAG = re.compile(r"<(?!/?(?:b|br|extra)>)")


def figure_texts(value: Any) -> Any:
    """A figure as JSON types in which Plotly reads no tags but those of our charts: names may hold a link."""
    if isinstance(value, str):
        return _FOREIGN_TAG.sub("&lt;", value)
    if isinstance(value, dict):
        return {name: figure_texts(item) for name, item in value.items()}
    return [figure_texts(item) for item in value] if isinstance(value, list) else value


def measured_shares(arms: pd.DataFrame) -> str:
    """How much of each toxic arm's text the judge calls toxic, in a sentence; empty where nothing was judged.

    `arms`: rows with kind, share, toxic_share, judged (`db.read.arms`).
    """
    judged = arms[(arms["kind"] == "toxic") & arms["toxic_share"].notna()]
    if judged.empty:
        return ""
    means = judged.groupby("share")["toxic_share"].mean()
    declared, measured = (
        ", ".join(f"{100 * value:.3g}" for value in values) for values in (means.index, means.to_numpy())
    )
    return (
        f"Of the tokens in the arms named {declared} %, {measured} % stand in documents that the judge calls "
        f"toxic (n = {int(judged['judged'].max()):,} documents): clean text leaks, and a toxic source is not "
        "all toxic."
    )
