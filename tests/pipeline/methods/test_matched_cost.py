"""The search for a strength of given cost, on cost curves whose answer is known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hormesis.pipeline.methods.matched_cost import CostSearch


@given(
    scale=st.floats(1e-3, 3.0),
    power=st.floats(1.0, 4.0),
    target=st.sampled_from([0.02, 0.06, 0.15]),
)
def test_power_laws_are_matched_within_two_per_cent(scale: float, power: float, target: float) -> None:
    search = CostSearch(lambda s: (scale * s) ** power, limit=1e6)
    match = search.match(target)
    assert match.reached
    assert match.cost == pytest.approx(target, rel=0.02)
    assert match.strength == pytest.approx(target ** (1 / power) / scale, rel=0.03)


def test_later_targets_use_what_earlier_ones_measured() -> None:
    calls: list[float] = []

    def cost(strength: float) -> float:
        calls.append(strength)
        return 0.03 * strength**2

    search = CostSearch(cost, 64)
    for target in (0.02, 0.06, 0.15):
        assert search.match(target).reached
    assert len(calls) == len(set(calls)) <= 12


@pytest.mark.parametrize("slope", [0.7, 1.0, 1.4])
def test_a_start_where_another_direction_ended_needs_three_evaluations(slope: float) -> None:
    search = CostSearch(lambda s: 1e-5 * (slope * s) ** 2.2, 1e6, start=52.0)
    assert search.match(0.06).reached
    assert len(search.costs) - 1 <= 3


def test_a_cost_that_is_never_reached_gives_the_limit_and_says_so() -> None:
    match = CostSearch(lambda s: 0.001 * math.log1p(s), 64).match(0.06)
    assert (match.strength, match.reached) == (64, False)


def test_a_curve_that_first_falls_is_matched_where_it_rises() -> None:
    match = CostSearch(lambda s: -0.01 * s + 0.01 * s * s, 64).match(0.06)
    assert match.reached
    assert match.strength == pytest.approx(3.0, rel=0.02)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
@pytest.mark.parametrize(("low", "high"), [(2.0, math.inf), (1.0, 2.0), (0.0, math.inf)])
def test_a_model_that_breaks_under_a_strength_is_too_dear_there(
    broken: float, low: float, high: float
) -> None:
    search = CostSearch(lambda s: broken if low < s < high else 0.01 * s * s, 64, start=1.5)
    for target in (0.005, 0.02, 0.06):
        match, strength = search.match(target), 10 * math.sqrt(target)
        assert math.isfinite(match.cost)
        assert match.reached == (abs(match.cost - target) <= 0.02 * target)
        if strength <= low:
            assert match.reached and match.strength == pytest.approx(strength, rel=0.02)


def test_a_target_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        CostSearch(lambda s: s, 64).match(0.0)
