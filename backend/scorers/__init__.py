"""Scorers by the name a study file gives them: declared in `registry`, each in its own file."""

from __future__ import annotations

from hormesis.backend.scorers.base import Scorer, ScorerError, is_empty, score_continuations
from hormesis.backend.scorers.registry import (
    make_scorer,
    open_scorers,
    require_scorers,
    scorer_entry,
    scorer_revisions,
    unreached_scorers,
)

__all__ = [
    "Scorer",
    "ScorerError",
    "is_empty",
    "make_scorer",
    "open_scorers",
    "require_scorers",
    "score_continuations",
    "scorer_entry",
    "scorer_revisions",
    "unreached_scorers",
]
