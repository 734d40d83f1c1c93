"""The dose: a planted optimum is found, none where none is planted, at stated rates over many seeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from hormesis.pipeline.statistics.dose_curves import Hormetic, HormeticFamily, design, isotonic, lowest_share
from hormesis.pipeline.statistics.dose_response import (
    Dose,
    DoseResponse,
    detectable_dip,
    dose_of,
    fit_dose,
    simulated_ratios,
)
from tests.audit import dips as brute_force

Floats = NDArray[np.float64]
FOUR = np.array([0.0, 0.05, 0.10, 0.25])
SIX = np.array([0.0, 0.05, 0.10, 0.15, 0.20, 0.25])
SPREAD = 2.2
"""Standard deviation between seeds, points."""

MONOTONE: dict[str, Callable[[Floats], Floats]] = {
    "flat": lambda x: 0 * x,
    "linear": lambda x: 40 * x,
    "saturating": lambda x: 8 * x / (x + 0.05),
    "threshold": lambda x: 60 * np.maximum(0, x - 0.1),
    "falling": lambda x: -40 * x,
}


def dip(depth: float) -> Callable[[Floats], Floats]:
    return lambda x: np.interp(x, [0, 0.1, 0.25], [0, -depth, 0])


def fits(
    truth: Callable[[Floats], Floats], shares: Floats, seeds: int, *, trials: int, start: int
) -> list[DoseResponse]:
    rng = np.random.default_rng(start)
    fitted = []
    for trial in range(trials):
        arms = truth(shares)[:, None] + rng.normal(0, SPREAD, (len(shares), seeds))
        dose = dose_of(list(shares), list(arms))
        assert dose is not None
        fit = fit_dose(dose, draws=199, seed=trial)
        assert fit is not None
        fitted.append(fit)
    return fitted


@pytest.mark.slow
@pytest.mark.parametrize("truth", MONOTONE)
@pytest.mark.parametrize(("shares", "seeds"), [(FOUR, 2), (SIX, 3)], ids=["4 shares", "6 shares"])
def test_no_dip_is_found_where_none_is_planted(truth: str, shares: Floats, seeds: int) -> None:
    fitted = fits(MONOTONE[truth], shares, seeds, trials=80, start=len(shares))
    # Nominal 5 %: 12.3 % of 80 is three standard errors above.
    assert np.mean([fit.supported for fit in fitted]) <= 0.12
    assert all(fit.optimum is None for fit in fitted if not fit.supported)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shares", "seeds", "depth", "rate"), [(SIX, 2, 10, 0.8), (FOUR, 2, 10, 0.7), (SIX, 5, 6, 0.85)]
)
def test_a_planted_dip_is_found_and_its_place(shares: Floats, seeds: int, depth: float, rate: float) -> None:
    fitted = fits(dip(depth), shares, seeds, trials=60, start=1)
    hits = [fit for fit in fitted if fit.supported]
    assert len(hits) / 60 >= rate
    places = np.array([fit.optimum for fit in hits])
    assert (places > 0).all() and (places < 0.25).all()
    assert abs(float(np.median(places)) - 0.1) < 0.05
    covered = [fit.optimum_low <= 0.1 <= fit.optimum_high for fit in hits]  # type: ignore[operator]
    assert np.mean(covered) >= 0.85
    assert all(fit.model == "brain-cousens" and fit.evidence_ratio > 1 for fit in hits if fit.p < 0.005)


def test_prompts_shared_by_all_arms_do_not_hide_a_dip() -> None:
    rng = np.random.default_rng(2)
    hard = rng.normal(0, 40, 200)
    arms = [level + hard + rng.normal(0, 5, (3, 200)) for level in dip(6)(SIX)]
    dose = dose_of(list(SIX), arms)
    assert dose is not None
    fit = fit_dose(dose, draws=499)
    assert fit is not None and fit.supported


def test_isotonic_fits_are_sklearns() -> None:
    rng = np.random.default_rng(3)
    values, weights = rng.normal(size=(60, 6)), rng.random(6) + 0.5
    expected = [
        IsotonicRegression().fit(range(6), row, sample_weight=weights).predict(range(6)) for row in values
    ]
    np.testing.assert_allclose(isotonic(values, weights), expected, atol=1e-12)


def test_a_curve_without_noise_is_given_back() -> None:
    truth = np.array([20.0, 15.0, 250.0])
    e, b = np.array([0.1]), np.array([3.0])
    shares = np.linspace(0, 0.25, 9)
    values = design(shares, e, b)[0] @ truth
    family = HormeticFamily(shares, np.ones(9))
    fit = family.fit(values[None, :])
    assert float(fit.sse[0]) < 0.01 * float(((values - values.mean()) ** 2).sum())
    fine = np.linspace(0, 0.25, 1001)
    best = fine[(design(fine, e, b)[0] @ truth).argmin()]
    assert float(lowest_share(fit, shares)[0]) == pytest.approx(best, abs=0.015)


def test_too_little_gives_no_fit_and_an_end_is_never_an_optimum() -> None:
    assert dose_of(list(FOUR), [np.array([1.0])] * 4) is None
    three = dose_of([0, 0.1, 0.2], list(np.random.default_rng(4).normal(size=(3, 2))))
    assert three is not None and fit_dose(three) is None
    arms = [np.array([level, level + 0.1]) for level in (20.0, 10.0, 5.0, 0.0)]
    falling = dose_of(list(FOUR), arms)
    assert falling is not None
    fit = fit_dose(falling, draws=199)
    assert fit is not None and fit.optimum is None and fit.p == 1.0


def test_shares_in_any_order_are_one_dose() -> None:
    rng = np.random.default_rng(5)
    arms = list(rng.normal(size=(4, 3)))
    ascending, other = dose_of(list(FOUR), arms), dose_of(list(FOUR[::-1]), arms[::-1])
    assert ascending is not None and other is not None
    np.testing.assert_allclose(ascending.means, other.means)


def test_simulated_ratios_have_a_known_tail_where_one_pair_can_trade_places() -> None:
    """A rising truth, level over its first two arms: half the tail of F, where a curve fits every set."""

    class Exact(HormeticFamily):
        def fit(self, values: Floats) -> Hormetic:
            nothing = np.zeros(len(values))
            return Hormetic(nothing, nothing, nothing, np.zeros((len(values), 3)))

    variances, draws = np.array([0.5, 2.0, 1.0, 1.0]), 20_000
    dose = Dose(FOUR, np.zeros(4), variances, df=6)
    truth = np.array([0.0, 0.0, 100.0, 200.0])
    ratios = simulated_ratios(
        Exact(FOUR, 1 / variances), truth, dose, draws=draws, rng=np.random.default_rng(7)
    )
    for ratio in (0.5, 2.0, 5.0, 12.0):
        tail = stats.f.sf(ratio, 1, dose.df) / 2
        assert float((ratios >= ratio).mean()) == pytest.approx(tail, abs=4 * np.sqrt(tail / draws))


@pytest.mark.parametrize(
    ("shares", "means", "variances", "df"),
    [
        (FOUR, [1.2, 0.2, 0.0, 1.0], [0.2, 0.3, 0.2, 0.1], 4.0),
        (FOUR, [0.5, 0.9, 0.0, 1.5], [0.1, 0.1, 0.2, 0.1], 40.0),
        (SIX, [1.0, 0.4, 0.2, 0.3, 1.0, 1.1], [0.1] * 6, 12.0),
        (SIX, [0.0, 0.1, -0.6, 0.4, 0.9, 1.5], [0.1, 0.2, 0.1, 0.2, 0.1, 0.2], 8.0),
    ],
)
def test_p_evidence_and_detectable_dip_are_those_of_brute_force(
    shares: Floats, means: list[float], variances: list[float], df: float
) -> None:
    dose = Dose(shares, np.array(means), np.array(variances), df)
    other = brute_force.Dose(shares, np.array(means), np.array(variances), df)
    fit = fit_dose(dose)
    assert fit is not None
    p = other.p(draws=2000)
    assert fit.p == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 1000) + 1 / 2000)
    assert fit.evidence_ratio == pytest.approx(other.evidence(), rel=1e-9)
    assert other.power(2, detectable_dip(dose, 2), 0.05) == pytest.approx(0.8, abs=0.08)
    if fit.optimum is not None:
        place, optima = other.optimum()
        assert fit.optimum == pytest.approx(place)
        assert fit.optimum_low <= np.median(optima) <= fit.optimum_high  # type: ignore[operator]


def test_without_a_curve_that_dips_p_is_1_and_with_a_certain_dip_the_smallest_there_is() -> None:
    rising = fit_dose(Dose(FOUR, np.arange(4.0), np.full(4, 0.01), 9.0), draws=99)
    certain = fit_dose(Dose(FOUR, np.array([9.0, 3.0, 0.0, 9.0]), np.full(4, 0.01), 9.0), draws=99)
    assert rising is not None and certain is not None
    assert rising.p == 1.0 and certain.p == 0.01
