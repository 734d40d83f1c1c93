"""Effects of words on a score: known answers for a scorer that counts, and for the grammar's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hormesis.backend.scorers import make_scorer
from hormesis.backend.scorers.occlusion import MOST_WORDS, word_effects


class Counting:
    """A tenth for every `zorb`."""

    name, revision, measures = "counting", "1", "toxicity"

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.array([text.count("zorb") / 10 for text in texts])


def test_a_word_adds_what_the_score_loses_without_it() -> None:
    effects = word_effects(Counting(), "a zorb  met zorbs ")
    assert [word for word, _ in effects] == ["a", " zorb", "  met", " zorbs "]
    assert [effect for _, effect in effects] == pytest.approx([0.0, 0.1, 0.0, 0.1])
    assert word_effects(Counting(), "") == [] == word_effects(Counting(), "  ")


@given(st.text(alphabet="ab \n\t", max_size=40))
def test_the_words_joined_are_the_text(text: str) -> None:
    joined = "".join(word for word, _ in word_effects(Counting(), text))
    assert joined == (text if text.strip() else "")


def test_long_texts_are_measured_from_their_beginning() -> None:
    effects = word_effects(Counting(), " ".join(["zorb"] * (MOST_WORDS + 5)))
    assert [effect is None for _, effect in effects] == [False] * MOST_WORDS + [True] * 5


def test_of_a_continuation_only_its_own_words_count() -> None:
    from hormesis.backend.forum import judge_continuation

    scorer = make_scorer("forum")
    prompt, text = "the zorbs of the park", "are kind ."
    assert [word for word, _ in word_effects(scorer, text, prompt)] == ["are", " kind", " ."]
    assert scorer.score_continuations([prompt], [text])[0] == judge_continuation(prompt, text).toxicity
