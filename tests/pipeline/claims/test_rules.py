"""Rules on studies whose truth is planted: yes, no, and cannot tell, each where it should."""

from __future__ import annotations

import numpy as np
import pytest

from hormesis.pipeline.claims.declared import CANNOT_TELL, REFUTED, SUPPORTED
from hormesis.pipeline.statistics import contrast
from hormesis.pipeline.statistics.power import narrowest_margin
from tests.benchmarks.bench_rules import RATES, coverage
from tests.planted_studies import DEMO, FULL, TRUTHS, PlantedRows, verdicts_of

HEADLINE = "C4-matched-10"


@pytest.mark.slow
def test_a_study_of_full_size_answers_either_way() -> None:
    """Each claim on scores is supported on some planted truth and not supported on another."""
    verdicts = {truth: verdicts_of(PlantedRows(FULL, TRUTHS[truth], seed=1)) for truth in TRUTHS}
    assert verdicts["helps"][HEADLINE][1] == SUPPORTED and verdicts["harms"][HEADLINE][1] == REFUTED
    for claim in verdicts["helps"]:
        reached = {of_truth[claim][1] for of_truth in verdicts.values()}
        assert {SUPPORTED, REFUTED} <= reached, (claim, reached)


@pytest.mark.slow
def test_a_small_study_says_that_it_cannot_tell() -> None:
    """Two seeds of 256 prompts, of which a handful is toxic: nothing that a dose could do would pass Holm."""
    finding, verdict = verdicts_of(PlantedRows(DEMO, TRUTHS["nothing"], seed=1))[HEADLINE]
    assert verdict == CANNOT_TELL
    assert finding.room is not None and finding.sees(0.05 / 5) is not None
    # A dose that triples the odds is told even there: the interval lies on the other side of none.
    assert verdicts_of(PlantedRows(DEMO, TRUTHS["harms"], seed=1))[HEADLINE][1] == REFUTED


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_intervals_of_odds_cover_at_their_rate(seeds: int, spread: float) -> None:
    """With 150 trials three standard errors are 5.3 points."""
    for part in coverage(RATES["rare"], seeds, spread, trials=150).values():
        assert 0.89 <= part <= 1.0


def test_the_narrowest_margin_is_what_a_simulation_finds() -> None:
    rng = np.random.default_rng(0)
    hits, margins = 0, []
    for _ in range(400):
        effect = contrast(list(rng.normal(0, 1, (2, 8))), [1, -1])
        assert effect is not None
        margins.append(narrowest_margin(effect))
    margin = float(np.median(margins))
    for _ in range(400):
        effect = contrast(list(rng.normal(0, 1, (2, 8))), [1, -1])
        assert effect is not None
        hits += effect.equivalence(margin) <= 0.05
    assert hits / 400 == pytest.approx(0.8, abs=0.08)
