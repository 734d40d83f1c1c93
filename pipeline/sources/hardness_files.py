"""Files that the sections on attacks and capability name for themselves, and their hashes."""

from __future__ import annotations

from pathlib import Path

from hormesis.db.files import content_hash
from hormesis.pipeline.sources.record import SourceError
from hormesis.pipeline.study.config import StudyConfig


def file_revisions(config: StudyConfig) -> dict[str, str]:
    """Section, option and file name to content hash. Raises SourceError for a needed file that is missing."""
    hardness, capability = config.hardness, config.capability
    needed: list[tuple[str, str | None, Path | None]] = []
    if "suffix" in hardness.attacks and hardness.suffix.file is not None:
        needed.append(("hardness/suffix.file", hardness.suffix.file, hardness.located(hardness.suffix.file)))
    for task in ("blimp", "mcq"):
        path: str | None = getattr(capability, task)
        if task in capability.tasks:
            needed.append((f"capability/{task}", path, capability.located(path) if path else None))
    found = {}
    for name, said, path_found in needed:
        if path_found is None:
            raise SourceError(f"{name.replace('/', '.')} must name a file for the task it asks for")
        if not path_found.is_file():
            raise SourceError(f"{name.replace('/', '.')}: no file '{said}'")
        found[f"{name}/{path_found.name}"] = content_hash(path_found)
    return found
