"""What a source of text is, whatever it is made of.

Knows the shape of a record and of a source; knows no format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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


class Source(Protocol):
    """A stream of records that starts anew, with the same records, each time it is iterated.

    Iterating raises SourceError for what can be known only by reading.
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
