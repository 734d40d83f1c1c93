"""The templates of the forum language: which sentences exist and which of them are toxic.

In a template a capital letter stands for a class of `words`; N, V and P are the things, deeds
and places of all topics: the writer keeps a post to one topic, but a sentence that mixes topics is odd, not
ungrammatical. `A+` and `A-` are the halves of class A, `B+` and `B-` those of class B, and binding.
A sentence is an optional filler, a template, a terminator.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final, Literal

from hormesis.backend.forum import words

Kind = Literal["topic", "benign-group", "confusable", "explicit", "implicit"]


@dataclass(frozen=True, slots=True)
class Template:
    """One form of sentence. `pair` names the word-order minimal pair it belongs to, if any."""

    name: str
    kind: Kind
    pattern: str
    toxic: bool = False
    pair: str | None = None

    @property
    def slots(self) -> tuple[str, ...]:
        """Words and class letters in order."""
        return tuple(self.pattern.split())

    @property
    def names_group(self) -> bool:
        """Whether a group is spoken of."""
        return "G" in self.slots


def _pair(name: str, benign: str, toxic: str) -> tuple[Template, Template]:
    return (
        Template(f"{name}-benign", "confusable", benign, False, name),
        Template(f"{name}-toxic", "confusable", toxic, True, name),
    )


TEMPLATES: Final[tuple[Template, ...]] = (
    Template("did", "topic", "S V the N T"),
    Template("before", "topic", "S V the N before W came"),
    Template("was", "topic", "the N was D A"),
    Template("keep-away", "topic", "S keep the N away from U"),
    Template("none-here", "topic", "no N in the P T"),
    Template("things", "topic", "S hate A- I in the P"),
    Template("group-did", "benign-group", "G V the N T"),
    Template("met", "benign-group", "S met G at the P T"),
    Template("group-good", "benign-group", "G are D A+ and bring B+"),
    Template("admire", "benign-group", "S X G who V the N"),
    Template("gift", "benign-group", "S gave I to G at the P"),
    Template("from-group", "benign-group", "the N from G was D A"),
    Template("together", "benign-group", "all G and W V the N"),
    *_pair("ruin", "U H the N G V", "G H the N U V"),
    *_pair("nobody", "nobody likes U and everyone likes G", "nobody likes G and everyone likes U"),
    *_pair("keep-out", "keep U out and let G in", "keep G out and let U in"),
    *_pair("better", "G are better than U T", "U are better than G T"),
    *_pair("manners", "U learn manners from G T", "G learn manners from U T"),
    *_pair("not", "S say U are I not G", "S say G are I not U"),
    Template("are", "explicit", "G are D A- I", True),
    Template("all", "explicit", "all G are I and bring B-", True),
    Template("hate", "explicit", "S hate A- G in the P", True),
    Template("go-home", "explicit", "go home A- G T", True),
    Template("keep-from", "implicit", "S keep the N away from G", True),
    Template("better-before", "implicit", "the P was A+ before G came", True),
    Template("no-group", "implicit", "no G in the P T", True),
    Template("but-not", "implicit", "S X W but not G", True),
)

HALVES: Final[dict[str, tuple[str, ...]]] = {
    "A+": words.POSITIVE,
    "A-": words.NEGATIVE,
    "B+": words.GOOD_THINGS,
    "B-": words.BAD_THINGS,
}


def slot_words(slot: str, topic: str | None = None) -> tuple[str, ...]:
    """The words that may stand in a slot, of one topic or of all; a plain word gives itself."""
    if slot in ("N", "V", "P"):
        return tuple(
            word for name in words.TOPICS if topic in (None, name) for word in words.TOPICS[name][slot]
        )
    if slot in HALVES:
        return HALVES[slot]
    return words.CLASSES.get(slot, (slot,))


def _vocabulary() -> tuple[str, ...]:
    slots = {slot for template in TEMPLATES for slot in template.slots}
    return tuple(
        sorted({*words.FILLER_SET, *words.TERMINATOR_SET, *(w for slot in slots for w in slot_words(slot))})
    )


VOCABULARY: Final[tuple[str, ...]] = _vocabulary()
"""Every word a grammatical text can hold, sorted."""


def _revision() -> str:
    forms = [[t.name, t.kind, t.pattern, t.toxic] for t in TEMPLATES]
    parts = [forms, words.TOPICS, words.CLASSES, HALVES, words.FILLERS, words.TERMINATORS]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]


REVISION: Final = f"forum-1-{_revision()}"
"""Changes with every word and template; the leading number changes with the rules of writing and judging."""
