"""Scorer from the package alt-profanity-check: a linear model over words, trained on social media; offline.

Knows words better than meaning: implicit toxicity escapes it and names of groups can set it off.
"""

from __future__ import annotations

import importlib.metadata
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.backend.scorers.base import ScorerError, clipped
from hormesis.db.contract.scorer_training import DECLARED

_LOADING = threading.Lock()


class Profanity:
    """Probability of profanity or offence. The revision is the package's version."""

    name = "profanity"
    measures = "toxicity"
    trained_on = DECLARED["profanity"]

    def __init__(self) -> None:
        try:
            self.revision = f"alt-profanity-check {importlib.metadata.version('alt-profanity-check')}"
        except importlib.metadata.PackageNotFoundError:
            raise ScorerError(
                "scorer 'profanity' needs the package alt-profanity-check: install it or drop the scorer"
            ) from None
        self._predict: Callable[[list[str]], Any] | None = None

    def _load(self) -> Callable[[list[str]], Any]:
        # Loaded at first use: the package takes seconds to import. Its model was written by another
        # scikit-learn, which warns; the known-answer test of this scorer is what holds it right.
        with _LOADING, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._predict is None:
                try:
                    from profanity_check import predict_prob
                except Exception as error:
                    raise ScorerError(
                        f"scorer 'profanity' does not load here ({type(error).__name__}: {error}): "
                        "reinstall alt-profanity-check or drop the scorer"
                    ) from error
                self._predict = predict_prob
        return self._predict

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Float64 [n] in 0..1; an empty text scores what the package gives to no words (about 0.04)."""
        if not texts:
            return np.zeros(0)
        predict = self._load()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return clipped(np.asarray(predict(list(texts)), dtype=np.float64))
