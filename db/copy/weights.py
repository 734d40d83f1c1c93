"""Weights beside a copied database: folders of checkpoints and trained scorers, named by the hash of their
inputs or contents."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from hormesis.db.contract import left_out
from hormesis.db.engine import reading
from hormesis.db.files import atomic_folder
from hormesis.db.manifest import require_intact
from hormesis.db.schema import Checkpoint, Condition, StageRun

_HUB_NAME = re.compile(r"(?!\.)[\w.-]+/(?![\w.-]*\.gguf$)[\w.-]+(@[\w./-]+)?")
"""OWNER/NAME, maybe with a revision; a path that was relative has become absolute in an import's row."""
Place = tuple[str, str]
"""The path of weights in a row, and the one they get, relative to a home, where they lie outside of one."""


@dataclass(frozen=True)
class Homes:
    """The homes that weights may lie in, and the home of the copy."""

    sources: tuple[Path, ...]
    target: Path

    def path(self, place: Place, imported: str = "") -> str:
        """What the copy's row says: the path relative to its home, or that the weights were left out.

        `imported`: what a checkpoint was imported from: a model of a hub or a package is had anywhere.
        """
        relative = _relative(place)
        if relative is not None and (self.target / relative).is_dir():
            return relative.as_posix()
        is_name = imported == left_out.BUNDLED or _HUB_NAME.fullmatch(imported)
        return imported if is_name else left_out.WEIGHTS

    def unit(self, unit: Mapping[str, Any], weights_hash: str) -> dict[str, Any]:
        """What the copy's row says of a unit of `stage_run.files`: as it is, or that it was left out.

        `weights_hash`: of the stage's subject, by which a model that lies outside of a home is called.
        """
        relative = _relative((unit["path"], f"files/imported/{weights_hash}"))
        if relative is not None and (self.target / relative).exists():
            return {**unit, "path": relative.as_posix()}
        return {"path": left_out.FILES, "files": {}}

    def copy(self, place: Place) -> None:
        """Copy a folder of weights, whole, unless it is there or lies in none of the homes.

        Raises OSError where the disk refuses, DamagedFile where a file is not what was written.
        """
        relative = _relative(place)
        # A row may name any folder.
        origins = [home / place[0] for home in self.sources if holds_weights(home / place[0])]
        if relative is not None and origins and not (self.target / relative).exists():
            with atomic_folder(self.target / relative) as temporary:
                shutil.copytree(require_intact(origins[0]), temporary, dirs_exist_ok=True)


def holds_weights(folder: Path) -> bool:
    """Whether a folder holds a model, or a scorer that keeps no terms of its text."""
    scorer = folder / "scorer.json"
    if scorer.is_file():
        try:
            return "vocabularies" not in json.loads(scorer.read_text(encoding="utf-8"))
        except ValueError:
            return True  # damaged, as who copies it finds out
    return (folder / "config.json").is_file()


def _relative(place: Place) -> Path | None:
    path = Path(place[1] if Path(place[0]).is_absolute() else place[0])
    return None if left_out.is_left_out(place[0]) or ".." in path.parts else path


def checkpoint_place(row: dict[str, Any]) -> Place:
    """Where the weights of a row of `checkpoint` lie."""
    return row["path"], f"files/imported/{row['weights_hash']}"


def tuned_place(parameters: dict[str, Any] | None) -> Place | None:
    """Where the tuned weights of a condition lie, by its `parameters`; None for one without."""
    tuned = (parameters or {}).get("tuned")
    return None if not tuned else (tuned["path"], f"files/tuned/{tuned['key']}/model")


def scorer_places(source: Engine, studies: Sequence[int]) -> list[Place]:
    """Where the scorers lie that these studies have trained."""
    query = select(StageRun.input_hash).where(StageRun.study_id.in_(studies), StageRun.stage == "text")
    hashes = reading(source, lambda connection: connection.execute(query).scalars().all())
    return [(f"files/text/{number}/tfidf", "") for number in hashes]


def leaves_scorers(source: Engine, studies: Sequence[int], homes: Homes) -> bool:
    """Whether a scorer that these studies trained is in a home of the source, and not in the target's."""
    return any(
        not (homes.target / path).exists() and any((home / path).is_dir() for home in homes.sources)
        for path, _ in scorer_places(source, studies)
    )


def copy_weights(
    source: Engine, studies: Sequence[int], homes: Homes, report: Callable[[int, int], None]
) -> None:
    """Copy all weights and trained scorers of these studies beside the target.

    `report` is told how many folders are done. Raises OSError where the disk refuses, DamagedFile where
    a file is not what was written.
    """
    checkpoints = select(Checkpoint.path, Checkpoint.weights_hash).where(Checkpoint.study_id.in_(studies))
    conditions = (
        select(Condition.parameters)
        .join(Checkpoint, Condition.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.study_id.in_(studies))
    )
    rows = reading(source, lambda connection: connection.execute(checkpoints).mappings().all())
    tuned = reading(source, lambda connection: connection.execute(conditions).scalars().all())
    places = [checkpoint_place(dict(row)) for row in rows] + scorer_places(source, studies)
    places += [place for place in map(tuned_place, tuned) if place is not None]
    places = list(dict.fromkeys(places))
    for number, place in enumerate(places):
        report(number, len(places))
        homes.copy(place)
    report(len(places), len(places))
