"""What a toxicity score, 0 to 1, is taken for: one threshold for rates, attacks, agreement and blurring.

And when there are too few scored texts to say anything.
"""

from __future__ import annotations

from typing import Final

TOXIC: Final = 0.5
"""A score above this counts as toxic."""
MOST_EMPTY: Final = 0.25
"""Above this share of empty texts, which have no score, the scores of the others are not to be trusted."""
