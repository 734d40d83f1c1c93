"""What claims say of themselves, against known answers: detectable effects, best cases, sides of a dip."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from scipy import stats

from hormesis.pipeline.claims.declared import (
    CANNOT_TELL,
    ODDS,
    REFUTED,
    UNDECIDED,
    Comparison,
    Corrected,
    Finding,
    Outcome,
    Scale,
    Scope,
    corrected,
    decide,
    directional,
    equivalent,
)
from hormesis.pipeline.claims.dips import _ruled_out, _sides, dip_at
from hormesis.pipeline.claims.evaluate import _row
from hormesis.pipeline.claims.registry import CLAIMS
from hormesis.pipeline.claims.rows import TOXIC, ValuesByArm
from hormesis.pipeline.statistics import Floats, contrast
from hormesis.pipeline.statistics.dose_response import Dose, detectable_dip, fit_dose

SCALE, SCOPE = Scale("points", 10), Scope("prompts", "judge")
LEVEL = 0.05 / 4
SHARES = (0.0, 0.05, 0.1, 0.25)


def compared(first: Floats, second: Floats) -> Comparison:
    effect = contrast([first, second], [1, -1])
    assert effect is not None
    return Comparison(effect)


def rise(first: Floats, second: Floats, margin: float = 0.0) -> Outcome:
    return directional(compared(first, second), +1, 1.0, scale=SCALE, contrast="", n=40)


def likeness(first: Floats, second: Floats, margin: float = 1.0) -> Outcome:
    return equivalent(compared(first, second), margin, scale=SCALE, contrast="", n=40)


@pytest.mark.parametrize("claim", [rise, likeness])
def test_a_detectable_effect_is_told_in_four_of_five_studies(claim: Any) -> None:
    """Two arms of eight seeds at a level of .0125: half of the studies find it, half tell it."""
    rng = np.random.default_rng(0)
    studies = rng.normal(0, 1, (800, 2, 8))
    effect = float(np.median([claim(*study).sees(LEVEL) for study in studies[:400]]))
    planted = effect / SCALE.factor if claim is rise else 0.0
    findings = [claim(first + planted, second, effect) for first, second in studies[400:]]
    share = np.mean([finding.p <= LEVEL for finding in findings])
    assert share == pytest.approx(0.8, abs=0.06)


def test_a_detectable_dip_is_told_in_four_of_five_studies() -> None:
    rng, variances = np.random.default_rng(1), np.full(4, 0.04)
    dose = Dose(np.array(SHARES), np.zeros(4), variances, 30.0)
    depth = detectable_dip(dose, 2, level=LEVEL, draws=999)
    hits = []
    for _ in range(150):
        means = rng.normal(0, 0.2, 4) - depth * (np.arange(4) == 2)
        response = fit_dose(Dose(dose.shares, means, variances * rng.chisquare(30) / 30, 30.0), draws=299)
        hits.append(response is not None and response.p <= LEVEL)
    assert np.mean(hits) == pytest.approx(0.8, abs=0.08)


def test_what_is_stored_as_detectable_is_at_the_level_of_the_family() -> None:
    finding = rise(*np.random.default_rng(0).normal(0, 1, (2, 8)))
    assert isinstance(finding, Finding)
    row = _row(1, CLAIMS[0], scope=SCOPE, outcome=finding, correction=Corrected(0.5, None, 4))
    assert row["detectable"] == finding.sees(LEVEL) and row["tests"] == 4
    assert row["detectable"] != finding.sees(0.05)


@pytest.mark.parametrize(
    ("shift", "spread", "verdict"), [(2.0, 0.1, REFUTED), (0.4, 0.1, UNDECIDED), (0.4, 1.0, CANNOT_TELL)]
)
def test_the_best_case_of_likeness_is_that_of_equal_arms(shift: float, spread: float, verdict: str) -> None:
    first, second = np.random.default_rng(0).normal(0, spread, (2, 5))
    first += shift - first.mean() + second.mean()
    finding = likeness(first, second, 5.0)  # .5 on the scale of the arms
    assert isinstance(finding, Finding) and finding.best_p is not None
    error = float(np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 5))
    assert finding.best_p == pytest.approx(float(stats.t.sf(0.5 / error, 8)), rel=1e-6)
    # Beside another test of its family, so that the best case has to pass twice as well.
    assert decide(finding, corrected([finding, replace(finding, p=0.9)])[0]) == verdict


def planted(rates: tuple[float, ...], seed: int = 0, prompts: int = 400) -> ValuesByArm:
    """Answers of two seeds of arms with these rates of toxicity."""
    rng = np.random.default_rng(seed)
    return {
        (TOXIC, share): (rng.random((2, prompts)) < rate).astype(float)
        for share, rate in zip(SHARES, rates, strict=True)
    }


def dip(arms: ValuesByArm) -> Finding:
    finding = dip_at(cast(Any, SimpleNamespace(grids=lambda *_: arms)), SCOPE, "none")
    assert isinstance(finding, Finding)
    return finding


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ((0.5, 0.4, 0.1, 0.8), "10 % less 0 %"),
        ((0.8, 0.1, 0.4, 0.5), "5 % less 25 %"),
        ((0.1, 0.5, 0.6, 0.7), "5 % less 0 %"),
        ((0.7, 0.6, 0.5, 0.1), "10 % less 25 %"),
    ],
)
def test_a_dip_is_measured_from_the_lower_end(rates: tuple[float, ...], words: str) -> None:
    arms = planted(rates)
    finding = dip(arms)
    sums = [arms[TOXIC, float(part.split()[0]) / 100].sum() for part in words.split(" less ")]
    odds = [(toxic + 0.5) / (800 - toxic + 0.5) for toxic in sums]
    assert finding.contrast == words and finding.value == pytest.approx(odds[0] / odds[1], rel=1e-6)


def test_intervals_of_a_dip_are_simultaneous_over_the_shares_inside() -> None:
    """With two shares inside each interval, also of those that rule dips out, is one of 97.5 %."""
    differing = 0
    for seed in range(30):
        arms = planted((0.3, 0.3, 0.33, 0.36)[:: 1 if seed % 2 else -1], seed, prompts=300)
        means = {arm: ODDS.mean(grid) for arm, grid in arms.items()}
        pool, (clean, *inside, largest) = list(means.values()), means
        pairs = [
            [contrast([means[arm], means[end]], [1, -1], pool=pool) for end in (clean, largest)]
            for arm in inside
        ]

        def is_excluded(level: float, pairs: list[list[Any]] = pairs) -> bool:
            return all(max(e.interval(level)[0] for e in pair) > -np.log(1.5) for pair in pairs)

        assert _ruled_out(_sides(means)) == is_excluded(0.975)
        differing += is_excluded(0.95) != is_excluded(0.975)
    assert differing
    nearer = min((max(pair, key=lambda e: e.value) for pair in pairs), key=lambda e: e.value)
    finding = dip(arms)
    assert (finding.low, finding.high) == pytest.approx([np.exp(end) for end in nearer.interval(0.975)])
    assert finding.excluded == is_excluded(0.975)
