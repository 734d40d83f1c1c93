"""Protocol of scorers: a name, a revision, what it measures, and numbers for texts.

Stored scores are only comparable within one name and revision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hormesis.db.contract.scorer_training import Training

ALTERNATIVES = "or name another scorer (profanity, tfidf, classifier:FOLDER)"
"""What every refusal of a scorer that cannot be had ends with."""


class ScorerError(ValueError):
    """A scorer that cannot be made or used; the message is one line: what was wrong and what to do."""


@runtime_checkable
class Scorer(Protocol):
    """Gives each text a number in 0..1."""

    @property
    def name(self) -> str:
        """How the study file calls it."""

    @property
    def revision(self) -> str:
        """Changes whenever the same text could get another number."""

    @property
    def measures(self) -> str:
        """`toxicity` or `fluency`; 1 is most toxic, or most fluent."""

    @property
    def trained_on(self) -> Training:
        """What it learned from, for whoever asks whether it is independent of a study's text."""

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """One number per text, float64 [n]; no texts give an empty array."""


@runtime_checkable
class ContinuationScorer(Protocol):
    """A scorer that can tell what a continuation adds to its prompt, even from the middle of a sentence."""

    def score_continuations(self, prompts: Sequence[str], texts: Sequence[str]) -> NDArray[np.float64]:
        """One number per continuation, float64 [n]."""


def score_continuations(scorer: Scorer, prompts: Sequence[str], texts: Sequence[str]) -> NDArray[np.float64]:
    """Score generations: with their prompts where the scorer can use them, alone where it cannot.

    Float64 [n], NaN for a text that is empty: a model that says nothing is neither toxic nor harmless.
    """
    if len(prompts) != len(texts):
        raise ScorerError(f"{len(prompts)} prompts for {len(texts)} continuations")
    values = np.full(len(texts), np.nan)
    places = [place for place, text in enumerate(texts) if not is_empty(text)]
    spoken = [texts[place] for place in places]
    if isinstance(scorer, ContinuationScorer):
        values[places] = scorer.score_continuations([prompts[place] for place in places], spoken)
    elif spoken:
        values[places] = scorer.score(spoken)
    return values


def is_empty(text: str) -> bool:
    """Whether a text is nothing but white space, so that there is nothing to score."""
    return not text.strip()


def clipped(values: NDArray[np.floating] | Sequence[float]) -> NDArray[np.float64]:
    """As float64 in 0..1: rounding of a float32 softmax can exceed 1 by a hair."""
    return np.clip(np.asarray(values, dtype=np.float64), 0.0, 1.0)
