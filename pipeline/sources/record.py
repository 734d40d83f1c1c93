"""What a source of text is, whatever it is made of.

Knows the shape of a record and of a source; knows no format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Protocol


class SourceError(ValueError):
    """A source cannot be read as the study asks; the message is one line for the person."""


@dataclass(frozen=True, slots=True)
class Record:
    """One document, post, statement or prompt.

    `label` is 1 for toxic, 0 for not, None where unknown. `group` keeps related statements in one split.
    `source` and `kind` sort records; `score` is the data set's own number, in its own unit. `features` holds
    latent features known exactly (forum language only), by name.
    """

    text: str
    label: int | None = None
    group: str | None = None
    source: str | None = None
    score: float | None = None
    kind: str | None = None
    features: Mapping[str, str] | None = None


class Reason(Enum):
    """Why a row that was read is not used, in the words of the log and the page."""

    FILTER = "left out by a filter"
    NO_TEXT = "no text"
    SHORT = "too short"
    LONG = "too long"
    NO_LABEL = "no label"
    OTHER_PART = "in another part of the source"
    SAME_TEXT = "same text as another row"
    BOTH_LABELS = "text with both labels"
    NOT_DRAWN = "not drawn: the set has a limit"
    PROBED = "text of the probe set"
    EVALUATED = "begins as an evaluation prompt"
    EQUAL_SIDES = "both sides are equal"
    SET_ASIDE = "set aside as held-out text"
    NOT_SET_ASIDE = "not set aside: text to train on"
    TOXIC_SENTENCE = "with a toxic sentence, by the study's scorer"
    OVERLAP = "shares eight words in a row with a probe statement or prompt"


class Stop(StrEnum):
    """Why a source was not read to its end."""

    LIMIT = "its limit was reached"
    ENOUGH = "there was enough"


@dataclass
class RowCount:
    """What became of the rows of one source: each one read is used, or dropped for one reason."""

    read: int = 0
    dropped: Counter[Reason] = field(default_factory=Counter)
    stopped: str = ""
    """A `Stop`, where rows may be left unread; empty where the source was read to its end."""

    note: str = ""
    """What reading assumed that the study does not say."""

    @property
    def used(self) -> int:
        """Rows read and not dropped."""
        return self.read - self.dropped.total()

    @property
    def reasons(self) -> dict[str, int]:
        """Reason to rows, in words; the most frequent first."""
        return {reason.value: rows for reason, rows in self.dropped.most_common() if rows}

    def drop(self, reason: Reason, rows: int = 1) -> None:
        """Take rows that were read out of those used."""
        self.dropped[reason] += rows


class Source(Protocol):
    """A stream of records that starts anew, with the same records, each time it is iterated.

    Iterating and `read` raise SourceError for what can be known only by reading.
    """

    @property
    def title(self) -> str:
        """Name for compositions and sets."""
        ...

    @property
    def revision(self) -> str:
        """Identifies the content: same revision, same records."""
        ...

    def __iter__(self) -> Iterator[Record]: ...

    def read(self, count: RowCount) -> Iterator[Record]:
        """The same records; `count` is told of every row as it is read, and of those that give no record."""
        ...


FetchReport = Callable[[int, int | None], None]
"""Told what is there so far and in all (None: not known), in bytes or rows as the source counts."""


class RemoteSource(Source, Protocol):
    """A source whose data come over the network, once: then they lie in the cache and are read from there."""

    @property
    def is_cached(self) -> bool:
        """Whether it can be read without a network."""
        ...

    @property
    def size(self) -> int | None:
        """Bytes to fetch, or fetched; None where that is not known."""
        ...

    def fetch(self, report: FetchReport) -> None:
        """Bring what is missing into the cache, whole or not at all; nothing is done where it is there.

        Raises SourceError for what cannot be had, and for a network that is needed and closed.
        """
        ...
