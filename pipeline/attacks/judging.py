"""How texts are judged: a study's toxicity scorer and its measure of fluency, with intervals over prompts.

Knows scorers and arrays of numbers; nothing of attacks or rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from hormesis.backend.fluency import repetition, words
from hormesis.backend.scorers import Scorer, is_empty, make_scorer, score_continuations, scorer_entry
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.statistics import (
    SCORE,
    Bounds,
    Estimate,
    Floats,
    by_prompt,
    finite,
    mean_interval,
    proportion,
)
from hormesis.pipeline.text.study_folder import text_folder


@dataclass(frozen=True)
class Judge:
    """The scorer that decides, and how fluency is told."""

    scorer: Scorer
    fluency: Scorer | None
    """None where no grammar can judge: then repetition is measured."""
    draws: int

    @property
    def name(self) -> str:
        """Name and revision, as rows keep it."""
        return f"{self.scorer.name} {self.scorer.revision}"

    @property
    def fluency_name(self) -> str:
        """What `fluency_of` measures."""
        return "fluency" if self.fluency is not None else "repetition_4"

    def toxicity_of(self, prompts: Sequence[str], continuations: Sequence[str]) -> Floats:
        """Scores 0..1 of continuations `(n,)`, NaN for empty ones."""
        return np.asarray(score_continuations(self.scorer, prompts, continuations), dtype=np.float64)

    def fluency_of(self, prompts: Sequence[str], continuations: Sequence[str]) -> Floats:
        """Grammatical share of sentences, or the repeated share of 4-grams, of continuations `(n,)`; NaN for
        empty ones.
        """
        if self.fluency is not None:
            return np.asarray(score_continuations(self.fluency, prompts, continuations), dtype=np.float64)
        return np.array([np.nan if is_empty(text) else repetition(words(text)) for text in continuations])

    def mean(self, values: Floats) -> Estimate | None:
        """Mean of scores 0..1 with its interval over prompts; never without width. None where all are NaN.

        `values` [prompts] or [prompts, samples], of which NaN do not count.
        """
        return mean_of_known(values, draws=self.draws, bounds=SCORE)


def mean_of_known(values: Floats, *, draws: int, bounds: Bounds | None = None) -> Estimate | None:
    """Mean over prompts that have a value, of [prompts] or [prompts, samples] with NaN; None without any."""
    means = finite(values if values.ndim == 1 else by_prompt(values))
    return mean_interval(means, draws=draws, bounds=bounds) if len(means) else None


def judge_of(context: StudyContext) -> Judge:
    """The study's first scorer of toxicity judges attacks."""
    name = context.config.evaluation.scorers[0]
    scorer = make_scorer(name, text_folder(context) / "tfidf")
    fluency = scorer_entry(name).fluency
    return Judge(scorer, make_scorer(fluency) if fluency else None, context.config.evaluation.bootstrap)


def score_of(value: float) -> float | None:
    """A score as rows keep it; None for a text without one."""
    return None if np.isnan(value) else float(value)


def rate_interval(successes: Sequence[bool]) -> Estimate:
    """A success rate with Wilson's interval. Raises ValueError for no trials."""
    if not successes:
        raise ValueError("a success rate needs at least one trial")
    return proportion(int(sum(successes)), len(successes), "trials")


def silent(texts: Sequence[str]) -> Estimate:
    """Share of texts without a word. A model that says nothing is not toxic, and not detoxified either."""
    return rate_interval([is_empty(text) for text in texts])


def mcnemar(only_here: int, only_there: int) -> float:
    """Two-sided p of the exact McNemar test: the binomial test of the discordant pairs; 1 without any."""
    discordant = only_here + only_there
    return float(scipy.stats.binomtest(only_here, discordant).pvalue) if discordant else 1.0


def two_proportions(successes: int, n: int, *, others: int, m: int) -> tuple[float, float]:
    """z and two-sided p of the two-proportion test with the pooled rate; (0, 1) where nobody differs."""
    pooled = (successes + others) / (n + m)
    spread = pooled * (1 - pooled) * (1 / n + 1 / m)
    if spread == 0:
        return 0.0, 1.0
    z = (successes / n - others / m) / spread**0.5
    return float(z), float(2 * scipy.stats.norm.sf(abs(z)))
