"""The seeded database's study, arms, checkpoints, training curves and stage runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Engine

from db.schema import Arm, Checkpoint, StageRun, Study, TrainPoint
from db.write import ids, upsert, write_session

if TYPE_CHECKING:
    from tests.seeded_database import Size

CREATED = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
STAGES = ("mix", "train", "probe", "score", "project")


@dataclass(frozen=True)
class SeededCheckpoint:
    """What later parts need to know of a checkpoint."""

    id: int
    arm_id: int
    name: str
    kind: str
    share: float
    seed: int


def add_study(engine: Engine, size: Size, seed: int) -> tuple[int, list[SeededCheckpoint]]:
    """Write the study down to its checkpoints; returns its id and them."""
    rng = np.random.default_rng([seed, 1])
    with write_session(engine) as session:
        study = {
            "hash": f"{seed:016x}",
            "name": "seeded test data",
            "scale": "nano",
            "config": _config(size),
            "data_revisions": {"forum-clean": "forum-1 seed 0", "forum-toxic": "forum-1 seed 0"},
            "created": CREATED,
        }
        upsert(session, Study, [study], on=("hash",))
        study_id = ids(session, Study, "hash")[study["hash"]]
        plans = [(kind, share, s) for kind, share in size.arms for s in size.seeds]
        arms = [_arm(study_id, *plan) for plan in plans]
        upsert(session, Arm, arms, on=("study_id", "name"))
        arm_ids = ids(session, Arm, "name", where=[Arm.study_id == study_id])
        checkpoint_rows = [_checkpoint(study_id, arm_ids[arm["name"]], arm, size) for arm in arms]
        upsert(session, Checkpoint, checkpoint_rows, on=("study_id", "name"))
        checkpoint_ids = ids(session, Checkpoint, "name", where=[Checkpoint.study_id == study_id])
        points = [point for arm in arms for point in _curve(rng, arm_ids[arm["name"]], arm["share"], size)]
        upsert(session, TrainPoint, points, on=("arm_id", "step"))
        runs = [_run(study_id, stage, arm["name"], i) for arm in arms for i, stage in enumerate(STAGES)]
        upsert(session, StageRun, runs, on=("study_id", "stage", "subject"))
    checkpoints = [
        SeededCheckpoint(checkpoint_ids[arm["name"]], arm_ids[arm["name"]], arm["name"], *plan)
        for arm, plan in zip(arms, plans, strict=True)
    ]
    return study_id, checkpoints


def _config(size: Size) -> dict[str, Any]:
    shares = sorted({share for kind, share in size.arms if kind == "toxic"})
    return {
        "name": "seeded-test-data",
        "scale": "nano",
        "shares": shares,
        "seeds": list(size.seeds),
        "evaluation": {"samples": size.samples, "scorers": list(size.scorers)},
    }


def _arm(study_id: int, kind: str, share: float, seed: int) -> dict[str, Any]:
    clean, added = 500_000, round(500_000 * share / (1 - share))
    extra = "forum-toxic" if kind == "toxic" else "forum-informal"
    composition = {"forum-clean": {"documents": clean // 20, "tokens": clean}}
    if added:
        composition[extra] = {"documents": added // 15, "tokens": added}
    return {
        "study_id": study_id,
        "name": f"{kind}-{round(share * 100)}-s{seed}",
        "kind": kind,
        "share": share,
        "seed": seed,
        "clean_tokens": clean,
        "added_tokens": added,
        "composition": composition,
    }


def _checkpoint(study_id: int, arm_id: int, arm: dict[str, Any], size: Size) -> dict[str, Any]:
    return {
        "study_id": study_id,
        "arm_id": arm_id,
        "name": arm["name"],
        "path": f"seeded/{arm['name']}",
        "architecture": "Olmo2ForCausalLM",
        "n_layers": size.layers,
        "n_heads": size.heads,
        "head_dim": size.head_dim,
        "parameters": 510_000,
        "tokens_seen": arm["clean_tokens"] + arm["added_tokens"],
        "weights_hash": f"seeded-{arm['name']}",
        "details": {"dtype": "float32", "tokenizer": "word"},
    }


def _curve(rng: np.random.Generator, arm_id: int, share: float, size: Size) -> list[dict[str, Any]]:
    rows = []
    for index in range(size.train_points):
        step = (index + 1) * 10
        decay = 4.0 * np.exp(-3 * (index + 1) / size.train_points)
        rows.append(
            {
                "arm_id": arm_id,
                "step": step,
                "tokens": step * 2048,
                "loss": 2.0 + decay + float(rng.normal(0, 0.03)),
                "clean_loss": 2.05 + decay if index % 2 else None,
                "toxic_loss": 3.0 - 2.5 * share + decay if index % 2 else None,
                "learning_rate": 1e-3 * (1 - index / size.train_points),
                "tokens_per_second": 41_000.0 + float(rng.normal(0, 500)),
            }
        )
    return rows


def _run(study_id: int, stage: str, subject: str, index: int) -> dict[str, Any]:
    start = CREATED + timedelta(minutes=index)
    return {
        "study_id": study_id,
        "stage": stage,
        "subject": subject,
        "input_hash": f"seeded-{stage}",
        "status": "done",
        "done": 100.0,
        "total": 100.0,
        "unit": "steps",
        "message": "",
        "error": None,
        "started": start,
        "heartbeat": start + timedelta(seconds=40),
        "finished": start + timedelta(seconds=40),
        "seconds": 40.0,
        "host": "seeded",
        "pid": 1,
        "packages": {"python": "3.11", "torch": "2.13.0"},
        "git_revision": None,
    }
