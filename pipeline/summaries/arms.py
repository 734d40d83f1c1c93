"""The arms that summaries are made of: all checkpoints of one kind and share, whatever their seed.

An imported checkpoint is an arm of its own, of the kind `imported:NAME` and no share.
"""

from __future__ import annotations

import re

import pandas as pd
from sqlalchemy import func, literal, select

from hormesis.db.contract.methods import NULL_KEY
from hormesis.db.schema import Arm, Checkpoint
from hormesis.db.write import read_session
from hormesis.pipeline.claims.rows import IMPORTED
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.probing.head_accuracy import ArmGroup

KIND = func.coalesce(Arm.kind, literal(IMPORTED).concat(Checkpoint.name)).label("kind")
SHARE = func.coalesce(Arm.share, 0.0).label("share")
"""Columns of a query of checkpoints with their arms outer joined."""
CHECKPOINT = (Checkpoint.name.label("checkpoint"), Checkpoint.weights_hash, KIND, SHARE)
HARDLY_TOXIC = ("clean-forum", "slung")
"""Kinds whose models hardly learn toxicity, and so vary less than others near the bound of the scale."""


def arm_of(subject: Subject) -> ArmGroup:
    """The arm that an arm's or an imported checkpoint's summaries are about."""
    if subject.arm is None:
        return ArmGroup(f"{IMPORTED}{subject.name}", 0.0)
    return ArmGroup(subject.arm.kind, subject.arm.share)


def arms_of_study(context: StudyContext) -> list[ArmGroup]:
    """Every arm that has a checkpoint."""
    query = (
        select(KIND, SHARE)
        .select_from(Checkpoint)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == context.study_id)
        .distinct()
        .order_by(KIND, SHARE)
    )
    with read_session(context.engine) as session:
        return [ArmGroup(str(kind), float(share)) for kind, share in session.execute(query)]


def in_arm(rows: pd.DataFrame, arm: ArmGroup) -> pd.DataFrame:
    """The rows of one arm, by the columns `kind` and `share`."""
    return rows[(rows["kind"] == arm.kind) & (rows["share"] == arm.share)]


def is_hardly_toxic(kind: str, share: float) -> bool:
    """Whether an arm has hardly learned toxicity: its text has none, or none that is trained on."""
    return kind in HARDLY_TOXIC or share == 0


def pooled_key(condition_key: str) -> str:
    """The key of the summary a condition belongs to: null directions of a kind and setting have one."""
    return re.sub(NULL_KEY, r"\1", condition_key)
