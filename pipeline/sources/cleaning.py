"""What is done to a text before it is used, and the part of its source that a text falls into."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

_WORD = re.compile(r"\w+")
LONGEST = 20
_PIECE = re.compile(rf"\S{{1,{LONGEST}}}\s*")
"""A word with the space behind it; of longer ones (a letter held down) twenty characters at a time."""


@lru_cache(maxsize=1)  # a row's text is asked for its part and for its likes
def words_of(text: str) -> str:
    """The words of a text in small letters, a space between them; texts equal in this count as one."""
    return " ".join(_WORD.findall(text.casefold()))


def place_of(text: str, pattern: str | None = None) -> float:
    """A number in [0, 1) that depends on the words of a text alone, or on those of the pattern's first match.

    Spread evenly, and independent of the hashes by which texts are drawn and split elsewhere.
    """
    match = re.search(pattern, text) if pattern else None
    digest = hashlib.blake2b(words_of(match[0] if match else text).encode(), digest_size=6, person=b"part")
    return int.from_bytes(digest.digest(), "big") / 2**48


def _runs(words: list[str], length: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(length)), strict=False))


def without_repetition(text: str, words: int) -> str:
    """The text without what was copied and pasted inside it.

    A word is left out where it ends a run of `words` words that stood in the text before, in whatever case:
    of a passage that comes again nothing but its first `words` - 1 words stays. So a text without such a run
    stays as it is, and of any other `words` - 1 words are left and one for each distinct run. (Copied text
    is told by runs of words in Lee et al. 2022, arXiv 2107.06499, who cut it, and in Rae et al. 2021, arXiv
    2112.11446, A1.1, who drop documents that have many.)
    """
    whole_words = text.casefold().split()  # much faster than pieces, and most texts end here
    if max(map(len, whole_words), default=0) <= LONGEST:
        if len(whole_words) - len(set(whole_words)) < words:  # each word of a run that comes again does too
            return text
        runs = _runs(whole_words, words)
        if len(set(runs)) == len(runs):
            return text
    pieces = _PIECE.findall(text)
    runs_before: set[tuple[str, ...]] = set()
    spelt = [piece.rstrip().casefold() for piece in pieces]
    for end, run in enumerate(_runs(spelt, words), start=words - 1):
        if run in runs_before:
            pieces[end] = ""
        runs_before.add(run)
    return "".join(pieces).strip()
