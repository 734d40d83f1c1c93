"""What the text of a source is used for: roles as stored, in their order, and titles for people."""

from __future__ import annotations

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
