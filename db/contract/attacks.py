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
UNDONE: Final = "undone"
"""Name of the number that all attacks have: the change of toxicity by the attack, in points."""
OPENED: Final = "opened"
"""What frames add under a condition less what they add to the unsteered model, in points."""
