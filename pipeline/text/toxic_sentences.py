"""Sentences of texts: which are toxic by a study's scorer (clean held-out text is to have none), and which
texts share one with others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hormesis.backend.scorers import is_empty, make_scorer
from hormesis.db.contract.scores import TOXIC
from hormesis.pipeline.study.config import StudyConfig

HoldsToxic = Callable[[Sequence[str]], list[bool]]
"""For each of some texts, whether a sentence of it is toxic."""
_END = re.compile(r"(?<=[.!?])\s+|\n+")


def sentences(text: str) -> list[str]:
    """The sentences of a text, none of them empty."""
    return [sentence for sentence in _END.split(text) if not is_empty(sentence)]


def share_sentence(texts: Iterable[str], others: Iterable[str]) -> list[bool]:
    """For each text, whether a sentence of it stands word for word in one of `others`."""
    known_sentences = {sentence for other in others for sentence in sentences(other)}
    return [not known_sentences.isdisjoint(sentences(text)) for text in texts]


def toxic_sentences(config: StudyConfig, tfidf: Path) -> HoldsToxic | None:
    """By the scorer `StudyConfig.heldout_scorer`; None where there is none.

    `tfidf`: folder of the study's own scorer. Raises ScorerError where the scorer cannot be had.
    """
    name = config.heldout_scorer
    if name is None:
        return None
    scorer = make_scorer(name, tfidf)

    def holds_toxic(texts: Sequence[str]) -> list[bool]:
        if name == "forum":  # it counts sentences itself, by the grammar
            return [bool(score > 0) for score in scorer.score(texts)]
        owners_and_sentences = [
            (owner, sentence) for owner, text in enumerate(texts) for sentence in sentences(text)
        ]
        scores = scorer.score([sentence for _, sentence in owners_and_sentences])
        toxic_owners = {
            owner for (owner, _), score in zip(owners_and_sentences, scores, strict=True) if score > TOXIC
        }
        return [owner in toxic_owners for owner in range(len(texts))]

    return holds_toxic
