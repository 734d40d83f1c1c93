"""Attacks on detoxified models: kinds as stored, in the order of their sections, and their titles."""

from __future__ import annotations

from typing import Final, Literal

AttackKind = Literal["suffix", "injection", "long", "sampling", "quantised", "relearn"]
RELEARN: Final = "relearn"
"""The one attack that trains, in a stage of its own."""
ATTACK_TITLES: Final[dict[str, str]] = {
    "suffix": "Suffixes",
    RELEARN: "Relearning",
    "injection": "Framed prompts",
    "long": "Long texts",
    "sampling": "Sampling",
    "quantised": "Rounded weights",
}
