"""Detox methods that can be asked for live, and what each one needs. Knows names, no models and no tables.

A method is offered for a checkpoint where the database holds what it needs; pages list what is offered, so a
new method is one more entry here, one more way in `backend.service.plans`, and nothing on any page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, get_args

Method = Literal["none", "iti", "random-direction"]
Setting = Literal["strength", "heads", "direction", "scope", "control"]
DIRECTION_METHODS = ("mass_mean", "probe")
RANDOM = "random-"
"""What the stored names of random directions begin with; the index follows."""


@dataclass(frozen=True)
class MethodFacts:
    """One method: its name, its title for people, and the settings of a pane that it heeds."""

    name: Method
    title: str
    settings: tuple[Setting, ...]
    possible: Callable[[Collection[str]], bool]
    """Whether the stored directions of a checkpoint suffice."""


METHODS = (
    MethodFacts("none", "Unsteered", (), lambda _: True),
    MethodFacts(
        "iti",
        "ITI",
        ("strength", "heads", "direction", "scope"),
        lambda stored: any(name in stored for name in DIRECTION_METHODS),
    ),
    MethodFacts(
        "random-direction",
        "Random direction",
        ("strength", "heads", "scope", "control"),
        lambda stored: bool(controls(stored)),
    ),
)
assert {known.name for known in METHODS} == set(get_args(Method))


def controls(stored: Collection[str]) -> list[int]:
    """Indices of the random directions among stored direction names, in order."""
    found = (name.removeprefix(RANDOM) for name in stored if name.startswith(RANDOM))
    return sorted(int(index) for index in found if index.isdecimal())


def offered(stored: Collection[str]) -> list[MethodFacts]:
    """Methods possible with these stored directions; `none` is always the first."""
    return [known for known in METHODS if known.possible(stored)]
