"""Degeneration of text that has no grammar to judge it by: repetition, diversity, compression, length.

Knows words, nothing of models. A looping or empty text is not a detoxified one: these stand beside toxicity.
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
    found = ngrams(tokens, n)
    return len(set(found)) / len(found) if found else 0.0


def repetition(tokens: Sequence[str], n: int = 4) -> float:
    """Share of n-grams that repeat an earlier one (rep-n), 0..1; 0 where there are none."""
    found = ngrams(tokens, n)
    return 1 - len(set(found)) / len(found) if found else 0.0


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
        repetition(tokens),
        distinct(tokens, 1),
        distinct(tokens, 2),
        distinct(tokens, 3),
        compression(text.strip()),
        len(tokens),
        not tokens,
    )


def set_fluency(texts: Sequence[str]) -> SetFluency:
    """All measures of a set; the means are 0 where every text is empty, or there is none."""
    each = [text_fluency(text) for text in texts]
    full = [one for one in each if not one.empty]
    tokens = [words(text) for text in texts]
    count = max(1, len(full))
    return SetFluency(
        repetition=sum(one.repetition for one in full) / count,
        distinct_1=_pooled(tokens, 1),
        distinct_2=_pooled(tokens, 2),
        distinct_3=_pooled(tokens, 3),
        compression=sum(one.compression for one in full) / count,
        length=sum(one.length for one in full) / count,
        empty=1 - len(full) / len(each) if each else 0.0,
        n=len(each),
    )


def _pooled(tokens: Sequence[Sequence[str]], n: int) -> float:
    found = [gram for one in tokens for gram in ngrams(one, n)]
    return len(set(found)) / len(found) if found else 0.0
