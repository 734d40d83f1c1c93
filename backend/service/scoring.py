"""Scores of live texts: every scorer that is available for a study, and measures of fluency.

Scorers that cannot be made are left out, with the reason.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hormesis.backend.fluency import text_fluency
from hormesis.backend.scorers import Scorer, ScorerError, make_scorer, score_continuations
from hormesis.backend.scorers.occlusion import word_effects
from hormesis.backend.scorers.registry import SCORERS
from hormesis.backend.service.catalogue import CheckpointRecord
from hormesis.db.contract.messages import WordEffect

log = logging.getLogger(__name__)


def scorer_names(checkpoint: CheckpointRecord | None) -> dict[str, Path | None]:
    """Scorers, as study files name them, that fit a checkpoint's language, each with its folder or None.

    Those that its study names come first, in that order: what a page says of a run is by the first.
    Without a checkpoint nothing is known of the language, so the forum's and the one for real text are given.
    """
    if checkpoint is None:
        return dict.fromkeys(entry.name for entry in SCORERS if entry.live in ("forum", "real"))
    language = "forum" if checkpoint.speaks_forum else "real"
    names: dict[str, Path | None] = dict.fromkeys(entry.name for entry in SCORERS if entry.live == language)
    for entry in (entry for entry in SCORERS if entry.live == "study"):
        folder = checkpoint.tfidf_folder if entry.argument == "folder" else None
        if folder is not None and folder.is_dir():
            names[entry.name] = folder
        elif entry.argument != "folder":
            names |= dict.fromkeys(spec for spec in checkpoint.scorers if spec.split(":")[0] == entry.name)
    order = [*(name for name in checkpoint.scorers if name in names), *names]
    return {name: names[name] for name in order}


class Scoring:
    """Makes each scorer once and keeps it. Safe to use from several threads."""

    def __init__(self) -> None:
        self._scorers: dict[tuple[str, Path | None], Scorer] = {}
        self._lock = threading.Lock()

    def score(
        self,
        texts: Sequence[str],
        checkpoint: CheckpointRecord | None,
        prompts: Sequence[str] | None = None,
    ) -> tuple[dict[str, list[float | None]], dict[str, str]]:
        """Values by scorer in the order of the texts, None for an empty one, and why others failed by scorer.

        `prompts`: what the texts continue, for scorers that read a sentence begun there.
        """
        values: dict[str, list[float | None]] = {}
        absent: dict[str, str] = {}
        for name, folder in scorer_names(checkpoint).items():
            try:
                with self._lock:  # for one scorer at a time, so that others' few texts come in between
                    scorer = self._scorer(name, folder)
                    scores = score_continuations(scorer, prompts or [""] * len(texts), texts)
            except ScorerError as error:
                absent[name] = " ".join(str(error).split())
            except Exception as error:
                log.warning("scorer %s failed", name, exc_info=error)
                absent[name] = f"failed with {type(error).__name__}"
            else:
                values[name] = [finite(value) for value in scores]
        return values, absent

    def reasons(
        self,
        texts: Sequence[str],
        checkpoint: CheckpointRecord | None,
        prompts: Sequence[str] | None = None,
    ) -> dict[str, list[list[WordEffect]]]:
        """What each word adds to the score, per scorer and text; scorers that fail are left out."""
        effects: dict[str, list[list[WordEffect]]] = {}
        pairs = list(zip(texts, prompts or [""] * len(texts), strict=True))
        with self._lock:
            for name, folder in scorer_names(checkpoint).items():
                try:
                    scorer = self._scorer(name, folder)
                    effects[name] = [
                        [
                            WordEffect(word=word, effect=effect if effect is None else finite(effect))
                            for word, effect in word_effects(scorer, text, prompt)
                        ]
                        for text, prompt in pairs
                    ]
                except Exception as error:
                    log.warning("scorer %s gave no reasons", name, exc_info=error)
        return effects

    def _scorer(self, name: str, folder: Path | None) -> Scorer:
        key = (name, folder)
        if key not in self._scorers:
            self._scorers[key] = make_scorer(name, folder)
        return self._scorers[key]


def fluency(text: str) -> dict[str, float | None]:
    """Measures of degeneration of one text (see `backend.fluency`); `empty` is 0 or 1."""
    return {name: finite(value) for name, value in asdict(text_fluency(text)).items()}


def finite(value: float) -> float | None:
    """A plain float, or None for NaN and infinities, which JSON has no word for."""
    return float(value) if math.isfinite(value) else None
