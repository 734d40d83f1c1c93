"""Queries about toxicity among other features; heads are read at `position`: `last` token or `mean`."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Engine, and_, select

from hormesis.db.read.columns import ARM, BY_ARM, columns_of
from hormesis.db.read.frame import Query, frame
from hormesis.db.schema import (
    Arm,
    Checkpoint,
    Entanglement,
    FeatureCosine,
    HeadContribution,
    HeadSummary,
    LensToken,
    Probe,
    ProbeGain,
)

_HEAD = ("checkpoint_id", "probe_set_id", "position", "layer", "head")


def entanglement(engine: Engine, study_id: int, position: str = "last") -> pd.DataFrame:
    """One row per kept head of every checkpoint: all columns of `entanglement`, the head's rank, and the arm.

    Adds checkpoint, kind, share, seed (missing for imported checkpoints) and rank (missing where the head is
    not steered). By checkpoint, layer and head.
    """
    is_same_head = and_(*(getattr(Probe, name) == getattr(Entanglement, name) for name in _HEAD))
    query = (
        select(
            *Entanglement.__table__.columns,
            Checkpoint.name.label("checkpoint"),
            *ARM,
            Probe.rank,
        )
        .join(Checkpoint, Entanglement.checkpoint_id == Checkpoint.id)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .outerjoin(Probe, is_same_head)
        .where(Checkpoint.study_id == study_id, Entanglement.position == position)
        .order_by(Checkpoint.name, Entanglement.layer, Entanglement.head)
    )
    return frame(engine, query)


def feature_cosines(engine: Engine, checkpoint_id: int, position: str = "last") -> pd.DataFrame:
    """All columns of `feature_cosine` of one checkpoint, by head, in the order in which they were written."""
    query = (
        select(*FeatureCosine.__table__.columns)
        .where(FeatureCosine.checkpoint_id == checkpoint_id, FeatureCosine.position == position)
        .order_by(FeatureCosine.layer, FeatureCosine.head, FeatureCosine.id)
    )
    return frame(engine, query)


def lens_tokens(
    engine: Engine, checkpoint_id: int, *, layer: int, head: int, position: str = "last"
) -> pd.DataFrame:
    """Tokens of one head's direction: all columns of `lens_token`, raised ones first, by rank."""
    query = (
        select(*LensToken.__table__.columns)
        .where(
            LensToken.checkpoint_id == checkpoint_id,
            LensToken.position == position,
            LensToken.layer == layer,
            LensToken.head == head,
        )
        .order_by(LensToken.method, LensToken.side.desc(), LensToken.rank)
    )
    return frame(engine, query)


def head_contributions(engine: Engine, checkpoint_id: int, position: str = "last") -> pd.DataFrame:
    """What each head of a checkpoint adds over the steered ones: all columns of `head_contribution`."""
    query = (
        select(*HeadContribution.__table__.columns)
        .where(HeadContribution.checkpoint_id == checkpoint_id, HeadContribution.position == position)
        .order_by(HeadContribution.layer, HeadContribution.head)
    )
    return frame(engine, query)


def probe_gains(engine: Engine, study_id: int, position: str = "last") -> pd.DataFrame:
    """Gains over baselines of every checkpoint, with checkpoint, kind, share and seed of its arm.

    All columns of `probe_gain` but the resamples; checkpoints in the order of `checkpoints`, of each the
    selected heads before the best one, all statements before parts of them, baselines by name.
    """
    query = (
        select(*columns_of(ProbeGain, "resamples"), Checkpoint.name.label("checkpoint"), *ARM)
        .join(Checkpoint, ProbeGain.checkpoint_id == Checkpoint.id)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == study_id, ProbeGain.position == position)
        .order_by(*BY_ARM, Checkpoint.name, ProbeGain.heads.desc(), ProbeGain.subset, ProbeGain.baseline)
    )
    return frame(engine, query)


def lens_heads(engine: Engine, checkpoint_id: int, position: str = "last") -> pd.DataFrame:
    """Which heads of a checkpoint have tokens: layer and head."""
    query: Query = (
        select(LensToken.layer, LensToken.head)
        .where(LensToken.checkpoint_id == checkpoint_id, LensToken.position == position)
        .distinct()
        .order_by(LensToken.layer, LensToken.head)
    )
    return frame(engine, query)


def head_summaries(engine: Engine, study_id: int) -> pd.DataFrame:
    """Statistics of the heads of each arm: all columns of `head_summary`, by name, kind and share."""
    query = (
        select(*HeadSummary.__table__.columns)
        .where(HeadSummary.study_id == study_id)
        .order_by(HeadSummary.name, HeadSummary.kind.desc(), HeadSummary.share)
    )
    return frame(engine, query)
