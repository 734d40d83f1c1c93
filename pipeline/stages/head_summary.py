"""Rows of how well the heads of each arm read toxicity, over seeds and against the clean arm.

Written with the projections, when all arms are probed, because differences need the clean arm.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
from sqlalchemy import delete, func, select

from db.blocks import decode_int64
from db.schema import (
    Arm,
    Checkpoint,
    Entanglement,
    Example,
    ExampleList,
    HeadSummary,
    Probe,
    ProbeHits,
)
from db.write import read_session, upsert, write_session
from pipeline.context import StudyContext
from pipeline.feature_cells import find_clusters
from pipeline.features import word_bag
from pipeline.head_accuracy import Arm as Place
from pipeline.head_accuracy import Hits, Summary, summarise_heads, summarise_means
from pipeline.loading import probe_set_id


def write_head_summaries(context: StudyContext) -> None:
    """Write the statistics of every arm whose probes are there; drop those of arms that are gone.

    Arms whose heads were tested on other statements than most (an older probe set) are left out.
    """
    arms, statements = _hits(context)
    rows: list[dict[str, Any]] = []
    if arms:
        toxic, bags = _labels(context, statements)
        found = summarise_heads(arms, toxic, find_clusters(bags, toxic), draws=context.config.probe.bootstrap)
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


def _hits(context: StudyContext) -> tuple[dict[Place, list[Hits]], list[int]]:
    """Hits of each arm's seeds, and the statements' ids."""
    query = (
        select(Arm.kind, Arm.share, ProbeHits, ExampleList.ids)
        .join(Checkpoint, ProbeHits.checkpoint_id == Checkpoint.id)
        .join(Arm, Checkpoint.arm_id == Arm.id)
        .join(ExampleList, ProbeHits.example_list_id == ExampleList.id)
        .where(
            Checkpoint.study_id == context.study_id,
            ProbeHits.probe_set_id == probe_set_id(context),
            ProbeHits.position == context.config.probe.position,
        )
        .order_by(Arm.kind, Arm.share, Arm.seed, Checkpoint.name)
    )
    with read_session(context.engine) as session:
        rows = session.execute(query).all()
    if not rows:
        return {}, []
    common, _ = Counter(ids for *_, ids in rows).most_common(1)[0]
    arms: dict[Place, list[Hits]] = defaultdict(list)
    for kind, share, stored, ids in rows:
        if ids == common:
            packed = np.frombuffer(stored.bits, dtype=np.uint8).reshape(stored.heads, -1)
            arms[kind, share].append(np.unpackbits(packed, axis=1, count=stored.statements).astype(bool))
    return dict(arms), [int(one) for one in decode_int64(common)]


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


def _labels(context: StudyContext, statements: list[int]) -> tuple[Any, list[str]]:
    query = select(Example.id, Example.label, Example.text).where(
        Example.probe_set_id == probe_set_id(context)
    )
    with read_session(context.engine) as session:
        known = {row.id: row for row in session.execute(query)}
    rows = [known[one] for one in statements]
    return np.array([row.label == 1 for row in rows], dtype=bool), [word_bag(row.text) for row in rows]
