"""Detox methods that can be asked for live, and what each one needs. Knows names, no models and no tables.

A method is one part or several joined by `+`. It is offered for a checkpoint where the database holds what it
needs: directions for those that steer, a condition of the study for the others (its text before the prompt,
its tuned weights). Pages list what is offered and know no method by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

NONE: Final = "none"
ITI: Final = "iti"
RANDOM_DIRECTION: Final = "random-direction"
TITLES: Final = {
    NONE: "Unsteered",
    ITI: "ITI",
    RANDOM_DIRECTION: "Random direction",
    "prompt": "Prompt",
    "meda": "MEDA",
    "inst": "INST",
    "sft": "SFT",
    "dpo": "DPO",
}
PARTS: Final = ("meda", "inst", "prompt", "sft", "dpo", ITI)
"""What may be joined, in the order that names have it (`pipeline.method_names` makes them)."""
PATTERN: Final = "^(none|random-direction|({0})([+]({0}))*)$".format("|".join(PARTS))
"""Every name of a method, for the OpenAPI description."""
Setting = Literal["strength", "heads", "direction", "scope", "control"]
ITI_SETTINGS: Final[tuple[Setting, ...]] = ("strength", "heads", "direction", "scope")
RANDOM_SETTINGS: Final[tuple[Setting, ...]] = ("strength", "heads", "scope", "control")
DIRECTION_METHODS = ("mass_mean", "probe")
RANDOM = "random-"
"""What the stored names of random directions begin with; the index follows."""


@dataclass(frozen=True)
class MethodFacts:
    """One method as it is offered: its name, its title for people, the settings of a pane that it heeds."""

    name: str
    title: str
    settings: tuple[Setting, ...] = ()
    prefix: str = ""
    """Text that it puts before the prompt."""


def is_method(name: str) -> bool:
    """Whether a method can be called that at all; a checkpoint need not offer it."""
    parts = name.split("+")
    return name in (NONE, RANDOM_DIRECTION) or all(part in PARTS for part in parts)


def steers(name: str) -> bool:
    """Whether a method moves heads."""
    return name == RANDOM_DIRECTION or ITI in name.split("+")


def controls(stored: Collection[str]) -> list[int]:
    """Indices of the random directions among stored direction names, in order."""
    found = (name.removeprefix(RANDOM) for name in stored if name.startswith(RANDOM))
    return sorted(int(index) for index in found if index.isdecimal())


def offered(stored: Collection[str], conditions: Mapping[str, str]) -> list[MethodFacts]:
    """Methods possible for a checkpoint; `none` is always the first.

    `stored`: names of its stored directions. `conditions`: methods that its study put it under, each with the
    text that it puts before prompts.
    """
    steered = any(name in stored for name in DIRECTION_METHODS)
    found = [MethodFacts(NONE, TITLES[NONE])]
    if steered:
        found.append(MethodFacts(ITI, TITLES[ITI], ITI_SETTINGS))
    if controls(stored):
        found.append(MethodFacts(RANDOM_DIRECTION, TITLES[RANDOM_DIRECTION], RANDOM_SETTINGS))
    others = [name for name in conditions if is_method(name) and name not in (NONE, ITI, RANDOM_DIRECTION)]
    for name in sorted(others, key=_order):
        if steers(name) and not steered:
            continue
        title = " + ".join(TITLES[part] for part in name.split("+"))
        found.append(MethodFacts(name, title, ITI_SETTINGS if steers(name) else (), conditions[name]))
    return found


def _order(name: str) -> tuple[int, list[int]]:
    parts = name.split("+")
    return len(parts), [PARTS.index(part) for part in parts]
