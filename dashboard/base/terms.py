"""The terms on screen, read from `terms.toml`: what each means, its formula, its code and its source."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True)
class Term:
    """One term.

    `formula` is LaTeX without dollars; `code` is `path: function` in this repository; `labels` are the other
    words under which it stands on a page (columns, measures, choices). All may be empty.
    """

    name: str
    section: str
    text: str
    formula: str = ""
    source: str = ""
    code: str = ""
    labels: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """The name as it stands in links, e.g. `matched-cost`."""
        return anchor(self.name)

    def called(self, label: str) -> bool:
        """Whether a label on a page means this term, by its name or another label; case does not count."""
        return label.strip().lower() in {name.lower() for name in (self.name, *self.labels)}


def anchor(name: str) -> str:
    """A name as an anchor: lower case, words joined by dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def load_terms() -> tuple[Term, ...]:
    """Every term in the order of the file. Raises TypeError where a term has an unknown or missing key."""
    entries = tomllib.loads((Path(__file__).parent / "terms.toml").read_text(encoding="utf-8"))["term"]
    return tuple(Term(**(entry | {"labels": tuple(entry.get("labels", ()))})) for entry in entries)


@lru_cache(maxsize=2048)
def term_of(label: str) -> Term | None:
    """The term a label on a page means; None where there is no definition of it."""
    return next((term for term in TERMS if term.called(label)), None)


def mentioned(words: str, most: int = 4) -> list[Term]:
    """The terms whose names stand in a sentence as whole words, also in the plural, in its order."""
    mentions: list[tuple[int, Term]] = []
    spans: list[tuple[int, int]] = []
    for term in sorted(TERMS, key=lambda term: -len(term.name)):
        hit = re.search(
            rf"(?<!\w){re.escape(term.name)}s?(?!\w)", words, re.IGNORECASE if len(term.name) > 1 else 0
        )
        if hit and not any(start < hit.end() and hit.start() < end for start, end in spans):
            spans.append(hit.span())
            mentions.append((hit.start(), term))
    return [term for _, term in sorted(mentions, key=lambda pair: pair[0])][:most]


@lru_cache(maxsize=2048)
def links(words: str) -> str:
    """Markdown links to the definitions of the terms in a sentence; empty where there are none."""
    terms = [f"[{term.name}](definitions?term={quote(term.name)})" for term in mentioned(words)]
    return f"Glossary: {', '.join(terms)}." if terms else ""


TERMS = load_terms()
