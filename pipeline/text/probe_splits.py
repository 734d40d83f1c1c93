"""Which examples a probe learns from, is chosen by and is reported on.

Knows keys, groups and labels; nothing of activations. Splits are by hash, so they are the same in every run
and adding examples does not move the others.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

SPLITS = ("train", "select", "test")
TRAIN, SELECT, TEST = range(3)
Codes = NDArray[np.int8]
NO_GROUP = frozenset({"", "none", "nan", "null", "unspecified", "unknown", "other"})
"""Names that say that the group is not known (in any case): such examples are each a group of their own."""
MIN_EFFECTIVE_GROUPS = 50.0
"""Below this many groups of equal weight, whole groups cannot give splits near the wanted fractions: the
share of a fifth would have a standard deviation above 5.7 points."""


class ProbeError(ValueError):
    """A probe set or setting from which no probe can be made; the message is one line for the person."""


@dataclass(frozen=True, eq=False)
class Split:
    """`codes` int8 [n], places in SPLITS; `by` is what was kept whole, `group` or `key`."""

    codes: Codes
    by: Literal["group", "key"]

    @property
    def names(self) -> list[str]:
        """`train`, `select` or `test` for every example, as the database stores them."""
        return [SPLITS[code] for code in self.codes]


def split_codes(names: Sequence[str]) -> Codes:
    """The inverse of `Split.names`. Raises ProbeError for a name that is no split."""
    unknown = set(names) - set(SPLITS)
    if unknown:
        raise ProbeError(f"unknown split '{min(unknown)}' (known: {', '.join(SPLITS)})")
    return np.array([SPLITS.index(name) for name in names], dtype=np.int8)


def hash_unit(text: str, seed: int, purpose: str) -> float:
    """A number in [0, 1) that depends on the text, the seed and the purpose alone."""
    digest = hashlib.blake2b(f"{purpose}\x1f{seed}\x1f{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _units(keys: Sequence[str], groups: Sequence[str | None]) -> list[str]:
    names = (
        group if isinstance(group, str) and group.strip().lower() not in NO_GROUP else None
        for group in groups
    )
    return [f"group\x1f{group}" if group else f"key\x1f{key}" for key, group in zip(keys, names, strict=True)]


def effective_groups(units: Sequence[str]) -> float:
    """Number of equally large groups that would scatter as much: 1 over the sum of squared shares."""
    sizes = np.array(list(Counter(units).values()), dtype=np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def split_examples(
    keys: Sequence[str],
    groups: Sequence[str | None] | None = None,
    *,
    select_fraction: float = 0.2,
    test_fraction: float = 0.2,
    seed: int = 0,
    by: Literal["auto", "group", "key"] = "auto",
) -> Split:
    """Send each example to train, select or test by the hash of its group, or of its own key.

    `keys` [n] are content hashes (equal text, equal split), `groups` [n]. An example without a named group is
    its own group. `auto` keeps groups whole (no group in two splits) where there are enough of them for
    splits near the fractions (see MIN_EFFECTIVE_GROUPS); with a few large groups it splits by key, so that
    each group is in every split in proportion. Raises ProbeError for no examples, or fractions that leave
    none for training.
    """
    if not keys:
        raise ProbeError("the probe set is empty")
    if min(select_fraction, test_fraction) <= 0 or select_fraction + test_fraction >= 1:
        raise ProbeError("select_fraction and test_fraction must be above 0 and leave a part for training")
    units = _units(keys, groups if groups is not None else [None] * len(keys))
    if by == "auto":
        by = "group" if effective_groups(units) >= min(MIN_EFFECTIVE_GROUPS, len(set(keys)) / 2) else "key"
    hashed = units if by == "group" else [f"key\x1f{key}" for key in keys]
    fractions = np.array([hash_unit(name, seed, "split") for name in hashed])
    codes = np.full(len(keys), TRAIN, dtype=np.int8)
    codes[fractions < test_fraction + select_fraction] = SELECT
    codes[fractions < test_fraction] = TEST
    return Split(codes, by)


def require_both_classes(labels: ArrayLike, codes: Codes) -> None:
    """Raise ProbeError where a split has less than 2 toxic (label 1) or non-toxic examples; all are [n]."""
    toxic = np.asarray(labels).astype(bool)
    for code, name in enumerate(SPLITS):
        for is_toxic, kind in ((True, "toxic"), (False, "non-toxic")):
            count = int(((codes == code) & (toxic == is_toxic)).sum())
            if count < 2:
                raise ProbeError(f"the {name} split holds {count} {kind} examples: give the probe set more")


def draw_examples(
    keys: Sequence[str], labels: ArrayLike, limit: int | None, *, seed: int = 0
) -> NDArray[np.int64]:
    """Ascending indices of at most `limit` examples, as even by label as can be, by hash of their keys."""
    if limit is None or limit >= len(keys):
        return np.arange(len(keys))
    toxic = np.asarray(labels).astype(bool)
    order = np.argsort([hash_unit(key, seed, "draw") for key in keys], kind="stable")
    positives, negatives = order[toxic[order]], order[~toxic[order]]
    n_positive = max(min(len(positives), limit // 2), limit - len(negatives))
    return np.sort(np.concatenate([positives[:n_positive], negatives[: limit - n_positive]]))
