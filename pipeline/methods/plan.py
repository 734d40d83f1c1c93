"""Which conditions a checkpoint is put under: methods of the study, their strengths given or to be found.

Knows the study file and kinds of arms. Opens no model: costs come from a function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hormesis.db.contract.methods import MARKED, NULL_STEMS, SECOND, MethodSpec
from hormesis.pipeline.methods.matched_cost import FIRST_STRENGTH, CostSearch
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.config_base import key_part
from hormesis.pipeline.text.prefixes import prefix_of


@dataclass(frozen=True)
class Family:
    """Conditions of one method that differ in strength only."""

    spec: MethodSpec
    stem: str
    """Beginning of their keys, or the whole key where nothing is steered."""
    prefix: str = ""
    direction: str | None = None
    """Direction set of the heads that are moved; None where nothing is steered."""
    strengths: tuple[float, ...] = ()
    costs: tuple[float, ...] = ()
    """Matched costs to look for, nats per token, beside the fixed strengths."""
    limit: float = 0.0
    """No matched cost is looked for above this strength."""
    control: int | None = None

    @property
    def count(self) -> int:
        """Conditions it will have."""
        return len(self.strengths) + len(self.costs) if self.direction else 1


@dataclass(frozen=True)
class Strength:
    """One member of a family: its key, strength, and the matched cost it was found for."""

    key: str
    value: float
    matched_cost: float | None = None
    reached: bool = True


def families(config: StudyConfig, kind: str | None) -> list[Family]:
    """Families for a checkpoint of an arm of this kind (None: imported), `none` first.

    An arm of kind `meda` or `inst` is put under its own method whether the study names it or not.
    """
    specs = [spec for spec in config.methods.specs if spec.fits(kind)]
    marked = [MethodSpec(marked=kind)] if kind in MARKED else []
    specs = [MethodSpec(), *(spec for spec in marked if spec not in specs), *specs]
    # Random directions cost less, so the strength that ITI needed is where their search begins.
    # Conditions with the same weights stay together, so that a large model is not loaded again and again.
    specs.sort(key=lambda spec: (spec.tuned, spec.steered == "random-direction"))
    return [family for spec in specs for family in _of(config, spec, kind)]


def _of(config: StudyConfig, spec: MethodSpec, kind: str | None) -> Iterator[Family]:
    """The families of one method for an arm of this kind; `prefix`: text before prompts."""
    steering = config.steering
    prefix = prefix_of(config, spec.marked, spec.prefixed)
    if not spec.steered:
        yield Family(spec, spec.name, prefix)
    elif spec.steered == "random-direction":
        at_fixed = steering.random_at == "fixed"
        fixed: tuple[float, ...] = steering.strengths if at_fixed else ()
        costs: tuple[float, ...] = () if at_fixed else (steering.random_cost,)
        stems = (
            (f"{NULL_STEMS[null]}-{number}", number)
            for null, count in steering.nulls_of(kind)
            for number in range(count)
        )
        for stem, number in stems:
            yield Family(
                spec, stem, prefix, direction=stem, strengths=fixed, costs=costs,
                limit=steering.random_max_strength, control=number,
            )  # fmt: skip
    elif spec.combined:
        stem = f"{spec.name}/{steering.direction}"
        yield Family(
            spec, stem, prefix, direction=steering.direction, costs=config.methods.combined_costs,
            limit=steering.max_strength,
        )  # fmt: skip
    else:
        direction_sets: list[tuple[str, tuple[float, ...]]] = [(steering.direction, steering.strengths)]
        direction_sets += [(SECOND, ())] if config.methods.second_directions else []
        for direction, values in direction_sets:
            yield Family(
                spec, f"iti/{direction}", prefix, direction=direction, strengths=values,
                costs=steering.costs, limit=steering.max_strength,
            )  # fmt: skip


def strengths(
    family: Family, cost: Callable[[float], float], start: float = FIRST_STRENGTH
) -> Iterator[Strength]:
    """The members of a family: fixed strengths as given, matched costs searched for.

    `cost(strength)` is against the checkpoint without any method, nats per token. Where the rest of a
    combination costs as much as a target by itself there is nothing to be found: strength 0, not reached.
    """
    if family.direction is None:
        yield Strength(family.stem, 0.0)
        return
    rest_cost = cost(0.0) if family.spec.combined else 0.0
    search = CostSearch(lambda strength: cost(strength) - rest_cost, family.limit, start)
    for value in family.strengths:
        search.at(value)
        yield Strength(f"{family.stem}/fixed-{key_part(value)}", value)
    for target in family.costs:
        key = f"{family.stem}/cost-{key_part(target)}"
        if target <= rest_cost:
            yield Strength(key, 0.0, target, False)
            continue
        match = search.match(target - rest_cost)
        yield Strength(key, match.strength, target, match.reached)
