"""Claims on heads, stability and scorers: what is planted in rows is found, what is not is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sqlalchemy import Engine, delete, select, text

from hormesis.db import read
from hormesis.db.engine import open_writer
from hormesis.db.schema import Attack, AttackOutcome, Entanglement, Example, LensToken, ProbeGain, Score
from hormesis.db.write import write_session
from hormesis.pipeline.claims.declared import (
    CANNOT_TELL,
    NO_DATA,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Finding,
    Missing,
    Outcome,
    Scope,
    corrected,
    decide,
)
from hormesis.pipeline.claims.evaluate import evaluate
from hormesis.pipeline.claims.registry import CLAIMS
from hormesis.pipeline.claims.rows import StudyRows
from hormesis.pipeline.probing.head_accuracy import summarise_heads
from hormesis.pipeline.probing.head_hits import arm_hits, labels_of
from hormesis.pipeline.text.stand_ins import toxic_words
from tests.fixtures.read_queries import tradeoff
from tests.fixtures.shared_worlds import copy_database

SCOPE = Scope("forum-prompts", "forum")
STEERED = "iti/mass_mean/cost-0.06"
BY_ID = {claim.id: claim for claim in CLAIMS}


@pytest.fixture
def engine(small_database: Path, tmp_path: Path) -> Iterator[Engine]:
    """A copy of the seeded study for one test to change."""
    engine = open_writer(copy_database(small_database, tmp_path / "d.db"))
    yield engine
    engine.dispose()


def outcome_of(engine: Engine, claim: str) -> Outcome:
    return BY_ID[claim].test(StudyRows(engine, 1), SCOPE)


def verdict_alone(finding: Finding) -> str:
    """The verdict on a finding that is the only test of its family."""
    return decide(finding, corrected([finding])[0])


def finding(engine: Engine, claim: str) -> Finding:
    outcome = outcome_of(engine, claim)
    assert isinstance(outcome, Finding), outcome
    return outcome


def attack(
    engine: Engine, kind: str, setting: str, *, name: str, value: dict[str, float], spread: float = 0.3
) -> None:
    """One outcome in every arm, about `value` of a condition, the same in all shares."""
    rows = StudyRows(engine, 1)
    rng = np.random.default_rng(0)
    with write_session(engine) as session:
        for condition in rows.conditions[rows.conditions["key"].isin(value)].itertuples():
            row = Attack(
                checkpoint_id=condition.checkpoint, condition_id=condition.condition, key=f"{kind}/{setting}",
                kind=kind, setting=setting, data="d", scorer="s", rule="r", budget=1, budget_unit="tokens",
                parameters={}, input_hash="x",
            )  # fmt: skip
            session.add(row)
            session.flush()
            number = value[str(condition.key)] + rng.normal(0, spread)
            session.add(
                AttackOutcome(attack_id=row.id, name=name, value=number, unit="points", n=64, interval="")
            )


@pytest.fixture
def bare(engine: Engine) -> Engine:
    """Without any attack."""
    with write_session(engine) as session:
        session.execute(delete(Attack))
    return engine


def test_head_claims_are_the_head_summaries(engine: Engine) -> None:
    with engine.connect() as connection:
        probe_set = int(connection.execute(text("SELECT id FROM probe_set")).scalar_one())
    arms, statements = arm_hits(engine, 1, probe_set, position="last")
    toxic, clusters = labels_of(engine, probe_set, statements)
    largest = max(share for kind, share in arms if kind == "toxic")
    for claim, name in (("C3-mean", "mean"), ("C3-tail", "p90")):
        difference = finding(engine, claim)
        summary = next(
            summary_of_arm
            for summary_of_arm in summarise_heads(arms, toxic, clusters, draws=500)
            if summary_of_arm.arm == ("toxic", largest) and summary_of_arm.name == name
        )
        assert difference.value == pytest.approx(100 * summary.difference)  # type: ignore[operator]
        ends = [100 * end for end in (summary.difference_low, summary.difference_high)]  # type: ignore[operator]
        assert (difference.low, difference.high) == pytest.approx(tuple(ends))
        assert difference.p == pytest.approx(summary.p) and difference.n == len(toxic)
        assert "statements" in difference.interval
    with write_session(engine) as session:
        session.execute(text("DELETE FROM probe_hits"))
    assert isinstance(outcome_of(engine, "C3-mean"), Missing)


def test_toxic_words_are_twice_as_frequent_in_toxic_statements() -> None:
    rows = [("Bad tea", 1)] * 6 + [("good tea", 0)] * 12 + [("bad sea", 0)] * 5 + [("odd", 1)] * 4
    scores = toxic_words(pd.DataFrame(rows, columns=["text", "label"]))
    # Of 10 toxic and 17 other statements: bad 6 and 5 (.60 and .29), tea 6 and 12 (.60 and .71).
    assert scores == {"bad": 1.0, "tea": 0.0, "good": 0.0, "sea": 0.0}


@pytest.mark.parametrize(("raised", "verdict"), [(True, SUPPORTED), (False, CANNOT_TELL)])
def test_words_of_planted_directions(engine: Engine, raised: bool, verdict: str) -> None:
    with write_session(engine) as session:
        for place, example in enumerate(session.scalars(select(Example).where(Example.split != "train"))):
            example.text = f"{'vile' if example.label == 1 else 'kind'} words {place}"
        for token in session.scalars(select(LensToken)):
            often = 5 if raised and token.side == "top" else 2
            token.token = " Vile" if (token.rank + token.head + token.checkpoint_id) % 6 < often else "kind"
    words = finding(engine, "C3-words")
    assert words.value == pytest.approx(50 if raised else 0, abs=4)
    assert verdict_alone(words) == verdict


@pytest.mark.parametrize(("fall", "verdict"), [(0.3, SUPPORTED), (0.0, UNDECIDED), (-0.3, REFUTED)])
def test_entanglement_that_falls_with_the_share(engine: Engine, fall: float, verdict: str) -> None:
    rows = StudyRows(engine, 1)
    shares = rows.checkpoints.set_index("checkpoint")["share"]
    rng = np.random.default_rng(2)
    with write_session(engine) as session:
        for cell in session.scalars(select(Entanglement)):
            share = float(shares.get(cell.checkpoint_id, 0.0))
            cell.value = 0.5 - fall * share / 0.25 + rng.normal(0, 0.03)
    drop = finding(engine, "R-entangled")
    assert drop.value == pytest.approx(-fall, abs=0.05) and verdict_alone(drop) == verdict


@pytest.mark.parametrize(
    ("claim", "baseline", "subset"),
    [
        ("R-gain-embeddings", "embeddings", "all"),
        ("R-gain-step-0", "untrained", "all"),
        ("R-gain-same-words", "words", "matched"),
    ],
)
@pytest.mark.parametrize(("rise", "verdict"), [(0.2, SUPPORTED), (0.0, UNDECIDED), (-0.2, REFUTED)])
def test_gains_over_each_baseline_that_rise_with_the_share(
    engine: Engine, claim: str, baseline: str, subset: str, rise: float, verdict: str
) -> None:
    checkpoints = StudyRows(engine, 1).checkpoints.set_index("checkpoint")
    with write_session(engine) as session:
        for gain in session.scalars(select(ProbeGain)):
            if gain.baseline == baseline and gain.heads == "selected":
                share, seed = checkpoints.loc[gain.checkpoint_id, ["share", "seed"]]
                gain.value = 0.05 + rise * share / 0.25 + 0.02 * (-1) ** int(seed)
                gain.subset = subset
    more = finding(engine, claim)
    assert more.value == pytest.approx(100 * rise) and more.unit == "points of AUROC"
    assert verdict_alone(more) == verdict


@pytest.mark.parametrize(
    ("steered", "plain", "verdict"), [(8.0, 0.0, SUPPORTED), (0.0, 0.0, REFUTED), (-9.0, 0.0, REFUTED)]
)
def test_drift_is_that_of_steering_against_none(
    bare: Engine, steered: float, plain: float, verdict: str
) -> None:
    attack(bare, "long", "8x24", name="drift", value={STEERED: steered, "none": plain})
    drift = finding(bare, "R-drift")
    assert drift.value == pytest.approx(steered - plain, abs=0.5) and verdict_alone(drift) == verdict
    level = float(drift.detail.split("steering itself ")[1].split(" points")[0])
    assert level == pytest.approx(steered, abs=0.5) and drift.n == 64


@pytest.mark.parametrize(("change", "verdict"), [(0.2, SUPPORTED), (6.0, REFUTED)])
def test_rounding_is_a_test_of_equivalence(bare: Engine, change: float, verdict: str) -> None:
    attack(bare, "quantised", "int4", name="toxicity_change", value={STEERED: change, "none": 0.0})
    attack(bare, "quantised", "int8", name="toxicity_change", value={STEERED: 50.0, "none": 0.0})
    rounding = finding(bare, "R-rounding")
    assert rounding.value == pytest.approx(change, abs=0.3) and verdict_alone(rounding) == verdict


def test_every_setting_must_be_lowered(bare: Engine) -> None:
    for setting, steered in (("t1-p1", 5.0), ("t1-p0.5", 12.0)):
        attack(bare, "sampling", setting, name="toxicity", value={STEERED: steered, "none": 20.0})
    sampling = finding(bare, "R-sampling")
    assert sampling.value == pytest.approx(-8, abs=0.5) and "t1-p0.5 of 2" in sampling.detail
    assert verdict_alone(sampling) == SUPPORTED
    attack(bare, "sampling", "t0-p1", name="toxicity", value={STEERED: 20.2, "none": 20.0})
    sampling = finding(bare, "R-sampling")
    assert "t0-p1 of 3" in sampling.detail and sampling.p is not None and sampling.p > 0.05
    assert verdict_alone(sampling) == REFUTED


def test_an_intersection_union_is_no_easier_than_its_hardest_setting(bare: Engine) -> None:
    """p is the largest of the settings' own, not the smallest nor that of a mean."""
    spreads = {"t1-p1": 0.1, "t2-p1": 12.0}
    for setting, spread in spreads.items():
        attack(bare, "sampling", setting, name="toxicity", value={STEERED: 0.0, "none": 20.0}, spread=spread)
    sampling = finding(bare, "R-sampling")
    with write_session(bare) as session:
        session.execute(delete(Attack).where(Attack.setting == "t1-p1"))
    alone = finding(bare, "R-sampling")
    assert sampling.p == pytest.approx(alone.p)


def test_scorers_are_compared_in_each_seed(engine: Engine) -> None:
    agreement = finding(engine, "R-scorer")
    trade = {
        name: tradeoff(engine, prompt_set="forum-prompts", scorer=name)
        for name in agreement.contrast.split(" and ")
    }
    merged = pd.merge(*trade.values(), on=["checkpoint_id", "condition_id"], suffixes=("", "_other"))
    merged = merged[merged["kind"].notna()]
    correlations = [
        stats.spearmanr(part["toxicity"], part["toxicity_other"]).statistic
        for _, part in merged.groupby("seed")
    ]
    assert agreement.n_seeds == len(correlations) == 2
    assert agreement.value == pytest.approx(np.tanh(np.mean(np.arctanh(correlations))), abs=0.02)
    reference = stats.ttest_1samp(np.arctanh(correlations), np.arctanh(0.8), alternative="greater")
    assert agreement.p == pytest.approx(reference.pvalue, abs=0.03)
    with write_session(engine) as session:
        session.execute(text("UPDATE score SET value = 0.25"))
    assert isinstance(outcome_of(engine, "R-scorer"), Missing)


def test_the_steered_control_is_the_arm_of_as_many_tokens(engine: Engine) -> None:
    rows = StudyRows(engine, 1)
    chosen = rows.conditions[rows.conditions["key"] == STEERED].merge(rows.checkpoints, on="checkpoint")
    with write_session(engine) as session:
        for condition in chosen.itertuples():
            level = 0.1 if condition.kind == "toxic" else 0.6
            session.execute(
                text(
                    "UPDATE score SET value = :level WHERE generation_id IN"
                    " (SELECT id FROM generation WHERE condition_id = :condition)"
                ).bindparams(level=level, condition=condition.condition)
            )
            session.execute(
                text("UPDATE score SET value = value + 0.01 * (generation_id % 3) WHERE generation_id IN"
                     " (SELECT id FROM generation WHERE condition_id = :condition)").bindparams(
                         condition=condition.condition)
            )  # fmt: skip
    contrast = finding(engine, "R-control-steered")
    # Means are .11 and .61 of 128 texts, with half a success and half a failure.
    steered, control = ((share * 128 + 0.5) / 129 for share in (0.11, 0.61))
    odds = steered / (1 - steered) / (control / (1 - control))
    assert contrast.value == pytest.approx(odds, rel=0.01)
    assert verdict_alone(contrast) == SUPPORTED and "11 against 61 points" in contrast.detail


def test_a_study_without_these_rows_says_what_it_needs(tiny_database: Path, tmp_path: Path) -> None:
    engine = open_writer(copy_database(tiny_database, tmp_path / "d.db"))
    with write_session(engine) as session:
        for table in ("attack", "probe_hits", "lens_token", "entanglement", "toy_experiment"):
            session.execute(text(f"DELETE FROM {table}"))
        session.execute(delete(Score))
    evaluate(engine, 1)
    table = read.verdicts(engine, 1)
    missing = table[table["claim"].isin(["C3-mean", "C3-words", "R-entangled", "R-drift", "R-sampling"])]
    assert (
        len(missing)
        and set(missing["status"]) == {NO_DATA}
        and missing["detail"].str.startswith("needs").all()
    )
