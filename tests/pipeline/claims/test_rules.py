"""Rules on studies whose truth is planted: yes, no, and cannot tell, each where it should."""

from __future__ import annotations

import numpy as np
import pytest

from hormesis.pipeline.claims.declared import (
    CANNOT_TELL,
    NO_DATA,
    REFUTED,
    SUPPORTED,
    Finding,
    Outcome,
    Scope,
)
from hormesis.pipeline.claims.evaluate import ALIKE, NEVER_FAILS
from hormesis.pipeline.claims.registry import CLAIMS
from hormesis.pipeline.statistics import contrast
from hormesis.pipeline.statistics.power import narrowest_margin
from hormesis.pipeline.study.config import load_study
from tests.benchmarks.bench_rules import RATES, coverage
from tests.planted_studies import LETTERS, TRUTHS, PlantedRows, reached, verdicts_of

HEADLINE = "C4-matched-10"
TOO_FEW = {"C2-cross-entropy", "C2-minimal-pairs", "R-rounding"}
"""Claims of likeness that `forum-full` has too few seeds, items or prompts to support, and says so."""
STYLE = "R-control-steered"
"""Holds where it is the style of the added text alone that makes models toxic."""
Verdicts = dict[str, tuple[Outcome, str]]


def verdicts_at(preset: str, truth: str) -> Verdicts:
    """Verdicts on one study of a preset's size, of the claims that have rows there."""
    verdicts = verdicts_of(PlantedRows(load_study(preset), TRUTHS[truth], seed=1))
    return {claim: pair for claim, pair in verdicts.items() if pair[1] != NO_DATA}


@pytest.mark.slow
def test_a_study_of_full_size_answers_either_way() -> None:
    """Each claim is supported on some planted truth, not supported on another, and knows what hides it."""
    by_truth = {truth: verdicts_at("forum-full", truth) for truth in TRUTHS}
    assert by_truth["helps"][HEADLINE][1] == SUPPORTED and by_truth["harms"][HEADLINE][1] == REFUTED
    assert len(by_truth["helps"]) == 42
    for claim in by_truth["helps"]:
        verdicts = {verdicts[claim][1] for verdicts in by_truth.values()}
        assert verdicts >= {REFUTED, CANNOT_TELL if claim in TOO_FEW else SUPPORTED}, (claim, verdicts)
    hidden = [claim for claim, (_, verdict) in by_truth["hidden"].items() if verdict == CANNOT_TELL]
    assert {HEADLINE, "C2-detection", "C3-mean", "C5-10", "R-entangled", "R-relearn"} < set(hidden)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["forum", "real", "real-mini", "wikipedia"])
def test_a_smaller_study_gives_no_wrong_answer(preset: str) -> None:
    """What it cannot tell it says, or leaves undecided."""
    helps, harms = (verdicts_at(preset, truth) for truth in ("helps", "harms"))
    assert REFUTED not in {verdict for claim, (_, verdict) in helps.items() if claim != STYLE}
    assert SUPPORTED not in {verdict for _, verdict in harms.values()}
    assert {SUPPORTED, CANNOT_TELL} <= {verdict for _, verdict in helps.values()}


@pytest.mark.slow
def test_a_small_study_says_that_it_cannot_tell() -> None:
    """Two seeds of 256 prompts, of which a handful is toxic: nothing that a dose could do would pass Holm."""
    finding, verdict = verdicts_at("forum", "nothing")[HEADLINE]
    assert verdict == CANNOT_TELL and isinstance(finding, Finding)
    assert finding.room is not None and finding.sees(0.05 / 5) is not None
    # A dose that triples the odds is told even there: the interval lies on the other side of none.
    assert verdicts_at("forum", "harms")[HEADLINE][1] == REFUTED


def test_a_claim_that_cannot_fail_says_so() -> None:
    """Where next to nothing is toxic unsteered, no dose can make it less."""
    hidden = verdicts_at("forum", "hidden")
    for claim, (outcome, _) in hidden.items():
        assert (NEVER_FAILS in outcome.detail) == (claim in ("C4-base", "R-control")), claim


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_a_scorer_that_says_one_thing_of_all_texts_tells_nothing(score: float) -> None:
    rows = PlantedRows(load_study("forum"), TRUTHS["helps"])
    for of_condition in rows._grids.values():
        of_condition.update({arm: np.full_like(grid, score) for arm, grid in of_condition.items()})
    verdicts = verdicts_of(rows)
    for claim in (claim for claim in CLAIMS if claim.breadth != "study"):
        assert verdicts[claim.id][1] in (CANNOT_TELL, NO_DATA), claim.id
    assert ALIKE in verdicts[HEADLINE][0].detail


def test_a_condition_under_which_a_seed_says_nothing_is_no_step_of_a_cost_curve() -> None:
    """One seed's scores stood for those of both, and of three seeds the arrays did not fit."""
    low, scope, arm = "iti/mass_mean/cost-0.02", Scope("prompts", "judge"), ("toxic", 0.1)
    rival = next(claim for claim in CLAIMS if claim.id == "C4-vs-prompt")
    outcomes = []
    for seeds in ([0, 1], [0, 1, 2]):
        for emptied in (True, False):
            rows = PlantedRows(
                load_study("forum").model_copy(update={"seeds": tuple(seeds)}), TRUTHS["helps"]
            )
            of_condition = rows.grids(low, scope.prompt_set, scope.scorer)
            of_condition.update({arm: of_condition[arm][1:]} if emptied else {})
            if not emptied:
                del of_condition[arm]
            outcomes.append(rival.test(rows, scope))
    for emptied, without in (outcomes[:2], outcomes[2:]):
        assert isinstance(emptied, Finding) and isinstance(without, Finding)
        assert (emptied.value, emptied.p) == (without.value, without.p)


def test_the_table_of_a_preset_has_a_row_for_each_claim_that_is_declared_there() -> None:
    *lines, last = reached(load_study("checkpoint"), 1)
    assert len(lines) == 2 and last.count(",") == 42
    assert set(LETTERS.values()) == set("SNCU")


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
