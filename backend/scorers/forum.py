"""Exact scorers of the forum language: toxicity and fluency by its own grammar.

Says nothing useful about real text, in which no sentence is grammatical for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hormesis.db.contract.scorer_training import DECLARED


class _ForumScorer:
    """The field `measures` of the grammar's judgement."""

    name: str
    measures: str
    trained_on = DECLARED["forum"]

    @property
    def revision(self) -> str:
        """That of the grammar."""
        from hormesis.backend.forum import REVISION

        return REVISION

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Float64 [n] in 0..1."""
        from hormesis.backend.forum import judge

        return np.array([getattr(judge(text), self.measures) for text in texts], dtype=np.float64)

    def score_continuations(self, prompts: Sequence[str], texts: Sequence[str]) -> NDArray[np.float64]:
        """Of what each continuation adds, the sentence it completes included; float64 [n]."""
        from hormesis.backend.forum import judge_continuation

        judgements = (judge_continuation(prompt, text) for prompt, text in zip(prompts, texts, strict=True))
        return np.array([getattr(judgement, self.measures) for judgement in judgements], dtype=np.float64)


class ForumToxicity(_ForumScorer):
    """Toxic sentences as a share of the judged ones; a text without a judged sentence scores 0."""

    name = "forum"
    measures = "toxicity"


class ForumFluency(_ForumScorer):
    """Grammatical sentences as a share of all; an empty text scores 0."""

    name = "forum-fluency"
    measures = "fluency"
