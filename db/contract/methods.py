"""Detox methods: names as stored, titles, order and combinations; the directions that steering follows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

NONE: Final = "none"
PROMPT: Final = "prompt"
ITI: Final = "iti"
RANDOM_DIRECTION: Final = "random-direction"
SFT: Final = "sft"
DPO: Final = "dpo"
Prefixed = Literal["prompt"]
Tuned = Literal["sft", "dpo"]
Marked = Literal["meda", "inst"]
Variant = Literal["meda", "inst", "slung"]
DirectionKind = Literal["mass_mean", "probe"]
Scope = Literal["generated", "all"]
PREFIXED: Final[tuple[Prefixed, ...]] = get_args(Prefixed)
"""Methods that put text in front of every prompt."""
TUNED: Final[tuple[Tuned, ...]] = get_args(Tuned)
"""Methods that change weights after pretraining."""
MARKED: Final[tuple[Marked, ...]] = get_args(Marked)
"""Methods that belong to arms of the same kind: their text says how toxic it is, and is asked for as not
toxic.
"""
VARIANTS: Final[tuple[Variant, ...]] = get_args(Variant)
"""Kinds of arms that train on the toxic arms' text in another way."""
STEERED: Final = (ITI, RANDOM_DIRECTION)
ORDER: Final = (*MARKED, *PREFIXED, *TUNED, *STEERED)
"""Parts of a combination, in the order that its name has them."""
TITLES: Final = {NONE: "Unsteered", PROMPT: "Prompt", RANDOM_DIRECTION: "Random direction"} | {
    name: name.upper() for name in (ITI, *TUNED, *VARIANTS)
}
_GROUPS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "tuned": (TUNED, "trainings"),
    "marked": (MARKED, "kinds of arm"),
    "steered": (STEERED, "ways to steer"),
    "prefixed": (PREFIXED, "prefixes"),
}
"""The parts of a combination, at most one of each group, with what people call the group."""
DIRECTIONS: Final[tuple[DirectionKind, ...]] = get_args(DirectionKind)
"""Ways to find a direction, the usual one first: difference of class means, weights of the probe."""
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
"""Positions that are steered."""
RANDOM: Final = "random-"
"""What the stored names of random directions begin with; the index follows."""
NullKind = Literal["isotropic", "covariance", "permuted", "reversed", "resampled"]
"""Directions that ITI is held against, all of the method `random-direction`: uniform on the sphere; of the
head's own covariance; of permuted labels, with heads of their own; and two that are no nulls: the study's own
direction reversed, so that toxicity is added, and its own way from statements that are drawn anew, which
tells how far another sample of them would have led.
"""
RESAMPLED: Final = "resampled"
NULL_KINDS: Final[tuple[NullKind, ...]] = get_args(NullKind)
NULL_STEMS: Final[Mapping[str, str]] = {
    "isotropic": "random", "covariance": "covariance", "permuted": "permuted", "reversed": "reversed",
    RESAMPLED: RESAMPLED,
}  # fmt: skip
"""What names of null directions, and keys of their conditions, begin with; `-` and the index follow."""
NULL_TITLES: Final[Mapping[str, str]] = {
    "isotropic": "Random directions",
    "covariance": "Covariance-matched directions",
    "permuted": "Directions of permuted labels",
    "reversed": "Direction added",
    RESAMPLED: "ITI from statements drawn anew",
}
MEANINGLESS: Final = ("isotropic", "covariance", "permuted")
"""Kinds of null directions that say nothing of toxicity; the others are ITI's own, reversed or found anew."""
NULL_KEY: Final = "^({})(-[0-9]+)?(?=/|$)".format("|".join(NULL_STEMS.values()))
"""Begins keys and names of null directions, of several together without the index."""
SECOND: Final = "second"
"""Stored name of the directions from a second source, whose heads are its own choice."""
PATTERN: Final = "^(none|random-direction|({0})([+]({0}))*)$".format(
    "|".join(part for part in ORDER if part != RANDOM_DIRECTION)
)
"""Every name of a method, as a regular expression."""


class MethodError(ValueError):
    """A detox method is named that there is not, or in a combination that cannot be; one line."""


@dataclass(frozen=True)
class MethodSpec:
    """The parts of one method or combination; empty parts are absent."""

    marked: str = ""
    prefixed: str = ""
    tuned: str = ""
    steered: str = ""

    @property
    def name(self) -> str:
        """As conditions keep it: parts in a fixed order, joined by `+`."""
        parts = (self.marked, self.prefixed, self.tuned, self.steered)
        return "+".join(filter(None, parts)) or NONE

    @property
    def combined(self) -> bool:
        """Whether steering goes together with something else."""
        return bool(self.steered) and self.name != self.steered

    def fits(self, kind: str | None) -> bool:
        """Whether an arm of this kind (None: an imported checkpoint) can be put under it."""
        return not self.marked or self.marked == kind


def parse_method(text: str) -> MethodSpec:
    """Read `iti`, `dpo+iti`, `prompt+sft` ...; the order of the parts does not matter.

    Raises MethodError for an unknown part, a part named twice, two of one group, and random directions in a
    combination (they are the control of `iti` alone).
    """
    parts = [part.strip() for part in text.split("+")]
    unknown = next((part for part in parts if part not in ORDER), None)
    if unknown is not None:
        raise MethodError(f"unknown detox method '{unknown}' in '{text}' (known: {', '.join(ORDER)})")
    if len(set(parts)) < len(parts):
        raise MethodError(f"'{text}' names a method twice")
    part_by_group: dict[str, str] = {}
    for group_name, (group_parts, group_title) in _GROUPS.items():
        members = [part for part in parts if part in group_parts]
        if len(members) > 1:
            raise MethodError(f"'{text}' combines two {group_title}; choose one of them")
        part_by_group[group_name] = "".join(members)
    if RANDOM_DIRECTION in parts and len(parts) > 1:
        raise MethodError(f"'{text}': {RANDOM_DIRECTION} is a control of its own and is not combined")
    return MethodSpec(**part_by_group)


def is_method(name: str) -> bool:
    """Whether a method can be called that at all; a checkpoint need not have been put under it."""
    return re.fullmatch(PATTERN, name) is not None


def is_steered(name: str) -> bool:
    """Whether a method moves heads, so that it has a strength."""
    return any(part in STEERED for part in name.split("+"))


def null_kind(key: str) -> NullKind | None:
    """The kind of null direction that a condition's key, or the name of a set of directions, is of."""
    match = re.match(NULL_KEY, key)
    return None if match is None else next(kind for kind in NULL_KINDS if NULL_STEMS[kind] == match[1])


def has_own_heads(direction: str) -> bool:
    """Whether a set of directions moves heads that it chose itself, not those that the probes select."""
    return direction == SECOND or null_kind(direction) in ("permuted", RESAMPLED)


def method_title(name: str) -> str:
    """A method in words; the parts of a combination keep their own titles: `DPO + ITI`."""
    return " + ".join(TITLES.get(part, part.replace("-", " ").capitalize()) for part in name.split("+"))
