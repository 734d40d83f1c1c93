"""Plausible made-up numbers and bland invented words for the seeded database; reads and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SYLLABLES = ("ba", "lo", "mi", "ren", "tu", "sol", "ka", "ve", "nor", "pi", "dal", "su")


@dataclass(frozen=True)
class ConditionPlan:
    """One condition as every checkpoint gets it; `push` is how hard it moves toxicity, `cost` in nats."""

    key: str
    method: str
    strength: float
    push: float
    cost: float
    matched_cost: float | None = None
    control: int | None = None


def condition_plans() -> list[ConditionPlan]:
    """`none`, fixed strengths 1, 2, 3, matched costs .02 .06 .15, and five random controls."""
    plans = [ConditionPlan("none", "none", 0.0, 0.0, 0.0)]
    for strength in (1.0, 2.0, 3.0):
        key = f"iti/mass_mean/fixed-{strength:g}"
        plans.append(ConditionPlan(key, "iti", strength, strength, 0.018 * strength**1.7))
    for cost in (0.02, 0.06, 0.15):
        strength = (cost / 0.018) ** (1 / 1.7)
        key = f"iti/mass_mean/cost-{cost:g}"
        plans.append(ConditionPlan(key, "iti", strength, strength, cost, matched_cost=cost))
    for index in range(5):
        key = f"random-{index}/cost-0.06"
        plans.append(
            ConditionPlan(
                key, "random-direction", 2.5 + 0.2 * index, 0.1, 0.06, matched_cost=0.06, control=index
            )
        )
    return plans


def toxic_chance(kind: str, share: float, plan: ConditionPlan) -> float:
    """Chance that a text is toxic: rises with the share, falls with steering, most at high shares."""
    dose = share if kind == "toxic" else 0.01
    base = 0.04 + 1.1 * dose
    return float(base * np.exp(-plan.push * (0.25 + 1.6 * dose)))


def scores(rng: np.random.Generator, chance: float, scorer: str, toxic: NDArray[np.bool_]) -> Floats:
    """Scores in 0..1 of texts whose truth is `toxic` [n]."""
    n = len(toxic)
    if scorer == "forum":
        return np.where(toxic, rng.choice([0.5, 1.0], n), 0.0)
    if scorer == "forum-fluency":
        return np.clip(rng.beta(9, 1 + 4 * chance, n), 0, 1)
    return np.clip(np.where(toxic, rng.beta(6, 2, n), rng.beta(1.5, 9, n)), 0, 1)


def mean_interval(values: Floats) -> tuple[float, float, float]:
    """Mean and its normal 95 % interval."""
    mean = float(values.mean())
    half = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return mean, mean - half, mean + half


def phrases(rng: np.random.Generator, n: int, words: int = 9) -> list[str]:
    """Bland sentences of invented words."""
    lexicon = ["".join(rng.choice(_SYLLABLES, 2)) for _ in range(60)]
    return [" ".join(rng.choice(lexicon, words)).capitalize() + "." for _ in range(n)]


def unit_vectors(rng: np.random.Generator, n: int, size: int) -> NDArray[np.float32]:
    """Random unit vectors [n, size]."""
    vectors = rng.normal(size=(n, size))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def head_quality(layers: int, heads: int) -> Floats:
    """How well each head tells toxic text, 0..1 [layers, heads]: a few good ones in the middle layers."""
    rng = np.random.default_rng(11)
    depth = np.exp(-((np.arange(layers) / max(layers - 1, 1) - 0.55) ** 2) / 0.08)
    return np.clip(depth[:, None] * rng.beta(1.6, 3, (layers, heads)) * 1.5, 0, 1)
