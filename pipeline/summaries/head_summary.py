"""Rows of how well the heads of each arm read toxicity, over seeds and against the clean arm.

Written with the projections, when all arms are probed, because differences need the clean arm.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, func, or_, select

from hormesis.db.blocks import decode_float32
from hormesis.db.schema import Arm, Checkpoint, Entanglement, HeadSummary, ProbeGain
from hormesis.db.write import read_session, replace_rows, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.probing.baselines import ALL, MATCHED, SELECTED, TEXT_ONLY, WORDS
from hormesis.pipeline.probing.head_accuracy import (
    ArmGroup,
    Summary,
    summarise_heads,
    summarise_means,
    summarise_resamples,
)
from hormesis.pipeline.probing.head_hits import arm_hits, labels_of, selected_entanglement, unseen
from hormesis.pipeline.probing.loading import probe_set_id

UNSEEN = ("mean", "p90")
"""Statistics that are also made without test statements that share a sentence with the train split."""


def write_head_summaries(context: StudyContext) -> None:
    """Write the statistics of every arm whose probes are there; drop those of arms that are gone.

    `arm_hits` tells which arms count. Hits: per seed bool [heads, statements]; `statements`: ids. `UNSEEN`
    statistics are over the statements that share no sentence with the train split; none where these lack a
    class.
    """
    engine, probe_set = context.engine, probe_set_id(context)
    hits_by_arm, statements = arm_hits(
        engine, context.study_id, probe_set, position=context.config.probe.position
    )
    rows: list[dict[str, Any]] = []
    if hits_by_arm:
        toxic, clusters = labels_of(engine, probe_set, statements)
        draws = context.config.probe.bootstrap
        summaries = summarise_heads(hits_by_arm, toxic, clusters, draws=draws)
        is_unseen = unseen(engine, probe_set, statements)
        if min(toxic[is_unseen].sum(), (~toxic)[is_unseen].sum()) > 1:
            of_unseen = {arm: [hits[:, is_unseen] for hits in seeds] for arm, seeds in hits_by_arm.items()}
            unseen_ids = np.array(statements)[is_unseen].tolist()
            by_name = summarise_heads(of_unseen, *labels_of(engine, probe_set, unseen_ids), draws=draws)
            summaries += [
                replace(summary, name=f"{summary.name}-unseen")
                for summary in by_name
                if summary.name in UNSEEN
            ]
        summaries += _entanglement(context) + _gains(context, probe_set)
        rows = [
            {
                "study_id": context.study_id,
                "kind": summary.arm.kind,
                "share": summary.arm.share,
                "name": summary.name,
                "value": summary.value,
                "low": summary.low,
                "high": summary.high,
                "difference": summary.difference,
                "difference_low": summary.difference_low,
                "difference_high": summary.difference_high,
                "p": summary.p,
                "n_seeds": summary.seeds,
                "n": summary.n,
                "heads": summary.heads,
                "interval": summary.interval,
            }
            for summary in summaries
        ]
    with write_session(context.engine) as session:
        on, within = ("study_id", "kind", "share", "name"), [HeadSummary.study_id == context.study_id]
        replace_rows(session, HeadSummary, rows, on=on, within=within)


def _entanglement(context: StudyContext) -> list[Summary]:
    """Mean entanglement of the selected heads of each arm, over seeds; the query has a row per checkpoint."""
    query = (
        selected_entanglement(
            context.study_id,
            *(Arm.kind, Arm.share, func.avg(Entanglement.value), func.count(), func.max(Entanglement.n)),
        )
        .join(Arm, Checkpoint.arm_id == Arm.id)
        .group_by(Arm.kind, Arm.share, Arm.seed, Checkpoint.id)
        .order_by(Arm.kind, Arm.share, Arm.seed)
    )
    means_by_arm: dict[ArmGroup, list[float]] = defaultdict(list)
    n_heads = n = 0
    with read_session(context.engine) as session:
        for kind, share, mean, head_count, n_examples in session.execute(query):
            means_by_arm[ArmGroup(kind, share)].append(float(mean))
            n_heads, n = max(n_heads, head_count), max(n, n_examples)
    return summarise_means("entanglement", means_by_arm, n=n, heads=n_heads)


def _gains(context: StudyContext, probe_set: int) -> list[Summary]:
    """What the selected heads of each arm gain over the baselines; seeds of other statements are left out.

    `gain-matched`: over words, on statements whose words make both labels: their AUROC less 0.5.
    """
    query = (
        select(Arm.kind, Arm.share, ProbeGain)
        .join(Checkpoint, ProbeGain.checkpoint_id == Checkpoint.id)
        .join(Arm, Checkpoint.arm_id == Arm.id)
        .where(
            Checkpoint.study_id == context.study_id,
            ProbeGain.probe_set_id == probe_set,
            ProbeGain.position == context.config.probe.position,
            ProbeGain.heads == SELECTED,
            or_(
                and_(ProbeGain.subset == ALL, ProbeGain.is_chosen),
                and_(ProbeGain.subset == MATCHED, ProbeGain.baseline == WORDS),
            ),
        )
        .order_by(Arm.kind, Arm.share, Arm.seed, Checkpoint.name)
    )
    by_name: dict[str, list[tuple[ArmGroup, ProbeGain]]] = defaultdict(list)
    with read_session(context.engine) as session:
        rows = session.execute(query).all()
    for kind, share, row in rows:
        if row.subset == MATCHED:
            name = "gain-matched"
        else:
            name = f"gain-{'text' if row.baseline in TEXT_ONLY else row.baseline}"
        by_name[name].append((ArmGroup(kind, share), row))
    summaries: list[Summary] = []
    for name, of_name in by_name.items():
        n = Counter(row.n_test for _, row in of_name).most_common(1)[0][0]
        by_arm: dict[ArmGroup, list[NDArray[np.float64]]] = defaultdict(list)
        for arm, row in of_name:
            if row.n_test == n:
                by_arm[arm].append(np.array([row.value, *decode_float32(row.resamples)], dtype=np.float64))
        heads = max(row.n_heads for _, row in of_name)
        summaries += summarise_resamples(name, by_arm, n=n, heads=heads)
    return summaries
