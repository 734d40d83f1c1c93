"""Rows of how well the heads of each arm read toxicity, over seeds and against the clean arm.

Written with the projections, when all arms are probed, because differences need the clean arm.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import delete, func, select

from db.schema import Arm, Checkpoint, Entanglement, HeadSummary, Probe
from db.write import read_session, upsert, write_session
from pipeline.execution.context import StudyContext
from pipeline.head_accuracy import Arm as Place
from pipeline.head_accuracy import Summary, summarise_heads, summarise_means
from pipeline.head_hits import arm_hits, labels_of
from pipeline.loading import probe_set_id


def write_head_summaries(context: StudyContext) -> None:
    """Write the statistics of every arm whose probes are there; drop those of arms that are gone.

    Which arms count is told in `arm_hits`.
    """
    engine, probe_set = context.engine, probe_set_id(context)
    arms, statements = arm_hits(engine, context.study_id, probe_set, context.config.probe.position)
    rows: list[dict[str, Any]] = []
    if arms:
        toxic, clusters = labels_of(engine, probe_set, statements)
        found = summarise_heads(arms, toxic, clusters, draws=context.config.probe.bootstrap)
        found += _entanglement(context)
        rows = [
            {
                "study_id": context.study_id,
                "kind": one.arm[0],
                "share": one.arm[1],
                "name": one.name,
                "value": one.value,
                "low": one.low,
                "high": one.high,
                "difference": one.difference,
                "difference_low": one.difference_low,
                "difference_high": one.difference_high,
                "p": one.p,
                "n_seeds": one.seeds,
                "n": one.n,
                "heads": one.heads,
                "interval": one.interval,
            }
            for one in found
        ]
    with write_session(context.engine) as session:
        wanted = {(row["kind"], row["share"], row["name"]) for row in rows}
        known = session.execute(
            select(HeadSummary.id, HeadSummary.kind, HeadSummary.share, HeadSummary.name).where(
                HeadSummary.study_id == context.study_id
            )
        )
        stale = [row[0] for row in known if tuple(row[1:]) not in wanted]
        session.execute(delete(HeadSummary).where(HeadSummary.id.in_(stale)))
        upsert(session, HeadSummary, rows, on=("study_id", "kind", "share", "name"))


def _entanglement(context: StudyContext) -> list[Summary]:
    """Mean entanglement of the selected heads of each arm, over seeds."""
    query = (
        select(Arm.kind, Arm.share, func.avg(Entanglement.value), func.count(), func.max(Entanglement.n))
        .join(Checkpoint, Entanglement.checkpoint_id == Checkpoint.id)
        .join(Arm, Checkpoint.arm_id == Arm.id)
        .join(
            Probe,
            (Probe.checkpoint_id == Entanglement.checkpoint_id)
            & (Probe.probe_set_id == Entanglement.probe_set_id)
            & (Probe.position == Entanglement.position)
            & (Probe.layer == Entanglement.layer)
            & (Probe.head == Entanglement.head),
        )
        .where(
            Checkpoint.study_id == context.study_id,
            Probe.rank.is_not(None),
            Entanglement.value.is_not(None),
        )
        .group_by(Arm.kind, Arm.share, Arm.seed, Checkpoint.id)
        .order_by(Arm.kind, Arm.share, Arm.seed)
    )
    arms: dict[Place, list[float]] = defaultdict(list)
    heads = n = 0
    with read_session(context.engine) as session:
        for kind, share, value, count, size in session.execute(query):
            arms[kind, share].append(float(value))
            heads, n = max(heads, count), max(n, size)
    return summarise_means("entanglement", arms, n=n, heads=heads)
