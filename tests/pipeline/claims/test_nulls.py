"""ITI against null directions: claims on planted truths, and the rows of each arm against a hand count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sqlalchemy import text

from hormesis.db import read
from hormesis.db.contract.methods import NULL_KINDS
from hormesis.db.engine import open_writer
from hormesis.db.write import write_session
from hormesis.pipeline.claims.declared import REFUTED, SUPPORTED, Finding, corrected, decide
from hormesis.pipeline.claims.evaluate import evaluate
from hormesis.pipeline.claims.nulls import Nulls, nulls_of, percentile, rank_of_first
from hormesis.pipeline.claims.registry import CLAIMS
from hormesis.pipeline.statistics import contrast, of_one_model, with_draws
from hormesis.pipeline.statistics.arms import arm_mean, log_odds
from hormesis.pipeline.study.config import load_study
from tests.fixtures.shared_worlds import copy_database
from tests.planted_studies import SCOPE, TRUTHS, PlantedRows

TESTS = {kind: claim.test for claim in CLAIMS for kind in NULL_KINDS if claim.id == f"C4-{kind}"}


@pytest.mark.parametrize(
    ("random", "verdict", "rank"), [(0.95, SUPPORTED, "1 of 21"), (0.1, REFUTED, "21 of 21")]
)
def test_a_direction_that_alone_works_is_supported_and_nulls_that_work_refute(
    random: float, verdict: str, rank: str
) -> None:
    """Odds of toxicity under ITI are .35 of those unsteered, under each null direction `random`."""
    config = load_study("forum-full")
    config = config.model_copy(update={"variants": ()})
    adding = 2.5 if verdict == SUPPORTED else 0.5
    study = PlantedRows(config, replace(TRUTHS["nothing"], steering=0.35, random=random, adding=adding))
    sign = next(claim for claim in CLAIMS if claim.id == "C4-sign").test(study, SCOPE)
    assert decide(sign, corrected([sign])[0]) == verdict
    for kind, test in TESTS.items():
        outcome = test(study, SCOPE)
        assert isinstance(outcome, Finding) and decide(outcome, corrected([outcome])[0]) == verdict
        assert f"has rank {rank}" in outcome.detail and "20 " in outcome.contrast and kind != "isotropic"
    nulls = nulls_of(study, SCOPE, "permuted")
    assert isinstance(nulls, Nulls)
    tenth = study.grids("permuted-10/cost-0.06", SCOPE.prompt_set, SCOPE.scorer)
    assert all((nulls.directions[10][arm] == tenth[arm]).all() for arm in nulls.arms)
    falls = nulls.falls(nulls.arms)
    assert percentile(falls[:20]) == max(falls[1:20]) and rank_of_first(falls) == int(rank.split()[0])
    assert percentile(falls[:19]) is None, "18 directions have no 95th percentile"


def test_the_choice_of_directions_is_part_of_the_interval() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.2, 5)
    effect = contrast([rng.normal(0, 1, (2, 400))], [1.0])
    assert effect is not None
    wide = with_draws(effect, values)
    assert wide.error**2 == pytest.approx(effect.error**2 + values.var(ddof=1) / 5)
    # Where nothing else varies it is Student's t over the directions.
    alone = with_draws(replace(effect, seed_variance=1e-12, prompt_variance=0.0), values)
    half = stats.t.ppf(0.975, 4) * values.std(ddof=1) / np.sqrt(5)
    assert alone.reach() == pytest.approx(half, rel=1e-4)
    assert with_draws(effect, values[:1]) == effect


def test_rows_of_an_arm_are_of_the_prompts_that_null_directions_have(
    tiny_database: Path, tmp_path: Path
) -> None:
    """Three of the seeded study's random directions are called covariance-matched, of half the prompts; two
    ITI estimated anew.
    """
    engine = open_writer(copy_database(tiny_database, tmp_path / "d.db"))
    prompts = "SELECT id FROM prompt WHERE position % 2 = 1"
    with write_session(engine) as session:
        session.execute(
            text("UPDATE condition SET key = 'covariance-' || control || '/cost-0.06' WHERE control < 3")
        )
        session.execute(
            text("UPDATE condition SET key = 'resampled-' || control || '/cost-0.06' WHERE control > 2")
        )
        these = "SELECT id FROM condition WHERE key LIKE 'covariance%'"
        where = f"WHERE condition_id IN ({these}) AND prompt_id IN ({prompts})"
        session.execute(text(f"DELETE FROM score WHERE generation_id IN (SELECT id FROM generation {where})"))
        session.execute(text(f"DELETE FROM generation {where}"))
        session.execute(text("UPDATE checkpoint SET arm_id = NULL WHERE name = 'toxic-0-s1'"))
    evaluate(engine, 1)
    effects = rows = read.null_effects(engine, 1)
    chosen = {"kind": "toxic", "share": 0.25, "scorer": "forum", "prompt_set": "forum-prompts"}
    for name, value in chosen.items():
        rows = rows[rows[name] == value]
    row, anew = (rows.set_index("null_kind").loc[kind] for kind in ("covariance", "resampled"))
    assert list(rows["directions"]) == [3, 2] and row["percentile"] != row["percentile"]
    query = (
        "SELECT k.key, avg(s.value) * 100 FROM score s JOIN scorer r ON r.id = s.scorer_id"
        " JOIN generation g ON g.id = s.generation_id JOIN condition k ON k.id = g.condition_id"
        " JOIN checkpoint c ON c.id = k.checkpoint_id JOIN prompt p ON p.id = g.prompt_id"
        " JOIN prompt_set t ON t.id = p.prompt_set_id WHERE r.name = :scorer AND c.name LIKE :model"
        f" AND t.name = 'forum-prompts' AND p.id NOT IN ({prompts}) GROUP BY k.key"
    )
    with engine.connect() as connection:
        means, alone = (
            dict(connection.execute(text(query), {"model": model, "scorer": scorer}).all())
            for model, scorer in (("toxic-25-%", "forum"), ("toxic-0-s1", "tfidf"))
        )
        n = connection.execute(
            text("SELECT count(*) FROM prompt WHERE position % 2 = 0 AND prompt_set_id = 1")
        ).scalar()
    falls = [means["none"] - means[f"covariance-{number}/cost-0.06"] for number in range(3)]
    assert row["falls"]["points"] == pytest.approx(falls) and row["mean"] == pytest.approx(np.mean(falls))
    assert row["steered"] == pytest.approx(means["none"] - means["iti/mass_mean/cost-0.06"])
    assert row["rank"] == 1 + sum(fall >= row["steered"] for fall in falls) and row["n"] == n
    assert row["low"] < row["value"] < row["high"] and "3 directions" in row["interval"]
    assert np.isnan(row["direction_variance"]) and np.isnan(row["steered_low"])
    falls = [means["none"] - means[f"resampled-{number}/cost-0.06"] for number in (3, 4)]
    assert anew["rank"] is pd.NA and anew["percentile"] != anew["percentile"] and anew["n"] == 2 * n
    # Of their spread, what answers alone would give is taken off.
    assert 0 <= anew["direction_variance"] <= np.var(anew["falls"]["points"], ddof=1)
    assert anew["prompts_variance"] > 0 and anew["steered_low"] < anew["steered"] < anew["steered_high"]
    # An imported checkpoint speaks for itself: an interval over prompts and directions.
    is_model = (effects["kind"] == "imported:toxic-0-s1") & (effects["scorer"] == "tfidf")
    model = (
        effects[is_model & (effects["prompt_set"] == "forum-prompts")]
        .set_index("null_kind")
        .loc["covariance"]
    )
    falls = [alone["none"] - alone[f"covariance-{number}/cost-0.06"] for number in range(3)]
    assert model["falls"]["points"] == pytest.approx(falls) and model["n_seeds"] == 1
    assert model["low"] < model["value"] < model["high"] and "no seeds; and 3 directions" in model["interval"]
    engine.dispose()


def test_a_statement_about_one_model_is_students_t_over_prompts() -> None:
    values = np.random.default_rng(1).normal(0.3, 1, (1, 300))
    mean = of_one_model(arm_mean(values))
    expected = stats.t.interval(0.95, 299, values.mean(), stats.sem(values[0]))
    assert mean.interval() == pytest.approx(expected) and mean.n == 300
    # No text is toxic before or after: nothing is known exactly by that.
    none = log_odds(np.zeros((1, 64))) - log_odds(np.zeros((1, 64)))
    low, high = of_one_model(none).interval()
    assert low < -2 and high > 2
