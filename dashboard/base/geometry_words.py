"""What maps of directions, probes and their gains say, in words. Knows columns of rows; nothing of pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pandas as pd

from hormesis.dashboard.base.headlines import Headline, signed
from hormesis.dashboard.base.records import arm_groups, records
from hormesis.dashboard.base.verdicts import p_equals
from hormesis.dashboard.base.wording import (
    arm_label,
    checkpoint_label,
    head_name,
    minus,
    missing,
    percent,
)


def best_head(probes: pd.DataFrame) -> Headline:
    """Which head reads toxicity best, where no arms are compared; `probes`: a row per head and checkpoint."""
    best = records(probes.sort_values("select_accuracy", kind="stable"))[-1]
    answer = (
        f"In {checkpoint_label(best)}, head {head_name(best.layer, best.head)} reads it best: balanced "
        f"accuracy {best.accuracy:.2f} [{best.accuracy_low:.2f}, {best.accuracy_high:.2f}] "
        f"(n = {best.n_test:,} test statements)."
    )
    return Headline(
        "Where does toxicity live?", "", answer, "Chosen by the select split, measured on the test split."
    )


SPACES: Final = {
    "functional": "Statements",
    "vocabulary": "Vocabulary",
    "residual": "Residual stream",
}
"""What directions are compared by, in words."""
SPACE_TITLES: Final = {
    "functional": "Toxicity directions by what they say",
    "vocabulary": "Toxicity directions by the tokens they write",
    "residual": "Toxicity directions in the residual stream of {checkpoint}",
}
SPACE_GUIDES: Final = {
    "functional": "Near points score the same statements alike, within each label.",
    "vocabulary": "Near points raise and lower the same tokens (logit lens).",
    "residual": "Near points add the same to the residual stream.",
}
NULLS: Final = {
    "random": "Random directions",
    "independent": "Heads that share only the label",
}
"""Maps in which there is nothing to see, in words."""
DECIDING: Final = ("accuracy", "layer")
LEVEL: Final = 0.05 / len(DECIDING)
"""Of each of the two measures, so that chance alone calls a map structured in at most 1 of 20 cases."""


def is_beyond_nulls(figure: Any) -> bool:
    """Whether a figure (row of `map_agreement`) is larger than chance has it, under each null there is."""
    return all(missing(p) or p <= LEVEL for p in (figure.random_p, figure.independent_p))


def structure(figures: pd.DataFrame) -> list[str]:
    """The deciding measures by which a map has structure; `figures`: its rows of `map_agreement`."""
    of_measure = {row.measure: row for row in records(figures)}
    return [name for name in DECIDING if name in of_measure and is_beyond_nulls(of_measure[name])]


def structure_sentence(figures: pd.DataFrame) -> str:
    """Whether a map shows structure, and by which figures; empty without figures."""
    rows = {row.measure: row for row in records(figures)}
    if not any(name in rows for name in DECIDING):
        return ""
    beyond = structure(figures)
    verdict = (
        f"These directions have structure ({' and '.join(beyond)})"
        if beyond
        else "These directions cannot be told from random ones"
    )
    parts = []
    if "accuracy" in rows:
        row = rows["accuracy"]
        parts.append(
            f"neighbours' accuracies correlate by {signed(row.value)} [{signed(row.low)}, "
            f"{signed(row.high)}], {_chance(row, signed)}"
        )
    if "layer" in rows:
        row = rows["layer"]
        parts.append(
            f"{_percent(row.value)} [{_percent(row.low)}, {_percent(row.high)}] share the layer, "
            f"{_chance(row, _percent)}"
        )
    row = next(iter(rows.values()))
    where = "one checkpoint" if row.checkpoints == 1 else f"{row.checkpoints} checkpoints"
    return f"{verdict}: {'; '.join(parts)}. n = {row.heads:,} heads of {where}."


def _percent(share: float) -> str:
    return percent(round(share, 2))


def _chance(row: Any, words: Callable[[float], str]) -> str:
    """What chance gives: `of random directions 27 % (95 % of draws below 28 %)`."""
    return f"of random directions {words(row.random_mean)} (95 % of draws below {words(row.random_high)})"


def quality_words(projection: pd.Series) -> str:
    """How faithful a projection is to its data; empty for one of an older version, or of too few points."""
    if missing(projection["trustworthiness"]) or missing(projection["overlap"]):
        return ""
    return (
        f"Trustworthiness {projection['trustworthiness']:.2f}; {percent(round(projection['overlap'], 2))} of "
        "nearest neighbours are neighbours on the map."
    )


TITLES: Final = {
    "accuracy": "Accuracy: correlation with the neighbours' mean",
    "layer": "Layer: share of neighbours with the same",
    "seed": "Seed: share of neighbours with the same",
    "likeness": "Mean cosine of two directions",
}


def figure_table(figures: pd.DataFrame) -> pd.DataFrame:
    """Figures of one map as a table of words, the deciding ones first."""
    order = [*DECIDING, "seed", "likeness"]
    rows = sorted(records(figures), key=lambda row: order.index(row.measure))
    return pd.DataFrame(
        {
            "Figure of merit": [TITLES[row.measure] for row in rows],
            "Map": [minus(f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]") for row in rows],
            "Expected": ["–" if missing(row.expected) else minus(f"{row.expected:.3f}") for row in rows],
            **{
                title: [_null_words(row, name) for row in rows]
                for name, title in NULLS.items()
                if figures[f"{name}_mean"].notna().any()
            },
        }
    )


def _null_words(row: Any, name: str) -> str:
    """Mean, 95th percentile and p of one null."""
    mean, high, p = (getattr(row, f"{name}_{part}") for part in ("mean", "high", "p"))
    return "–" if missing(mean) else minus(f"{mean:.3f}, 95 % below {high:.3f} ({p_equals(p)})")


BASELINES: Final = {
    "words": "words alone",
    "length": "length and punctuation",
    "embeddings": "its own input embeddings",
    "untrained": "itself untrained",
}
"""Baselines in words; those of the text alone come first."""
GAINS: Final = {
    "Gain over text": "gain-text",
    "Gain over embeddings": "gain-embeddings",
    "Gain over step 0": "gain-untrained",
    "Gain over text, same words": "gain-matched",
}
"""Gains of an arm by the names of `head_summary`."""
SUBSETS: Final = {
    "all": "all",
    "matched": "same words",
    "unsure": "words unsure",
    "paraphrases": "same meaning",
}
"""Test statements that a gain is over, in words."""
GAIN_NOTE: Final = (
    "AUROC on the same test statements, with 95 % intervals. Heads are chosen on the select split: all that "
    "are steered (mean of their AUROCs), or the best one. Untrained: the same configuration and initial "
    "weights, and as many heads of its own. Same words: statements whose words, in another order, make one "
    "of the other label, so that a reader of words has an AUROC of 0.5. Words unsure: the third of the "
    "statements on which the reader of words is least sure. Same meaning: toxic texts beside harmless "
    "paraphrases of them, the pairs of a study of real text that tunes on them; toxic sides may stand in the "
    "training text (Data says what roles share), and words still tell much of them."
)


def _gain(row: Any) -> str:
    ends = "(no interval)" if missing(row.low) else f"[{row.low:+.3f}, {row.high:+.3f}]"
    return minus(f"{row.value:+.3f} {ends}")


def checkpoint_line(gains: pd.DataFrame) -> str:
    """Gains of a checkpoint (rows of `probe_gain`) in one sentence, or empty; of text the better baseline."""
    steered = gains[gains["heads"] == "selected"]
    selected = steered[(steered["subset"] == "all") & steered["is_chosen"].astype(bool)]
    if selected.empty:
        return ""
    matched = records(steered[(steered["subset"] == "matched") & (steered["baseline"] == "words")])
    same_words = [
        f" Where the words tell nothing (n = {row.n_test:,} statements that share them with one of the other "
        f"label) it is {row.auroc:.3f} [{row.auroc_low:.3f}, {row.auroc_high:.3f}]; 0.5 is chance."
        for row in matched
    ]
    rows = sorted(records(selected), key=lambda row: list(BASELINES).index(row.baseline))
    parts = [f"{_gain(row)} against {BASELINES[row.baseline]} ({row.baseline_auroc:.3f})" for row in rows]
    first = rows[0]
    return (
        f"{checkpoint_label(first)}: the {first.n_heads} steered heads read toxicity with a mean AUROC of "
        f"{first.auroc:.3f} [{first.auroc_low:.3f}, {first.auroc_high:.3f}]: {'; '.join(parts)}. "
        f"n = {first.n_test:,} test statements.{''.join(same_words)}"
    )


def gain_table(gains: pd.DataFrame) -> pd.DataFrame:
    """Rows of `probe_gain` as a table of words, a row per baseline and choice of heads."""
    rows = records(gains)
    return pd.DataFrame(
        {
            "Checkpoint": [row.checkpoint for row in rows],
            "Heads": ["best one" if row.heads == "best" else f"{row.n_heads} steered" for row in rows],
            "Statements": [SUBSETS[row.subset] for row in rows],
            "Baseline": [BASELINES[row.baseline] for row in rows],
            "Gain": [_gain(row) for row in rows],
            "AUROC": [f"{row.auroc:.3f} [{row.auroc_low:.3f}, {row.auroc_high:.3f}]" for row in rows],
            "AUROC of the baseline": [
                f"{row.baseline_auroc:.3f} [{row.baseline_low:.3f}, {row.baseline_high:.3f}]" for row in rows
            ],
            "n": [row.n_test for row in rows],
        }
    )


def _in_order(summaries: pd.DataFrame) -> list[tuple[str, Any]]:
    """Titles and rows of gains, as GAINS has them."""
    by_name = {row.name: row for row in records(summaries)}
    return [(title, by_name[name]) for title, name in GAINS.items() if name in by_name]


def _size(row: Any, usual: int) -> str:
    return "" if row.n == usual else f" (n = {row.n:,})"


def arms_line(summaries: pd.DataFrame) -> str:
    """Gains of the arms with least and most toxic text (rows of `head_summary`) in one sentence, or empty."""
    toxic = summaries[(summaries["kind"] == "toxic") & summaries["name"].isin(GAINS.values())]
    if toxic.empty:
        return ""
    n = int(toxic["n"].max())
    ends = toxic[toxic["share"].isin([toxic["share"].min(), toxic["share"].max()])]
    parts = [
        f"{arm_label(kind, share)}: "
        + ", ".join(f"{title.lower()} {_gain(row)}{_size(row, n)}" for title, row in _in_order(rows))
        for kind, share, rows in arm_groups(ends)
    ]
    first = toxic.iloc[0]
    seeds = "one seed" if first["n_seeds"] == 1 else f"{int(first['n_seeds'])} seeds"
    return (
        "Behind the claims on probes: mean AUROC of the steered heads less that of readers without trained "
        f"heads. {'; '.join(parts)} ({seeds}, n = {n:,} test statements)."
    )
