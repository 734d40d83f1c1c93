"""Rows of the geometry page beyond probes and projections, cached until the database changes."""

from __future__ import annotations

import pandas as pd

from hormesis.dashboard import rows
from hormesis.dashboard.base.geometry_words import GAINS
from hormesis.dashboard.base.selection import with_probes
from hormesis.dashboard.base.wording import GAIN, MEASURES, Head
from hormesis.dashboard.rows import study_query
from hormesis.dashboard.rows.cache import cached_query
from hormesis.dashboard.rows.context import Context
from hormesis.db import read

STATISTICS = {
    "Mean": "mean",
    "Median": "median",
    "90th percentile": "p90",
    "Best head": "max",
    "Above 0.7": "above-0.7",
    "Above 0.8": "above-0.8",
    "Above 0.85": "above-0.85",
    "Above 0.9": "above-0.9",
    "Mean, unseen text": "mean-unseen",
    "90th percentile, unseen text": "p90-unseen",
    **GAINS,
}

head_summaries = study_query(read.head_summaries)
agreements = study_query(read.map_agreements)
_entanglement = study_query(read.arm_entanglement)
_gains = study_query(read.arm_gains)
_kept_heads = study_query(read.kept_heads)
_feature_cosines = cached_query(read.feature_cosines)
_lens_tokens = cached_query(read.lens_tokens, most=64)
_lens_heads = cached_query(read.lens_heads)
_statement_scores = cached_query(read.statement_scores, most=32)
_contributions = cached_query(read.head_contributions)
_components = cached_query(read.principal_components, most=32)


def entanglement(context: Context) -> pd.DataFrame:
    """Entanglement of every kept head of every checkpoint."""
    return _entanglement(context, context.position)


def gains(context: Context) -> pd.DataFrame:
    """What heads gain over each baseline in every checkpoint."""
    return _gains(context, context.position)


def head_gains(context: Context) -> pd.DataFrame:
    """Probes with `gain_text`, `gain_embeddings` and `gain_untrained`: each head's AUROC less the baseline's.

    The baseline is that of the checkpoint, on the same test statements; NaN where none was measured.
    """
    probes, of_baseline = rows.probes(context), gains(context)
    is_used = (of_baseline["heads"] == "best") & (of_baseline["subset"] == "all") & of_baseline["is_chosen"]
    columns = of_baseline["baseline"].replace({"words": "text", "length": "text"})
    table = of_baseline.assign(column=GAIN + columns)[is_used]
    levels = table.pivot_table(index="checkpoint", columns="column", values="baseline_auroc")
    levels = probes[["checkpoint"]].join(levels, on="checkpoint")
    names = [column for column, _ in MEASURES.values() if column.startswith(GAIN)]
    return probes.assign(**{name: probes["auroc"] - levels.get(name, float("nan")) for name in names})


def feature_cosines(context: Context, checkpoint_id: int) -> pd.DataFrame:
    """Cosines of toxicity with every other feature in every kept head of a checkpoint."""
    return _feature_cosines(context, checkpoint_id, context.position)


def lens_tokens(context: Context, checkpoint_id: int, head: Head) -> pd.DataFrame:
    """Tokens that a head's direction raises and lowers."""
    return _lens_tokens(context, checkpoint_id, layer=head.layer, head=head.head, position=context.position)


def lens_heads(context: Context, checkpoint_id: int) -> set[Head]:
    """Layer and head of every head of a checkpoint that has such tokens."""
    heads = _lens_heads(context, checkpoint_id, context.position)
    return {Head(int(layer), int(head)) for layer, head in zip(heads["layer"], heads["head"], strict=True)}


def principal_components(context: Context, checkpoint_id: int, head: Head) -> pd.DataFrame:
    """First three principal components of a head's activations, a row per statement; empty if not kept."""
    return _components(context, checkpoint_id, layer=head.layer, head=head.head, position=context.position)


def direction_points(context: Context, projection_id: int) -> pd.DataFrame:
    """Points of a map of directions with the accuracy, selectivity and rank of their heads."""
    return with_probes(rows.projection_points(context, projection_id), rows.probes(context))


def statement_scores(context: Context, checkpoint_id: int, head: Head) -> pd.DataFrame:
    """The fixed test statements by how far a head moves along its direction, the highest first."""
    return _statement_scores(
        context, checkpoint_id, layer=head.layer, head=head.head, position=context.position
    )


def contribution(context: Context, checkpoint_id: int, head: Head) -> pd.Series | None:
    """What a head adds over the steered ones, a row of `head_contribution`, or None."""
    of_checkpoint = _contributions(context, checkpoint_id, context.position)
    of_head = of_checkpoint[(of_checkpoint["layer"] == head.layer) & (of_checkpoint["head"] == head.head)]
    return None if of_head.empty else of_head.iloc[0]


def kept_heads(context: Context) -> pd.DataFrame:
    """Heads whose activations are stored, with their checkpoints."""
    return _kept_heads(context, context.position)


def rank_interval(probe: pd.Series, probes: pd.DataFrame) -> tuple[int, int]:
    """Best and worst rank (from 1) that a head (`probe`) may have by test accuracy among `probes`.

    Heads of the same checkpoint whose interval lies wholly above or below its own are surely better or worse.
    """
    n_better = int((probes["accuracy_low"] > probe["accuracy_high"]).sum())
    n_worse = int((probes["accuracy_high"] < probe["accuracy_low"]).sum())
    return n_better + 1, len(probes) - n_worse
