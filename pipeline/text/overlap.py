"""Eight words in a row that documents share with statements or prompts.

Words are letters, digits and underscores in any case; punctuation does not count. Runs of n words are the
usual sign that a test is in the training text; eight is the smallest n of Brown et al. 2020 (appendix C), for
below that chance makes too many. Knows no sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

WORDS = 8
_WORD = re.compile(r"\w+")


class RunIndex:
    """Every run of eight words in the texts of some roles, as 64-bit hashes.

    Two different runs have one hash with a probability of about 1 in 10^19. Memory: the texts, their words
    and their runs.
    """

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        """`texts`: role to its texts."""
        self.texts = texts
        # Numbered in order of appearance, so that hashes are the same in every process.
        self._numbers: dict[str, int] = {}
        for text in (text for of_role in texts.values() for text in of_role):
            for word in _words(text):
                self._numbers.setdefault(word, len(self._numbers) + 1)
        self.runs = {role: set[int]().union(*map(self.runs_of, texts[role])) for role in texts}

    def runs_of(self, text: str) -> list[int]:
        """The runs of any text, in order; none for a text of fewer than eight words."""
        number = self._numbers.get
        words = [number(word, 0) for word in _words(text)]  # 0: in no text of the index, so in no run of it
        return list(map(hash, zip(*(words[start:] for start in range(WORDS)), strict=False)))

    def holds_any_of(self, text: str) -> bool:
        """Whether a document shares a run with any of the texts."""
        runs = self.runs_of(text)
        return any(not role_runs.isdisjoint(runs) for role_runs in self.runs.values())


def _words(text: str) -> list[str]:
    words: list[str] = _WORD.findall(text.lower())
    return words


class RunCount:
    """How many documents of a role share a run with the texts of each role of an index.

    Documents pass by and are not kept.
    """

    def __init__(self, index: RunIndex) -> None:
        self._index = index
        self._shared: dict[str, set[int]] = {role: set() for role in index.runs}
        self.documents = 0
        """Those of at least eight words."""
        self.sharing = dict.fromkeys(index.runs, 0)
        """Role to documents that share a run with one of its texts."""

    def add(self, text: str) -> None:
        """Count a document."""
        runs = self._index.runs_of(text)
        self.documents += bool(runs)
        for role, role_runs in self._index.runs.items():
            shared = role_runs.intersection(runs)
            self._shared[role] |= shared
            self.sharing[role] += bool(shared)

    def texts(self, role: str) -> tuple[int, int]:
        """How many texts of a role have at least eight words, and how many of those share a run."""
        return _with_runs(map(self._index.runs_of, self._index.texts[role]), self._shared[role])


def _with_runs(run_lists: Iterable[list[int]], shared: set[int]) -> tuple[int, int]:
    n_texts = n_shared = 0
    for runs in run_lists:
        n_texts += bool(runs)
        n_shared += not shared.isdisjoint(runs)
    return n_texts, n_shared
