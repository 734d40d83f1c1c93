"""Detox methods that a checkpoint is offered for live: those for which the database holds what they need.

That is directions for those that steer, a condition of the study for the others (its text before the prompt,
its tuned weights). Pages list what is offered and know no method by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from hormesis.db.contract.messages import MethodInfo, Setting
from hormesis.db.contract.methods import (
    DIRECTIONS,
    ITI,
    NONE,
    ORDER,
    RANDOM,
    RANDOM_DIRECTION,
    is_method,
    is_steered,
    method_title,
)

ITI_SETTINGS: Final[list[Setting]] = ["strength", "heads", "direction", "scope"]
RANDOM_SETTINGS: Final[list[Setting]] = ["strength", "heads", "scope", "control"]


def controls(stored: Collection[str]) -> list[int]:
    """Indices of the random directions among stored direction names, in order."""
    indices = (name.removeprefix(RANDOM) for name in stored if name.startswith(RANDOM))
    return sorted(int(index) for index in indices if index.isdecimal())


def offered(stored: Collection[str], conditions: Mapping[str, str]) -> list[MethodInfo]:
    """Methods possible for a checkpoint; `none` is always the first.

    `stored`: names of its stored directions. `conditions`: methods that its study put it under, each with the
    text that it puts before prompts.
    """
    has_directions = any(name in stored for name in DIRECTIONS)
    methods = [_info(NONE)]
    if has_directions:
        methods.append(_info(ITI, ITI_SETTINGS))
    if controls(stored):
        methods.append(_info(RANDOM_DIRECTION, RANDOM_SETTINGS))
    others = [name for name in conditions if is_method(name) and name not in (NONE, ITI, RANDOM_DIRECTION)]
    for name in sorted(others, key=_order):
        if has_directions or not is_steered(name):
            methods.append(_info(name, ITI_SETTINGS if is_steered(name) else [], conditions[name]))
    return methods


def _info(name: str, settings: list[Setting] | None = None, prefix: str = "") -> MethodInfo:
    return MethodInfo(name=name, title=method_title(name), settings=settings or [], prefix=prefix)


def _order(name: str) -> tuple[int, list[int]]:
    parts = name.split("+")
    return len(parts), [ORDER.index(part) for part in parts]
