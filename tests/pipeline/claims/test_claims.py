"""Claims on rows: planted effects are found, absent rows said to be absent, a second run changes nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sqlalchemy import Engine, select, text

from hormesis.dashboard.base.verdicts import in_scope
from hormesis.db import paper, read
from hormesis.db.engine import open_reader, open_writer
from hormesis.db.schema import (
    Attack,
    AttackTrial,
    Condition,
    Generation,
    Score,
    ToyExperiment,
    ToyMeasure,
    ToyRun,
    Verdict,
)
from hormesis.db.write import read_session, upsert, write_session
from hormesis.pipeline.claims.compare import against, changes, mean_of
from hormesis.pipeline.claims.declared import (
    CANNOT_TELL,
    LATER,
    NO_DATA,
    ODDS,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Comparison,
    Corrected,
    Finding,
    Missing,
    Outcome,
    Scale,
    Scope,
    corrected,
    decide,
    directional,
    equivalent,
)
from hormesis.pipeline.claims.dips import fit_at
from hormesis.pipeline.claims.evaluate import _row, _tested, evaluate
from hormesis.pipeline.claims.registry import CLAIMS
from hormesis.pipeline.claims.rows import StudyRows, paper_dose
from hormesis.pipeline.commands.verdicts import UnknownStudy, study_of
from hormesis.pipeline.statistics import contrast
from hormesis.pipeline.statistics.multiplicity import holm
from hormesis.pipeline.toy.config import parse_config
from tests.fixtures.read_queries import tradeoff
from tests.fixtures.seeded_database import SMALL
from tests.fixtures.shared_worlds import copy_database
from tests.fixtures.tiny_study import command, environment

COST = "iti/mass_mean/cost-0.06"
STRONG = "iti/mass_mean/fixed-3"


@pytest.fixture(scope="module")
def engine(small_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return open_writer(copy_database(small_database, tmp_path_factory.mktemp("claims") / "d.db"))


def verdicts_of(engine: Engine, scorer: str = "forum", prompts: str = "forum-prompts") -> pd.DataFrame:
    table = in_scope(read.verdicts(engine, 1), prompts, scorer)
    return table.set_index("claim")


def plant(
    engine: Engine,
    condition: str,
    rate: Callable[[float], float],
    *,
    scorer: str = "forum",
    kinds: tuple[str, ...] | None = None,
) -> None:
    """Make the share of toxic texts under a condition what `rate` says of an arm's share."""
    rows = StudyRows(engine, 1)
    chosen = rows.conditions[rows.conditions["key"] == condition].merge(rows.checkpoints, on="checkpoint")
    chosen = chosen if kinds is None else chosen[chosen["kind"].isin(kinds)]
    with write_session(engine) as session:
        scorer_id = session.scalar(text("SELECT id FROM scorer WHERE name = :name").bindparams(name=scorer))
        for row in chosen.itertuples():
            ids = list(session.scalars(select(Generation.id).where(Generation.condition_id == row.condition)))
            rng = np.random.default_rng(int(row.checkpoint))
            hits = np.zeros(len(ids))
            hits[: round(rate(float(row.share)) * len(ids))] = 1.0
            values = [
                {"generation_id": number, "scorer_id": scorer_id, "value": float(value)}
                for number, value in zip(ids, rng.permutation(hits), strict=True)
            ]
            upsert(session, Score, values, on=("generation_id", "scorer_id"))


def test_the_registry_is_complete_and_its_ids_are_unique() -> None:
    ids = [claim.id for claim in CLAIMS]
    assert len(set(ids)) == len(ids)
    assert {claim_id.split("-")[0] for claim_id in ids} == {"C1", "C2", "C3", "C4", "C5", "R"}
    for claim in CLAIMS:
        assert claim.question.endswith("?") and claim.estimand and claim.rows and "upported" in claim.rule
    claim_ids = {claim.id for claim in CLAIMS}
    assert set(paper._file()["claims"]) <= claim_ids
    assert all(
        "†" in paper.figure(claim_id).text
        for claim_id in claim_ids
        if paper.figure(claim_id).value is not None
    )


@pytest.fixture
def emptied(tiny_database: Path, tmp_path: Path) -> Engine:
    """A small study without attacks, capability or rival methods."""
    engine = open_writer(copy_database(tiny_database, tmp_path / "d.db"))
    with write_session(engine) as session:
        for table in ("attack", "capability_score", "toy_experiment"):
            session.execute(text(f"DELETE FROM {table}"))
        session.execute(text("DELETE FROM condition WHERE method NOT IN ('none', 'iti', 'random-direction')"))
        session.execute(text("DELETE FROM condition WHERE direction_method = 'second'"))
    evaluate(engine, 1)
    return engine


def test_every_claim_has_a_row_and_what_lacks_rows_says_what_it_needs(emptied: Engine) -> None:
    table = verdicts_of(emptied)
    assert list(table.sort_values("position").index) == [claim.id for claim in CLAIMS]
    assert {claim.id for claim in CLAIMS if LATER in table.loc[claim.id, "rule"]} == {
        "C3-words", "R-entangled", "R-control-steered", "R-drift", "R-sampling", "R-rounding",
    }  # fmt: skip
    for claim in ("C2-multiple-choice", "C5-10", "R-relearn", "C4-vs-dpo", "R-slung", "C1-literal"):
        assert table.loc[claim, "status"] == NO_DATA
        assert table.loc[claim, "detail"].startswith("needs ")
        assert pd.isna(table.loc[claim, "value"]) and pd.isna(table.loc[claim, "p"])


def test_a_value_is_the_odds_ratio_of_the_scores(engine: Engine) -> None:
    row = verdicts_of(engine).loc["C4-base"]
    trade = tradeoff(engine, prompt_set="forum-prompts", scorer="forum")
    none = trade[(trade["condition"] == "none") & (trade["kind"] == "toxic")]
    # Half a success and half a failure of 2 seeds x 64 prompts.
    shares = (none.groupby("share")["toxicity"].mean() / 100 * 128 + 0.5) / 129
    odds = shares / (1 - shares)
    assert row["value"] == pytest.approx(odds[0.25] / odds[0.0]) and row["unit"] == "odds ratio"
    assert row["low"] < row["value"] < row["high"] and row["contrast"] == "25 % less 0 %"
    assert row["n"] == 64 and row["n_seeds"] == 2 and row["room"] > row["detectable"] > 1
    # 64 prompts and 2 seeds: planted, and found before the correction at least.
    assert row["p"] < 0.05 and (row["status"] == SUPPORTED) == (row["p_holm"] <= 0.05)


def test_holm_runs_once_for_each_test_within_its_family(engine: Engine) -> None:
    table = read.verdicts(engine, 1)
    assert not table.duplicated(["claim", "prompt_set", "scorer"]).any()
    claims = {claim.id: claim for claim in CLAIMS}
    assert table["claim"].map(lambda name: claims[name].breadth == "study").equals(table["prompt_set"].isna())
    family = table["claim"].map(lambda name: claims[name].tested_with)
    for _, tested in table[table["p"].notna()].groupby([family, "prompt_set", "scorer"], dropna=False):
        np.testing.assert_allclose(tested["p_holm"], holm(tested["p"].to_numpy()))
        assert (tested["tests"] == len(tested)).all()


def test_a_second_evaluation_changes_nothing(engine: Engine) -> None:
    def everything() -> list[tuple[object, ...]]:
        with read_session(engine) as session:
            rows = session.execute(select(*Verdict.__table__.columns).order_by(Verdict.id))
            return [tuple(row) for row in rows]

    before, fits = everything(), read.dose_fits(engine, 1)
    evaluate(engine, 1)
    assert everything() == before
    pd.testing.assert_frame_equal(read.dose_fits(engine, 1), fits)


def test_a_planted_dip_is_supported_and_its_place_told(small_database: Path, tmp_path: Path) -> None:
    planted = open_writer(copy_database(small_database, tmp_path / "dip.db"))
    plant(planted, COST, lambda share: 0.2 if 0 < share < 0.2 else 0.75)
    plant(planted, STRONG, lambda share: 0.1 + 2 * share)
    evaluate(planted, 1)
    table = verdicts_of(planted)
    assert table.loc["C4-matched-10", "status"] == SUPPORTED
    assert table.loc["C4-matched-10", "value"] == pytest.approx((0.2 / 0.8) / (0.75 / 0.25), rel=0.15)
    assert table.loc["C4-matched-dip", "status"] == SUPPORTED
    assert table.loc["C4-fixed-10", "status"] == REFUTED
    assert table.loc["C4-fixed-dip", "status"] in (REFUTED, UNDECIDED, CANNOT_TELL)
    fits = read.dose_fits(planted, 1).query("scorer == 'forum' and prompt_set == 'forum-prompts'")
    fits = fits.set_index("condition_key")
    assert fits.loc[COST, "status"] == "hormetic"
    assert 0 < fits.loc[COST, "optimum"] < 0.25
    assert fits.loc[COST, "optimum_low"] <= 0.1 <= fits.loc[COST, "optimum_high"]
    assert min(fits.loc[COST, "curve"]["value"]) < 40
    assert pd.isna(fits.loc[STRONG, "optimum"]) and fits.loc[STRONG, "model"] == "isotonic"


def test_arms_that_never_vary_do_not_make_dips(small_database: Path, tmp_path: Path) -> None:
    """Control arms at 0 say nothing of how much seeds of the toxic series differ."""
    calm = open_writer(copy_database(small_database, tmp_path / "calm.db"))
    scope = Scope("forum-prompts", "forum")
    before = fit_at(StudyRows(calm, 1), scope, COST)
    plant(calm, COST, lambda share: 0.0, kinds=("clean-forum",))
    after = fit_at(StudyRows(calm, 1), scope, COST)
    assert not isinstance(before, Missing) and not isinstance(after, Missing)
    assert before.response.p == after.response.p and set(before.means) == set(after.means)
    assert {kind for kind, _ in after.means} == {"toxic"}


def add_toys(engine: Engine, config_hash: str, excess: dict[tuple[float, int], float]) -> None:
    """Runs of the disjoint setting whose rare features are this much more entangled than the controls."""
    with write_session(engine) as session:
        experiment = session.scalar(select(ToyExperiment.id).where(ToyExperiment.hash == config_hash))
        if experiment is None:
            row = ToyExperiment(
                hash=config_hash, setting="disjoint", config={}, features=12, dimensions=4, welch=0.4,
                null_absolute=0.84, null_signed=0.7, packages={},
            )  # fmt: skip
            session.add(row)
            session.flush()
            experiment = row.id
        for (share, seed), value in excess.items():
            run = ToyRun(
                experiment_id=experiment, share=share, seed=seed, rare_loss=1, control_loss=1,
                rare_accuracy=0.5, control_accuracy=1,
            )  # fmt: skip
            session.add(run)
            session.flush()
            for probe, size in (("means", value), ("balanced", value / 2)):
                session.add(
                    ToyMeasure(
                        run_id=run.id, network="trained", probe=probe, rare_absolute=0.8 + size,
                        control_absolute=0.8, rare_signed=0, control_signed=0, rare_norm=1, control_norm=1,
                        vectors=b"",
                    )
                )  # fmt: skip


def test_toy_rows_are_tested_by_seed(emptied: Engine) -> None:
    rng = np.random.default_rng(0)
    excess = {(share, seed): rng.normal(0.15 if share < 0.1 else 0.02, 0.02) for share in (0.003, 0.01, 1.0)
              for seed in range(6)}  # fmt: skip
    add_toys(emptied, parse_config({"setting": "disjoint"}).hash, excess)
    # Neither other options, however many runs they have, nor seeds beyond those declared move the verdict.
    add_toys(emptied, "other options", {(share, seed): -1.0 for share in (0.003, 1.0) for seed in range(30)})
    add_toys(emptied, parse_config({"setting": "disjoint"}).hash, {(0.01, 11): -9.0, (1.0, 11): 9.0})
    evaluate(emptied, 1)
    row = verdicts_of(emptied, prompts="forum-prompts").loc["C1-disjoint"]
    differences = [np.mean([excess[s, seed] for s in (0.003, 0.01)]) - excess[1.0, seed] for seed in range(6)]
    reference = stats.ttest_1samp(differences, 0)
    assert row["status"] == SUPPORTED and row["n_seeds"] == 6
    assert row["value"] == pytest.approx(np.mean(differences)) and row["p"] == pytest.approx(reference.pvalue)
    assert (row["low"], row["high"]) == pytest.approx(tuple(reference.confidence_interval()))
    assert f"logistic probes {np.mean(differences) / 2:+.3f}" in row["detail"] and row["n"] == 18


def test_attacks_are_compared_by_goal_and_seed(emptied: Engine) -> None:
    rows = StudyRows(emptied, 1)
    rng = np.random.default_rng(1)
    with write_session(emptied) as session:
        for condition in rows.conditions[rows.conditions["key"].isin(["none", STRONG])].itertuples():
            attack = Attack(
                checkpoint_id=condition.checkpoint, condition_id=condition.condition, key="suffix/gcg",
                kind="suffix", setting="gcg", data="g", scorer="s", rule="r", budget=1, budget_unit="steps",
                parameters={}, input_hash="x",
            )  # fmt: skip
            session.add(attack)
            session.flush()
            chance = 0.9 if condition.key == "none" else 0.2
            for goal in range(40):
                session.add(
                    AttackTrial(
                        attack_id=attack.id, position=goal, goal=f"goal {goal}", prompt="", text="",
                        success=bool(rng.random() < chance), score=0,
                    )
                )  # fmt: skip
    evaluate(emptied, 1)
    row = verdicts_of(emptied).loc["C5-steer"]
    assert row["p"] < 0.05 and row["n"] == 40 and row["high"] < 1
    with read_session(emptied) as session:
        query = select(Condition.key, AttackTrial.success).join(Attack, Attack.condition_id == Condition.id)
        trials = pd.DataFrame(session.execute(query.join(AttackTrial)).all(), columns=["key", "success"])
    rates = trials.groupby("key")["success"].mean()
    # The mean over two arms of their odds ratios; both have about the same.
    odds = rates / (1 - rates)
    assert row["value"] == pytest.approx(odds[STRONG] / odds["none"], rel=0.1)
    # A reader of two rates would test them so; both must see what is planted.
    counts = trials.groupby("key")["success"].agg(["sum", "count"])
    table = [[c["sum"], c["count"] - c["sum"]] for _, c in counts.iterrows()]
    assert stats.fisher_exact(table).pvalue < 1e-6
    assert verdicts_of(emptied).loc["C5-10", "status"] in (UNDECIDED, REFUTED, CANNOT_TELL)


def test_rules_of_decision() -> None:
    def finding(value: float, p: float, *, excluded: bool = False, seeds: int = 2, best_p: float = 0.0,
                opposed: bool = False) -> Finding:  # fmt: skip
        return Finding(
            value=value, low=value - 1, high=value + 1, unit="points", n=10, n_seeds=seeds, p=p, contrast="",
            detail="", claimed=value > 0, excluded=excluded, best_p=best_p, opposed=opposed,
        )  # fmt: skip

    def verdict(outcome: Outcome, *others: Outcome) -> str:
        return decide(outcome, corrected([outcome, *others])[0])

    other = finding(1, 0.5)
    assert verdict(finding(1, 0.01), other) == SUPPORTED
    assert verdict(finding(1, 0.03), other) == UNDECIDED
    assert verdict(finding(-1, 0.01, excluded=True)) == REFUTED
    # A true effect that is shown to be too small to matter is not what was claimed.
    assert verdict(finding(1, 0.01, excluded=True)) == REFUTED
    assert verdict(finding(1, 0.01, seeds=1)) == CANNOT_TELL
    assert verdict(finding(-1, 0.9, excluded=True, best_p=0.03)) == REFUTED
    # The best case is corrected like any other: .03 passes alone and not with another test.
    assert verdict(finding(-1, 0.9, excluded=True, best_p=0.03), other) == CANNOT_TELL
    assert verdict(finding(-1, 0.9, excluded=True, best_p=0.9, opposed=True)) == REFUTED
    assert verdict(finding(1, 0.9, best_p=0.9)) == CANNOT_TELL
    # A single prompt, and answers that never vary, tell nothing however surely.
    assert verdict(replace(finding(-1, 0.01, excluded=True, opposed=True), n=1)) == CANNOT_TELL
    assert verdict(replace(finding(1, 0.01), varies=False)) == CANNOT_TELL
    assert verdict(Missing("needs rows")) == NO_DATA
    corrections = corrected([finding(1, 0.01), Missing(""), finding(1, 0.04)])
    assert [correction.p for correction in corrections] == [0.02, None, 0.04]
    assert {correction.tests for correction in corrections} == {2}


@pytest.mark.parametrize(
    ("clean", "verdict"), [((60, 62), REFUTED), ((2, 3), CANNOT_TELL)], ids=["room", "no room"]
)
def test_what_the_scale_leaves_no_room_for_is_not_refuted(clean: tuple[int, int], verdict: str) -> None:
    """Two seeds of 256 texts, of which so many are toxic: below two or three there is nothing to see."""
    rng = np.random.default_rng(0)

    def arm(counts: tuple[int, int]) -> np.ndarray:
        return np.stack([rng.permutation(np.repeat([1.0, 0.0], [count, 256 - count])) for count in counts])

    arms = {("toxic", 0.0): arm(clean), ("toxic", 0.1): arm(clean), ("toxic", 0.25): arm((70, 75))}
    effect = against(arms, ("toxic", 0.1), ("toxic", 0.0), scale=ODDS, sign=-1)
    finding = directional(effect, -1, 1 / 1.5, scale=ODDS, contrast="10 % less 0 %")
    assert isinstance(finding, Finding) and finding.room is not None and finding.room < 0.3
    assert decide(finding, corrected([finding])[0]) == verdict
    spotless = arms | {("toxic", 0.1): np.zeros((2, 256))}
    best = against(spotless, ("toxic", 0.1), ("toxic", 0.0), scale=ODDS, sign=-1)
    assert isinstance(best, Comparison) and ODDS.display(best.effect.value) == pytest.approx(finding.room)


def test_n_counts_prompts_that_some_arm_has_an_answer_to() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 2, (2, 40)).astype(float) for _ in range(2))
    first[:, :9], second[:, 4:12] = np.nan, np.nan  # 5 prompts that no text of either arm answers
    arms = {("toxic", 0.1): first, ("toxic", 0.0): second}
    effect = against(arms, *arms, scale=ODDS, sign=-1)
    change = mean_of(changes({("toxic", 0.1): first}, {("toxic", 0.1): second}, scale=ODDS, sign=-1))
    assert isinstance(effect, Comparison) and effect.effect.n == 35
    assert isinstance(change, Comparison) and change.effect.n == 35


def test_the_effect_that_was_found_is_one_that_the_scale_allows() -> None:
    """A Wald test of log-odds may find it more surely than any nearer the end of the scale."""
    rng, arm = np.random.default_rng(8), ("toxic", 0.1)
    before = (rng.random((2, 60)) < 0.15).astype(float)
    after = before * (rng.random((2, 60)) < 0.4)
    before[:, ::2] = after[:, ::2] = np.nan
    change = mean_of(changes({arm: after}, {arm: before}, scale=ODDS, sign=-1))
    finding = directional(change, -1, 1 / 1.5, scale=ODDS, contrast="steered less unsteered")
    assert isinstance(finding, Finding) and isinstance(change, Comparison)
    assert finding.best_p == finding.p == change.effect.p_value()
    assert finding.p < min(extreme.p_value() for extreme in change.extremes if extreme.value < 0)


def test_arms_that_are_not_there_are_named() -> None:
    arms = {
        ("toxic", 0.0): np.zeros((2, 4)),
        ("toxic", 0.05): np.ones((2, 4)),
        ("toxic", 0.15): np.ones((2, 4)),
    }
    assert paper_dose(arms) == 0.05 and paper_dose({("toxic", 0.0): np.zeros(2)}) is None
    missing = against(arms, ("toxic", 0.25), ("toxic", 0.0), scale=ODDS, sign=-1)
    assert isinstance(missing, Missing) and "25 %" in missing.detail
    none = changes(arms, {("toxic", 0.0): np.zeros((1, 4))}, scale=ODDS, sign=-1)
    assert none.means == {} and isinstance(mean_of(none), Missing)


def test_an_arm_that_is_half_scored_is_left_out(tiny_database: Path, tmp_path: Path) -> None:
    half = open_writer(copy_database(tiny_database, tmp_path / "half.db"))
    grids = StudyRows(half, 1).grids("none", "forum-prompts", "forum")
    assert {arm: grid.shape for arm, grid in grids.items()} == {
        ("toxic", 0.0): (2, 8),
        ("toxic", 0.25): (2, 8),
    }
    with write_session(half) as session:
        session.execute(text("DELETE FROM score WHERE generation_id = (SELECT max(g.id) FROM generation g"
                             " JOIN condition c ON c.id = g.condition_id WHERE c.key = 'none')"))  # fmt: skip
    assert StudyRows(half, 1).grids("none", "forum-prompts", "forum")["toxic", 0.25].shape == (1, 8)


def test_arrays_of_one_length_are_of_the_same_seeds(tiny_database: Path, tmp_path: Path) -> None:
    """Each of two conditions lost another seed: seed 1 of one was paired with seed 0 of the other."""
    lost = open_writer(copy_database(tiny_database, tmp_path / "lost.db"))
    arm = ("toxic", 0.25)
    for seed, key in ((0, COST), (1, "none")):
        of_seed = (
            "SELECT max(g.id) FROM generation g JOIN condition k ON k.id = g.condition_id JOIN checkpoint c"
            " ON c.id = k.checkpoint_id JOIN arm a ON a.id = c.arm_id"
            " WHERE a.kind = 'toxic' AND a.share = 0.25 AND a.seed = :seed AND k.key = :key"
        )
        with write_session(lost) as session:
            session.execute(
                text(f"DELETE FROM score WHERE generation_id = ({of_seed})"), {"seed": seed, "key": key}
            )
    rows = StudyRows(lost, 1)
    first, second = (rows.grids(key, "forum-prompts", "forum") for key in (COST, "none"))
    assert arm not in first and second[arm].shape == (1, 8)
    change = changes(first, second, scale=ODDS, sign=-1)
    assert arm not in change.means and change.means["toxic", 0.0].seeds == 2


def test_an_arm_with_an_empty_text_is_whole_without_its_score(tiny_database: Path, tmp_path: Path) -> None:
    some = open_writer(copy_database(tiny_database, tmp_path / "empty.db"))
    with write_session(some) as session:
        empty = session.execute(text("SELECT max(g.id) FROM generation g JOIN condition c ON c.id ="
                                     " g.condition_id WHERE c.key = 'none'")).scalar_one()  # fmt: skip
        session.execute(text("UPDATE generation SET text = ' \n' WHERE id = :id"), {"id": empty})
        session.execute(text("DELETE FROM score WHERE generation_id = :id"), {"id": empty})
    grids = StudyRows(some, 1).grids("none", "forum-prompts", "forum")
    assert {arm: len(grid) for arm, grid in grids.items()} == {("toxic", 0.0): 2, ("toxic", 0.25): 2}


def test_a_study_without_scores_has_verdicts_that_say_so(tmp_path: Path) -> None:
    from hormesis.db.schema import Study

    begun = open_writer(f"sqlite:///{tmp_path / 'begun.db'}")
    with write_session(begun) as session:
        session.add(Study(hash="a" * 16, name="begun", scale="nano", config={}, data_revisions={}))
    rows = evaluate(begun, 1)
    assert len(rows) == len(CLAIMS) and {row["status"] for row in rows} == {NO_DATA}


def test_the_command_prints_stores_and_refuses_in_one_line(tiny_database: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    url = copy_database(tiny_database, tmp_path / "home" / "hormesis.sqlite")
    run = subprocess.run(
        command("verdicts", "--json", "--scorer", "forum"), env=environment(tmp_path / "home"),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = json.loads(run.stdout)
    of_scorer = [claim for claim in CLAIMS if claim.breadth == "scorer"]
    assert len(rows) == len(of_scorer) and {"claim", "status", "p_holm", "detectable", "paper"} <= set(
        rows[0]
    )
    stored = read.verdicts(open_reader(url), 1)
    assert set(stored["claim"]) == {claim.id for claim in CLAIMS}
    bad = subprocess.run(
        command("verdicts", "nothing"), env=environment(tmp_path / "home"), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert bad.returncode == 2 and bad.stderr.count("\n") == 1 and "no study 'nothing'" in bad.stderr
    assert study_of(url, None) == study_of(url, "seeded test data")
    with pytest.raises(UnknownStudy):
        study_of(url, "other")


def test_the_papers_table_is_complete() -> None:
    table = paper.table()
    assert len(table) == 18 and table[["toxigen", "rtp", "cross_entropy"]].notna().all().all()
    assert "†" in paper.source() and SMALL.verdicts


def test_where_nothing_varies_nothing_is_decided(engine: Engine) -> None:
    """An attack that never succeeds and a task that all solve have intervals without width."""

    def test(rows: StudyRows, scope: Scope) -> Outcome:
        effect = contrast([np.full(3, 0.5), np.full(3, 0.5)], [1.0, -1.0])
        assert effect is not None
        return equivalent(Comparison(effect), 0.1, scale=Scale("points"), contrast="alike")

    rows = StudyRows(engine, 1)
    finding = _tested(replace(CLAIMS[0], test=test), rows, Scope("forum-prompts", "forum"))
    assert isinstance(finding, Finding) and finding.low == finding.high == 0 and finding.p is None
    assert decide(finding, corrected([finding])[0]) == CANNOT_TELL and "cannot tell" in finding.detail
    row = _row(
        1,
        CLAIMS[0],
        scope=Scope("forum-prompts", "forum"),
        outcome=finding,
        correction=Corrected(None, None, 3),
    )
    assert row["p"] is None and row["tests"] is None, "without a test it is corrected with none"
