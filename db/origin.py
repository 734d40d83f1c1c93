"""How a study was started, kept in the home: the command that goes on with it.

A small JSON file per study, `studies/<hash>.json`. The runner writes it; the dashboard reads it to resume.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from hormesis.db.files import write_json


@dataclass(frozen=True)
class Origin:
    """What `hormesis run` was given: a preset's name or an absolute path, and the data folder, if any."""

    study: str
    data: str | None = None


def studies_folder(home: Path) -> Path:
    """Where origins, and study files given to the dashboard, are kept."""
    return home / "studies"


def remember(home: Path, study_hash: str, origin: Origin) -> None:
    """Write it, whole or not at all; the last start counts."""
    write_json(studies_folder(home) / f"{study_hash}.json", asdict(origin))


def origin_of(home: Path, study_hash: str) -> Origin | None:
    """How a study was started; None where that is not known."""
    try:
        entry = json.loads((studies_folder(home) / f"{study_hash}.json").read_text(encoding="utf-8"))
        return Origin(str(entry["study"]), None if entry.get("data") is None else str(entry["data"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
