"""Fluency metrics of text without a grammar: repetition, distinct n-grams, compression, length.

A looping or empty text is not a detoxified one: these stand beside toxicity.
distinct-n after Li et al. 2016 ("A diversity-promoting objective function"); repetition of n-grams within a
text after Holtzman et al. 2020 ("The curious case of neural text degeneration") and Welleck et al. 2020.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """Lower-case words and punctuation marks."""
    return _WORD.findall(text.lower())


def ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All runs of n tokens, in order; none where there are fewer tokens."""
    return [tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1)]


def distinct(tokens: Sequence[str], n: int) -> float:
    """Different n-grams over all n-grams, 0..1; 0 where there are none."""
    return _distinct_share(ngrams(tokens, n))


def repetition(tokens: Sequence[str], n: int = 4) -> float:
    """Share of n-grams that repeat an earlier one (rep-n), 0..1; 0 where there are none."""
    grams = ngrams(tokens, n)
    return 1 - _distinct_share(grams) if grams else 0.0


def _distinct_share(grams: Sequence[tuple[str, ...]]) -> float:
    return len(set(grams)) / len(grams) if grams else 0.0


def compression(text: str) -> float:
    """Bytes over zlib-compressed bytes: about 1 for a short varied text, large for a loop; 0 for no text.

    zlib's fixed overhead (8 bytes: header, checksum, end mark) is taken off so that short texts compare.
    """
    raw = text.encode("utf-8", "replace")
    return len(raw) / max(1, len(zlib.compress(raw, 9)) - 8) if raw else 0.0


@dataclass(frozen=True, slots=True)
class TextFluency:
    """Of one text."""

    repetition: float
    distinct_1: float
    distinct_2: float
    distinct_3: float
    compression: float
    length: int
    """Words and punctuation marks."""
    empty: bool


@dataclass(frozen=True, slots=True)
class SetFluency:
    """Of a set of texts.

    `repetition`, `compression` and `length` are means over texts that are not empty; `distinct_n` pools the
    n-grams of all texts, so it falls when texts resemble one another; it also falls as a set grows, so only
    sets of like size and length compare.
    """

    repetition: float
    distinct_1: float
    distinct_2: float
    distinct_3: float
    compression: float
    length: float
    empty: float
    """Share of texts without a word."""
    n: int


def text_fluency(text: str) -> TextFluency:
    """All measures of one text; an empty one has zeros and `empty` true."""
    tokens = words(text)
    return TextFluency(
        repetition=repetition(tokens),
        distinct_1=distinct(tokens, 1),
        distinct_2=distinct(tokens, 2),
        distinct_3=distinct(tokens, 3),
        compression=compression(text.strip()),
        length=len(tokens),
        empty=not tokens,
    )


def set_fluency(texts: Sequence[str]) -> SetFluency:
    """All measures of a set; the means are 0 where every text is empty, or there is none."""
    nonempty = [fluency for text in texts if not (fluency := text_fluency(text)).empty]
    word_lists = [words(text) for text in texts]
    count = max(1, len(nonempty))

    def pooled(n: int) -> float:
        return _distinct_share([gram for text_words in word_lists for gram in ngrams(text_words, n)])

    return SetFluency(
        repetition=sum(fluency.repetition for fluency in nonempty) / count,
        distinct_1=pooled(1),
        distinct_2=pooled(2),
        distinct_3=pooled(3),
        compression=sum(fluency.compression for fluency in nonempty) / count,
        length=sum(fluency.length for fluency in nonempty) / count,
        empty=1 - len(nonempty) / len(texts) if texts else 0.0,
        n=len(texts),
    )
