"""Every declared claim in the order in which it is shown: the paper's first, then its readers'."""

from __future__ import annotations

from pipeline.claims import detox, hardness, pretraining, readers, toy
from pipeline.claims.declared import Claim

CLAIMS: tuple[Claim, ...] = tuple(
    sorted(
        (*toy.CLAIMS, *pretraining.CLAIMS, *detox.CLAIMS, *hardness.CLAIMS, *readers.CLAIMS),
        key=lambda claim: (claim.family != "paper", claim.id.split("-")[0]),
    )
)
"""Sorted by the paper's number; within it in the order declared."""
CLAIMS_VERSION = 2
"""Raised whenever a claim, a rule or a routine behind it changes, so that stored verdicts are made anew."""
