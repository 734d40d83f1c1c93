"""Repetition, diversity, compression: known answers and properties."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hormesis.backend.fluency import (
    compression,
    distinct,
    ngrams,
    repetition,
    set_fluency,
    text_fluency,
    words,
)


def test_known_answers():
    tokens = words("The cat sat. The cat sat.")
    assert tokens == ["the", "cat", "sat", ".", "the", "cat", "sat", "."]
    assert distinct(tokens, 1) == 4 / 8
    assert distinct(tokens, 2) == 4 / 7
    assert repetition(tokens, 4) == 1 - 4 / 5
    assert len(ngrams(tokens, 9)) == 0 and distinct(tokens, 9) == repetition(tokens, 9) == 0


def test_a_loop_is_told_from_prose():
    loop = text_fluency("again and again " * 30)
    prose = text_fluency("A heron stood in the shallows while rain crossed the lake and the reeds bent low.")
    assert loop.repetition > 0.9 > 0.01 >= prose.repetition
    assert loop.compression > 8 > 2 > prose.compression
    assert loop.distinct_2 < 0.1 < prose.distinct_2


def test_empty_texts_are_counted_not_averaged():
    measures = set_fluency(["one two three", "", "  \n"])
    assert measures.empty == pytest.approx(2 / 3) and measures.length == 3 and measures.n == 3
    assert text_fluency("").empty and text_fluency("").compression == 0
    assert set_fluency([]).n == 0 and set_fluency([""]).length == 0


def test_diversity_of_a_set_sees_texts_that_resemble_one_another():
    same = set_fluency(["one two three four five"] * 4)
    assert same.repetition == 0 and same.distinct_2 == 1 / 4


@given(st.text(max_size=200))
def test_every_text_has_measures_in_range(text):
    measures = text_fluency(text)
    for value in (measures.repetition, measures.distinct_1, measures.distinct_2, measures.distinct_3):
        assert 0 <= value <= 1
    assert measures.compression >= 0 and measures.length >= 0
    raw = text.encode()
    assert not raw or compression(text) == len(raw) / max(1, len(zlib.compress(raw, 9)) - 8)
    if measures.length >= 4:
        assert measures.repetition == pytest.approx(1 - distinct(words(text), 4))
