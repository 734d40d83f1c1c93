"""ITI beside null directions at one matched cost: what it takes away more, and its rank among them.

By toxicity scores (0 to 1) by arm, [seeds, prompts], of the prompts that all of these conditions have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from hormesis.db.contract.methods import NULL_KINDS, RANDOM_DIRECTION, RESAMPLED, NullKind, null_kind
from hormesis.pipeline.claims.compare import Changes, changes, matched, mean_of
from hormesis.pipeline.claims.declared import INTERVAL, ODDS, Comparison, Missing, Scope
from hormesis.pipeline.claims.rows import ArmKey, ImportedRows, StudyRows, ValuesByArm
from hormesis.pipeline.statistics import Floats, StatisticsError, by_prompt, of_one_model, with_draws
from hormesis.pipeline.statistics.interval_parts import Parts, interval_parts

WORDS: dict[NullKind, str] = {
    "isotropic": "random", "covariance": "covariance-matched", "permuted": "permuted-label",
    "reversed": "reversed", "resampled": "estimated-anew",
}  # fmt: skip
OF_MODEL = "95 % t interval over prompts; of this one model, no seeds"
FEWEST = 19
"""Null directions that a 95th percentile needs: it is then the largest of them."""


@dataclass(frozen=True)
class Nulls:
    """ITI at the lowest matched cost (nats) of a kind of null directions, and each of these."""

    cost: float
    unsteered: ValuesByArm
    steered: ValuesByArm
    directions: Sequence[ValuesByArm]
    unreached: int
    """Conditions of null directions, one a checkpoint and direction, that never cost as much."""
    conditions: int
    is_imported: bool = False
    """Whether arms are single models, about which their rows speak: without a spread of seeds."""

    @cached_property
    def arms(self) -> list[ArmKey]:
        """The arms that have all of these conditions."""
        grids = (self.steered, *self.directions)
        return [
            arm
            for arm, first in self.directions[0].items()
            if arm in self.unsteered and all(arm in grid and grid[arm].shape == first.shape for grid in grids)
        ]

    @cached_property
    def mean(self) -> ValuesByArm:
        """Mean over directions; of a prompt, over those under which its text is not empty."""
        return {
            arm: by_prompt(np.stack([direction[arm] for direction in self.directions], axis=-1))
            for arm in self.arms
        }

    def effect(
        self, arms: Sequence[ArmKey], pool: Sequence[ArmKey], *, with_spread: bool = True
    ) -> Comparison | Missing:
        """Log-odds of ITI less those of the mean of the null directions, mean of `arms`.

        `pool`: arms that give the spread of seeds; `with_spread`: whether the error holds what the choice of
        directions adds.
        """
        change = changes({arm: self.steered[arm] for arm in pool}, self.mean, scale=ODDS, sign=-1)
        if self.is_imported:
            [arm] = arms
            return Comparison(with_draws(of_one_model(change.means[arm]), self.by_direction(arms)), [])
        means = {arm: change.means[arm] for arm in arms}
        extremes = {arm: change.extremes[arm] for arm in arms}
        comparison = mean_of(Changes(means, extremes), change)
        if isinstance(comparison, Missing) or not with_spread:
            return comparison
        values = self.by_direction(arms)
        ends = [with_draws(extreme, values) for extreme in comparison.extremes]
        return Comparison(with_draws(comparison.effect, values), ends)

    def by_direction(self, arms: Sequence[ArmKey]) -> Floats:
        """The same with each direction alone, [directions]."""
        means = [[ODDS.mean(direction[arm]).value for arm in arms] for direction in self.directions]
        steered = np.mean([ODDS.mean(self.steered[arm]).value for arm in arms])
        return np.asarray(steered - np.mean(means, axis=1))

    def falls(self, arms: Sequence[ArmKey]) -> Floats:
        """Points by which toxicity is below that unsteered, mean of `arms`: ITI, then each direction."""
        grids = (self.steered, *self.directions)
        before = np.mean([np.nanmean(self.unsteered[arm][: len(self.steered[arm])]) for arm in arms])
        return 100 * np.array([before - np.mean([np.nanmean(grid[arm]) for arm in arms]) for grid in grids])

    def parts(self, arm: ArmKey) -> Parts:
        """What the interval of ITI's fall in an arm is made of; the directions are its own, made anew."""
        before = self.unsteered[arm][: len(self.steered[arm])]
        anew = np.stack([direction[arm] for direction in self.directions])
        return interval_parts(100 * (before - self.steered[arm]), 100 * (before - anew))


def rank_of_first(falls: Floats) -> int:
    """Rank of ITI among the falls of `Nulls.falls`, 1 for the largest; of equal falls the null's counts."""
    return 1 + int((falls[1:] >= falls[0]).sum())


def percentile(falls: Floats) -> float | None:
    """The 95th percentile of the null directions' falls (of `Nulls.falls`); None for fewer than 19.

    The order statistic of rank .95 (n + 1): with 19 the largest, which one of 20 alike passes by chance.
    """
    return float(np.quantile(falls[1:], 0.95, method="weibull")) if len(falls) > FEWEST else None


def null_conditions(study: StudyRows, kind: NullKind) -> pd.DataFrame:
    """Rows of `StudyRows.conditions` of one kind of null directions."""
    conditions = study.conditions[study.conditions["method"] == RANDOM_DIRECTION]
    return conditions[np.array([null_kind(str(key)) == kind for key in conditions["key"]], dtype=bool)]


def nulls_of(study: StudyRows, scope: Scope, kind: NullKind) -> Nulls | Missing:
    """A study's null directions of a kind, beside ITI at their lowest matched cost."""
    conditions = null_conditions(study, kind)
    costs = sorted({float(cost) for cost in conditions["matched_cost"].dropna()})
    steering = next((steering for steering in matched(study) if costs and steering.size == costs[0]), None)
    if steering is None:
        return Missing(f"needs {WORDS[kind]} directions and ITI at one matched cost")
    keys = sorted({str(key) for key in conditions["key"]}, key=lambda key: (len(key), key))  # by their index
    unsteered, steered = (
        study.grids_like(key, keys[0], prompt_set=scope.prompt_set, scorer=scope.scorer)
        for key in ("none", steering.key)
    )
    return Nulls(
        steering.size, unsteered, steered, [study.grids(key, scope.prompt_set, scope.scorer) for key in keys],
        unreached=int((~conditions["reached"].astype(bool)).sum()), conditions=len(conditions),
        is_imported=isinstance(study, ImportedRows),
    )  # fmt: skip


def null_rows(study: StudyRows, scope: Scope) -> list[dict[str, Any]]:
    """Rows of `null_effect` on one prompt set and scorer, one per arm and kind of null directions.

    Intervals hold the spread of seeds pooled over all arms, prompts, and the choice of directions; of a study
    whose arms have one seed there are none. A kind whose rows cannot be compared has no row.
    """
    rows: list[dict[str, Any]] = []
    for kind in NULL_KINDS:
        nulls = nulls_of(study, scope, kind)
        if isinstance(nulls, Missing):
            continue
        try:
            rows += [_row(nulls, kind, arm, study_id=study.study_id) | asdict(scope) for arm in nulls.arms]
        except StatisticsError:
            continue
    for row in rows:
        parts = (row["kind"], f"{row['share']:g}", row["null_kind"], scope.prompt_set, scope.scorer)
        row["key"] = "|".join(parts)
    return rows


def _row(nulls: Nulls, kind: NullKind, arm: ArmKey, *, study_id: int) -> dict[str, Any]:
    """The columns of an arm's row but those of its scope."""
    falls, count = nulls.falls([arm]), len(nulls.directions)
    comparison = nulls.effect([arm], nulls.arms)
    value = ODDS.mean(nulls.steered[arm]).value - ODDS.mean(nulls.mean[arm]).value
    low, high, interval = None, None, "one seed: no interval"
    if not isinstance(comparison, Missing):
        low, high = (ODDS.display(end) for end in comparison.effect.interval())
        interval = OF_MODEL if nulls.is_imported else INTERVAL
        interval += f"; and {count} directions" if count > 1 else "; of one direction alone"
    answered = ~np.isnan(nulls.steered[arm])
    is_null = kind != RESAMPLED
    parts = Parts() if is_null else nulls.parts(arm)
    return {
        "study_id": study_id, "kind": arm[0], "share": arm[1], "null_kind": kind, "matched_cost": nulls.cost,
        "directions": count, "steered": float(falls[0]), "mean": float(falls[1:].mean()),
        "percentile": percentile(falls) if is_null else None,
        "rank": rank_of_first(falls) if is_null else None,
        "seeds_variance": parts.seeds, "prompts_variance": parts.prompts,
        "direction_variance": parts.direction, "steered_low": parts.low, "steered_high": parts.high,
        "falls": {"points": falls[1:].tolist()},
        "value": ODDS.display(value), "low": low, "high": high, "unit": ODDS.unit,
        "n": int(answered.any(axis=0).sum()), "n_seeds": len(answered), "interval": interval,
    }  # fmt: skip
