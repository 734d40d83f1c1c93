"""Rows of several queries joined as charts need them: costs, pairs of conditions, axes.

Imported checkpoints belong to no arm: their kind is `imported` here.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from hormesis.db.contract.methods import NULL_STEMS
from hormesis.db.gates.losses import with_gates
from hormesis.db.read.features import entanglement, probe_gains
from hormesis.db.read.geometry import activations, projection_points, study_probes
from hormesis.db.read.labelled import score_counts
from hormesis.db.read.pairs import Change, Order, changed_pairs, pair_texts
from hormesis.db.read.results import conditions, gates, summaries
from hormesis.db.read.runs import checkpoints, studies, study

SUMMARY_KEYS = ["kind", "share", "condition_key"]


def studies_with_config(engine: Engine) -> pd.DataFrame:
    """Every study, newest first, with config and data_revisions as dicts."""
    study_rows = studies(engine)
    details = [study(engine, int(study_id)).iloc[0] for study_id in study_rows["id"]]
    return study_rows.assign(
        config=[row["config"] for row in details], data_revisions=[row["data_revisions"] for row in details]
    )


def _with_imported(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(kind=rows["kind"].astype(object).where(rows["kind"].notna(), "imported"))


def arm_checkpoints(engine: Engine, study_id: int) -> pd.DataFrame:
    """Checkpoints with kind, share and seed of their arm."""
    return _with_imported(checkpoints(engine, study_id))


def arm_probes(engine: Engine, study_id: int, position: str) -> pd.DataFrame:
    """One row per head and checkpoint, with selectivity and the kind of the arm."""
    return _with_imported(study_probes(engine, study_id, position))


def arm_points(engine: Engine, projection_id: int) -> pd.DataFrame:
    """Points of one projection, at most 15,000, with the kind of the arm."""
    return _with_imported(projection_points(engine, projection_id))


def arm_entanglement(engine: Engine, study_id: int, position: str) -> pd.DataFrame:
    """Entanglement of every kept head of every checkpoint, with the kind of the arm."""
    return _with_imported(entanglement(engine, study_id, position))


def arm_gains(engine: Engine, study_id: int, position: str) -> pd.DataFrame:
    """What heads gain over each baseline in every checkpoint, with the kind of the arm."""
    return _with_imported(probe_gains(engine, study_id, position))


def with_cost(metric: pd.DataFrame, cost: pd.DataFrame) -> pd.DataFrame:
    """Rows of `metric` with cost, cost_low and cost_high (nats) of the same arm kind, share and condition.

    Both are summaries, `cost` of the metric of that name. Unsteered costs 0; rows without cost are left out.
    """
    cost = cost[[*SUMMARY_KEYS, "value", "low", "high"]].drop_duplicates(SUMMARY_KEYS)
    cost = cost.rename(columns={"value": "cost", "low": "cost_low", "high": "cost_high"})
    joined = metric.merge(cost, on=SUMMARY_KEYS, how="left")
    for column in ("cost", "cost_low", "cost_high"):
        joined[column] = joined[column].astype(float).where(joined["method"] != "none", 0.0)
    return joined[joined["cost"].notna()]


def summaries_with_cost(
    engine: Engine, study_id: int, *, name: str, prompt_set: str | None, scorer: str | None
) -> pd.DataFrame:
    """Summaries of the metric `name` with each condition's cost (nats) and what its gates say (`with_gates`).

    By kind, then rising share.
    """
    metric = summaries(engine, study_id, name=name, prompt_set=prompt_set, scorer=scorer)
    joined = with_cost(metric, summaries(engine, study_id, name="cost"))
    joined = with_gates(joined, gates(engine, study_id, prompt_set))
    return joined.sort_values(["kind", "share"], ascending=[False, True], kind="stable")


def condition_pairs(
    engine: Engine, study_id: int, *, kind: str, share: float, condition_key: str
) -> pd.DataFrame:
    """A row per checkpoint of an arm (or of `imported:NAME`): checkpoint, base_id (unsteered), condition_id.

    `condition_key`: that of a summary; `random/cost-0.06`, all random directions at that cost, stands for
    the first of them (`random-0/cost-0.06`), and so for other null directions.
    """
    rows = arm_checkpoints(engine, study_id)
    if kind.partition(":")[0] == "imported":
        arm_rows = rows[rows["name"] == kind.partition(":")[2]]
    else:
        arm_rows = rows[(rows["kind"] == kind) & ((rows["share"].astype(float) - share).abs() < 1e-9)]
    several = "^({})/".format("|".join(NULL_STEMS.values()))
    key_pattern = re.sub(several, r"\1-\\d+/", re.escape(condition_key))
    pairs = []
    for name, checkpoint_id in zip(arm_rows["name"], arm_rows["id"], strict=True):
        of_checkpoint = conditions(engine, int(checkpoint_id))
        base = of_checkpoint[of_checkpoint["method"] == "none"]
        chosen = of_checkpoint[of_checkpoint["condition"].str.fullmatch(key_pattern)]
        if len(base) and len(chosen):
            pairs.append((str(name), int(base["condition_id"].iloc[0]), int(chosen["condition_id"].iloc[0])))
    return pd.DataFrame(pairs, columns=["checkpoint", "base_id", "condition_id"])


def paired_texts(
    engine: Engine,
    before_id: int,
    after_id: int,
    *,
    prompt_set_id: int,
    scorer_id: int,
    page: int,
    size: int,
    order: Order,
    only: Change | None = None,
    margin: float = 0.05,
) -> pd.DataFrame:
    """One page (from 0) of `size` rows, each a prompt continued under two conditions.

    `before_id`, `after_id`: ids of the conditions; `order`, `only`, `margin`: as for `changed_pairs`.
    Columns: prompt, base_text and base_score (before), text and score (after).
    """
    scored = changed_pairs(
        engine,
        before_id,
        after_id,
        prompt_set_id=prompt_set_id,
        scorer_id=scorer_id,
        page=page,
        size=size,
        order=order,
        only=only,
        margin=margin,
    )
    prompt_samples = list(zip(scored["prompt_id"].astype(int), scored["sample"].astype(int), strict=True))
    texts = pair_texts(engine, before_id, after_id, chosen=prompt_samples)
    return scored.rename(columns={"before": "base_score", "after": "score"}).merge(
        texts.rename(columns={"before": "base_text", "after": "text"}), on=["prompt_id", "sample"]
    )


def unsteered_conditions(engine: Engine, study_id: int) -> pd.DataFrame:
    """The unsteered condition of the first seed of every arm: checkpoint, kind, share, condition_id."""
    arms = arm_checkpoints(engine, study_id).sort_values("seed").drop_duplicates(["kind", "share"])
    rows = []
    for name, kind, share, checkpoint_id in arms[["name", "kind", "share", "id"]].itertuples(index=False):
        of_checkpoint = conditions(engine, int(checkpoint_id))
        base = of_checkpoint[of_checkpoint["method"] == "none"]
        if len(base):
            rows.append((str(name), kind, share, int(base["condition_id"].iloc[0])))
    return pd.DataFrame(rows, columns=["checkpoint", "kind", "share", "condition_id"])


def score_histogram(
    engine: Engine, study_id: int, prompt_set_id: int, *, scorer: str, bins: int
) -> pd.DataFrame:
    """Unsteered scores of each arm's first seed in `bins` bins from 0 to 1: kind, share, low, high, count."""
    edges = np.linspace(0, 1, bins + 1)
    parts = []
    for base in unsteered_conditions(engine, study_id).to_dict("records"):
        binned = score_counts(engine, int(base["condition_id"]), prompt_set_id, scorer=scorer, bins=bins)
        if len(binned):
            counts = binned.set_index("bin")["n"].reindex(range(bins), fill_value=0).to_numpy()
            arm = {"kind": base["kind"], "share": base["share"]}
            parts.append(pd.DataFrame(arm | {"low": edges[:-1], "high": edges[1:], "count": counts}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def principal_components(
    engine: Engine, checkpoint_id: int, *, layer: int, head: int, position: str
) -> pd.DataFrame:
    """First three principal components (x, y, z) of a head's activations, a row per statement.

    Signs are fixed: the largest loading of each is positive. Empty where fewer than three rows were kept.
    """
    stored = activations(engine, checkpoint_id, layer=layer, head=head, position=position)
    if stored is None or len(stored.values) < 3:
        return pd.DataFrame()
    centred = stored.values - stored.values.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:3] * np.sign(axes[np.arange(len(axes[:3])), np.abs(axes[:3]).argmax(axis=1)])[:, None]
    coordinates = np.zeros((len(centred), 3))
    coordinates[:, : len(axes)] = centred @ axes.T
    examples = stored.examples.rename(columns={"id": "example_id"})
    return examples.assign(x=coordinates[:, 0], y=coordinates[:, 1], z=coordinates[:, 2])
