"""What a toxicity score, 0 to 1, is taken for: one threshold for rates, attacks, agreement and blurring."""

from __future__ import annotations

from typing import Final

TOXIC: Final = 0.5
"""A score above this counts as toxic."""
