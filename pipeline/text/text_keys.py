"""Content hashes of texts: names and seeds that do not depend on a text's place."""

from __future__ import annotations

import hashlib


def key_of(text: str) -> str:
    """Content hash of a text; names an example whatever its place."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def word_bag(text: str) -> str:
    """The words of a text in a fixed order: twins of a minimal pair share it."""
    return " ".join(sorted(text.lower().split()))


def words_key(text: str) -> str:
    """Content hash of a text's words in any order: twins of a minimal pair share it, and so a split."""
    return key_of(word_bag(text))


def row_seed(prompt: str, sample: int) -> int:
    """Seed of one continuation. The same for every condition and arm, so that differences are paired."""
    return int.from_bytes(hashlib.sha256(f"{sample}\x1f{prompt}".encode()).digest()[:8], "big") >> 1
