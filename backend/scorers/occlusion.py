"""Why a text has its score: how much each word adds, by leaving it out. Works for every scorer.

Occlusion, or erasure (Li, Monroe and Jurafsky 2016): a word's effect is the score of the text less the score
of the text without that word. Effects of words that stand for one another are small for each.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from hormesis.backend.scorers.base import Scorer, score_continuations

MOST_WORDS = 80
"""Words of a text that are left out in turn, from its beginning; later ones have no effect measured."""
_PIECES = re.compile(r"\s*\S+(?:\s+$)?")


class WordEffect(NamedTuple):
    """A word with the space before it, and what it adds to the score; None where it was not measured, or is
    all of the text."""

    word: str
    effect: float | None


def word_effects(scorer: Scorer, text: str, prompt: str = "") -> list[WordEffect]:
    """The words of `text` in their order, which joined are the text, with their effects.

    `prompt`: what the text continues. Scores the text once and once without each of its first MOST_WORDS
    words. Raises ScorerError as the scorer does.
    """
    words = _PIECES.findall(text)
    shorter = ["".join([*words[:place], *words[place + 1 :]]) for place in range(min(len(words), MOST_WORDS))]
    if not shorter:
        return []
    versions = [text, *shorter]
    full_score, *without = score_continuations(scorer, [prompt] * len(versions), versions)
    effects: list[float | None] = [
        None if np.isnan(score) else float(full_score - score) for score in without
    ]
    effects += [None] * (len(words) - len(effects))
    return [WordEffect(word, effect) for word, effect in zip(words, effects, strict=True)]
