"""Every declared claim in the order in which it is shown: the paper's first, then its readers'."""

from __future__ import annotations

from hormesis.pipeline.claims import detox, hardness, heads, pretraining, readers, stability, toy
from hormesis.pipeline.claims.declared import Claim

_GROUPS = (toy, pretraining, detox, readers, heads, hardness, stability)
CLAIMS: tuple[Claim, ...] = tuple(
    sorted(
        (claim for group in _GROUPS for claim in group.CLAIMS),
        key=lambda claim: (claim.family != "paper", claim.id.split("-")[0]),
    )
)
"""Sorted by the paper's number; within it in the order declared."""
CLAIMS_VERSION = 11
"""Raised whenever a claim, a rule or a routine behind it changes, so that stored verdicts are made anew."""
