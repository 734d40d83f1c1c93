"""What a training run leaves on disk while it runs: its identity and its sealed checkpoints.

Knows files only, neither torch nor the Trainer. A checkpoint is trusted only with its sums (`db.manifest`),
which are written last. A `kill -9` while saving therefore loses that one save.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from hormesis.db.manifest import is_intact, is_sealed

KEEP = 2
"""Sealed checkpoints kept: the newest, and one before it in case the newest is found damaged."""


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders by step, newest first, sealed or not."""
    folders = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(folders, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint whose sums agree; damaged ones are passed over."""
    return next((path for path in checkpoints(folder) if is_sealed(path)), None)


def prune(folder: Path) -> None:
    """Keep the newest KEEP checkpoints."""
    for path in checkpoints(folder)[KEEP:]:
        shutil.rmtree(path, ignore_errors=True)


def open_run(folder: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """What `run.json` remembers of the run where it is the same run, else an empty start.

    A damaged file remembers nothing. A run folder of another identity (other mix, settings, shape, tokenizer
    or seed) is emptied: its state must never be resumed.
    """
    path = folder / "run.json"
    try:
        if not is_intact(path):
            raise OSError
        remembered = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(remembered, dict) and remembered.get("identity") == identity:
            return remembered
    except (OSError, ValueError):
        pass
    if folder.exists():
        shutil.rmtree(folder)
    return {"identity": identity}
