"""The terms on screen, read from `terms.toml`: what each means, its formula and its source."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Term:
    """One term. `formula` is LaTeX without dollars, or empty."""

    name: str
    section: str
    text: str
    formula: str = ""
    source: str = ""


def load_terms(path: Path = Path(__file__).parent / "terms.toml") -> tuple[Term, ...]:
    """Every term in the order of the file. Raises TypeError where a term has an unknown or missing key."""
    return tuple(Term(**entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["term"])


TERMS = load_terms()
