"""Names of detox methods and of their combinations. Pure names: opens nothing, imports nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Tuned = Literal["sft", "dpo"]
Marked = Literal["meda", "inst"]
Variant = Literal["meda", "inst", "slung"]
TUNED: tuple[Tuned, ...] = get_args(Tuned)
"""Methods that change weights after pretraining."""
MARKED: tuple[Marked, ...] = get_args(Marked)
"""Methods that belong to arms of the same kind: their text says how toxic it is, and is asked for as not
toxic.
"""
VARIANTS: tuple[Variant, ...] = get_args(Variant)
"""Kinds of arms that train on the toxic arms' text in another way."""
PREFIXED = (*MARKED, "prompt")
STEERED = ("iti", "random-direction")
ORDER = (*MARKED, "prompt", *TUNED, *STEERED)


class MethodError(ValueError):
    """A detox method is named that there is not, or in a combination that cannot be; one line."""


@dataclass(frozen=True)
class MethodSpec:
    """The parts of one method or combination; empty parts are absent."""

    marked: str = ""
    prompted: bool = False
    tuned: str = ""
    steered: str = ""

    @property
    def name(self) -> str:
        """As conditions keep it: parts in a fixed order, joined by `+`."""
        parts = (self.marked, "prompt" if self.prompted else "", self.tuned, self.steered)
        return "+".join(part for part in parts if part) or "none"

    @property
    def combined(self) -> bool:
        """Whether steering goes together with something else."""
        return bool(self.steered) and self.name != self.steered

    def fits(self, kind: str | None) -> bool:
        """Whether an arm of this kind (None: an imported checkpoint) can be put under it."""
        return not self.marked or self.marked == kind


def parse_method(text: str) -> MethodSpec:
    """Read `iti`, `dpo+iti`, `prompt+sft` ...; the order of the parts does not matter.

    Raises MethodError for an unknown part, a part named twice, two trainings, two prefixes of an arm's own
    kind, and random directions in a combination (they are the control of `iti` alone).
    """
    parts = [part.strip() for part in text.split("+")]
    unknown = next((part for part in parts if part not in ORDER), None)
    if unknown is not None:
        raise MethodError(f"unknown detox method '{unknown}' in '{text}' (known: {', '.join(ORDER)})")
    if len(set(parts)) < len(parts):
        raise MethodError(f"'{text}' names a method twice")
    for group, what in ((TUNED, "trainings"), (MARKED, "kinds of arm"), (STEERED, "ways to steer")):
        if sum(part in group for part in parts) > 1:
            raise MethodError(f"'{text}' combines two {what}; choose one of them")
    if "random-direction" in parts and len(parts) > 1:
        raise MethodError(f"'{text}': random-direction is a control of its own and is not combined")
    found = {part: part for part in parts}
    return MethodSpec(
        marked=next((part for part in parts if part in MARKED), ""),
        prompted="prompt" in found,
        tuned=next((part for part in parts if part in TUNED), ""),
        steered=next((part for part in parts if part in STEERED), ""),
    )
