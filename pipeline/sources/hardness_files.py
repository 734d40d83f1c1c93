"""Files that the sections on attacks and capability name for themselves, and their hashes."""

from __future__ import annotations

from pathlib import Path

from hormesis.db.files import content_hash
from hormesis.pipeline.sources.record import SourceError
from hormesis.pipeline.study.config import StudyConfig


def file_revisions(config: StudyConfig) -> dict[str, str]:
    """`section/option/file name` to content hash. Raises SourceError for a needed file that is missing."""
    hardness, capability = config.hardness, config.capability
    needed: list[tuple[str, str | None, Path | None]] = []
    if "suffix" in hardness.attacks and hardness.suffix.file is not None:
        needed.append(("hardness/suffix.file", hardness.suffix.file, hardness.located(hardness.suffix.file)))
    for task in ("blimp", "mcq"):
        setting: str | None = getattr(capability, task)
        if task in capability.tasks:
            needed.append((f"capability/{task}", setting, capability.located(setting) if setting else None))
    revisions = {}
    for name, setting, path in needed:
        if path is None:
            raise SourceError(f"{name.replace('/', '.')} must name a file for the task it asks for")
        if not path.is_file():
            raise SourceError(f"{name.replace('/', '.')}: no file '{setting}'")
        revisions[f"{name}/{path.name}"] = content_hash(path)
    return revisions
