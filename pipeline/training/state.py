"""What a training run leaves on disk while it runs: its identity and its sealed checkpoints.

Knows files only, neither torch nor the Trainer. A checkpoint is trusted only with its seal (`complete.json`,
written last): the size and SHA-256 of every file. A `kill -9` while saving therefore loses that one save.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from hormesis.db.files import write_json

SEAL = "complete.json"
KEEP = 2
"""Sealed checkpoints kept: the newest, and one before it in case the newest is found damaged."""


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SEAL)


def seal(folder: Path) -> None:
    """Write the seal over every file in a freshly saved checkpoint folder."""
    seals = {
        path.relative_to(folder).as_posix(): [path.stat().st_size, _digest(path)] for path in _files(folder)
    }
    write_json(folder / SEAL, seals)


def is_complete(folder: Path) -> bool:
    """Whether a checkpoint has a seal (file name to size and digest) and every file is there, unchanged."""
    try:
        seals = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        return bool(seals) and all(
            (folder / name).stat().st_size == size and _digest(folder / name) == digest
            for name, (size, digest) in seals.items()
        )
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders by step, newest first, sealed or not."""
    folders = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(folders, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint whose seal holds; damaged ones are passed over."""
    return next((path for path in checkpoints(folder) if is_complete(path)), None)


def prune(folder: Path) -> None:
    """Keep the newest KEEP checkpoints."""
    for path in checkpoints(folder)[KEEP:]:
        shutil.rmtree(path, ignore_errors=True)


def open_run(folder: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """What `run.json` remembers of the run where it is the same run, else an empty start.

    A run folder of another identity (other mix, settings, shape, tokenizer or seed) is emptied: its state
    must never be resumed.
    """
    path = folder / "run.json"
    try:
        remembered = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(remembered, dict) and remembered.get("identity") == identity:
            return remembered
    except (OSError, json.JSONDecodeError):
        pass
    if folder.exists():
        shutil.rmtree(folder)
    return {"identity": identity}
