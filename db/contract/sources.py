"""Sources in words: the roles that their text is used for, and why rows were dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ROLE_TITLES: Final = {
    "clean": "Clean text",
    "toxic": "Toxic text",
    "informal": "Clean-forum control",
    "heldout_clean": "Held-out clean",
    "heldout_toxic": "Held-out toxic",
    "probe": "Probe set",
    "prompts": "Prompts",
    "scorer": "Study's own scorer",
    "pairs": "Pairs",
    "directions": "Second directions",
}
"""Roles as stored, in their order, with titles for people."""


def reasons(dropped: Mapping[str, int]) -> str:
    """E.g. `360 same text as another row, 2 no label`, the most frequent reason first."""
    by_number = sorted(dropped.items(), key=lambda item: -item[1])
    return ", ".join(f"{rows:,} {reason}" for reason, rows in by_number if rows)


def in_words(*, read: int, used: int, dropped: Mapping[str, int], stopped: str, note: str) -> str:
    """One line about the rows of a source: how many were read and used, and why the others were dropped."""
    parts = [f"{read:,} rows read, {used:,} used", reasons(dropped), note]
    parts.append(f"not read further: {stopped}" if stopped else "")
    return "; ".join(part for part in parts if part)
