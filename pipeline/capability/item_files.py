"""Outcomes of every item under a condition, kept as a file; what pairs conditions and sums up arms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hormesis.db.manifest import is_intact, sealed_file
from hormesis.pipeline.capability.scoring import Scored
from hormesis.pipeline.execution.context import StudyContext


def scores_file(context: StudyContext, weights_hash: str, condition_key: str) -> Path:
    """Where the outcomes of the checkpoint with these weights under a condition lie."""
    folder = context.folder("capability", context.inputs.capability(weights_hash))
    return folder / f"{condition_key.replace('/', '_')}.npz"


def save_scores(path: Path, scores: Sequence[Scored]) -> None:
    """Write items' outcomes, `top` and `bottom` [items] of each measure, whole or not at all."""
    arrays: dict[str, Any] = {}
    for place, scored in enumerate(scores):
        arrays[f"top{place}"], arrays[f"bottom{place}"] = scored.top, scored.bottom
        chance = "" if scored.chance is None else repr(scored.chance)
        arrays[f"name{place}"] = np.array(
            [scored.task, scored.part, scored.measure, scored.unit, scored.data, chance]
        )
    with sealed_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def load_scores(path: Path) -> list[Scored] | None:
    """What `save_scores` wrote; None where there is no such file, or a damaged one."""
    if not is_intact(path):
        return None
    with np.load(path) as arrays:
        count = sum(name.startswith("name") for name in arrays)
        scores = []
        for place in range(count):
            task, part, measure, unit, data, chance = map(str, arrays[f"name{place}"])
            scores.append(
                Scored(
                    task, part, measure, unit=unit, data=data, chance=float(chance) if chance else None,
                    top=arrays[f"top{place}"], bottom=arrays[f"bottom{place}"],
                )
            )  # fmt: skip
    return scores
