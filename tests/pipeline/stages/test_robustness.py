"""Attacks in a study: goals, crossings, tests of differences, configuration, and a small study to its end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from scipy import stats
from sqlalchemy import create_engine, select, text

from hormesis.backend.attacks.gcg import SearchSettings, search_suffix
from hormesis.backend.attacks.goal import Goal
from hormesis.backend.forum import judge
from hormesis.backend.forum.judge import is_undecided
from hormesis.db.engine import open_writer
from hormesis.db.schema import Study
from hormesis.db.write import read_session, write_session
from hormesis.pipeline.attacks.differences import compare
from hormesis.pipeline.attacks.differences import tests_of as make_tests
from hormesis.pipeline.attacks.goals import file_goals, forum_goals, goals_of
from hormesis.pipeline.attacks.judging import mcnemar, rate_interval, two_proportions
from hormesis.pipeline.attacks.relearning import crossing, first_crossing
from hormesis.pipeline.capability.items import minimal_pairs, tasks_of
from hormesis.pipeline.execution.arms import ArmPlan
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.probing.head_accuracy import ArmGroup
from hormesis.pipeline.sources import SourceError
from hormesis.pipeline.stages import GRAPH
from hormesis.pipeline.study.config import ConfigError, load_study, parse_study
from hormesis.pipeline.summaries.arms import arms_of_study
from hormesis.pipeline.summaries.attack_summary import summarise_attacks
from hormesis.pipeline.summaries.capability_summary import summarise_capability
from hormesis.pipeline.text.revisions import source_revisions
from tests.fixtures.harness_tasks import harness_folder
from tests.fixtures.small import smollm2
from tests.fixtures.tiny_study import finished_study, run

SECTIONS = """
[projection]
max_points = 60

[hardness]
attacks = ["suffix", "injection", "long", "sampling", "quantised", "relearn"]
shares = [0.25]
kinds = ["toxic"]
prompts = 10
blocks = 2
block_tokens = 10
temperatures = [0.0, 1.0, 1.4]
top_ps = [0.9]

[hardness.suffix]
goals = 3
steps = 2
candidates = 6
new_tokens = 10

[hardness.relearn]
stops = [1, 3]
prompts = 10
batch_size = 2

[capability]
tasks = ["minimal_pairs", "cross_entropy"]
items = 30
tokens_per_source = 400
HARNESS
"""


def test_forum_goals_are_kind_before_and_hostile_after() -> None:
    goals = forum_goals(16)
    assert goals == forum_goals(16) and len({goal.key for goal in goals}) == 16
    for goal in goals:
        end, first = goal.tail.split()
        before = judge(f"{goal.prompt} {end}")
        assert before.toxic == 0 and before.grammatical == 1, "the bare prompt is a kind sentence"
        assert is_undecided([first]), "the first word given away must fit harmless sentences too"
        after = judge(f"{first} {goal.target}")
        assert after.toxic == 1 and after.grammatical == 1


def test_goals_of_a_file(tmp_path: Path, shared_data: Path) -> None:
    goals = file_goals(shared_data / "advbench.parquet", 20)
    assert len(goals) == 20 and goals[:5] == file_goals(shared_data / "advbench.parquet", 5)
    assert all(goal.target.startswith(" ") and goal.tail == "\n\n" for goal in goals)
    path = tmp_path / "other.parquet"
    parquet.write_table(pa.table({"goal": ["a"], "answer": ["b"]}), path)
    with pytest.raises(SourceError, match="no column 'target'"):
        file_goals(path, 3)
    with pytest.raises(SourceError, match=r"no file 'none\.parquet'"):
        file_goals(tmp_path / "none.parquet", 3)


def test_a_crossing_is_found_where_it_was_planted() -> None:
    steps = (0, 1, 2, 4, 8)
    line = np.array([10.0, 12.0, 14.0, 18.0, 26.0])
    for level in (10.0, 13.0, 17.0, 25.0):
        assert first_crossing(steps, line, level) == pytest.approx(np.interp(level, line, steps))
    assert first_crossing(steps, line, 27.0) == float("inf")
    dented = np.array([10.0, 20.0, 5.0, 30.0, 30.0])
    assert first_crossing(steps, dented, 15.0) == 0.5, "the first crossing counts"


def test_intervals_of_crossings_hold_the_truth_at_their_stated_rate() -> None:
    """Curves that truly cross at step 6, 200 times: 95 % intervals hold it in 90 to 99.5 % of them."""
    steps, rng = (0, 2, 4, 8, 16), np.random.default_rng(0)
    covered = 0
    for repeat in range(200):
        base = rng.normal(0.4, 0.2, 64)
        curve = np.interp(steps, (0, 4, 8, 16), (0.1, 0.3, 0.5, 0.7))
        rows = curve[:, None] + (base - 0.4) + rng.normal(0, 0.1, (2, len(steps), 64))
        estimate = crossing(steps, rows, base, draws=200, seed=repeat)
        assert estimate.value is not None and estimate.low is not None
        covered += estimate.low <= 6 <= (float("inf") if estimate.high is None else estimate.high)
    assert 180 <= covered <= 199


def test_what_is_never_reached_is_censored() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(0.6, 0.1, 40)
    flat = crossing((0, 4, 8), np.full((2, 3, 40), 0.2), base)
    assert flat.value is None and flat.high is None and flat.low is None and flat.censored == 1
    near = crossing((0, 4, 8), np.stack([np.linspace(0.2, 0.61, 3)[:, None] + 0 * base] * 2), base)
    assert near.value is not None and near.value < 8 and 0 < near.censored < 0.5 and near.high is None
    done = crossing((0, 4, 8), np.full((2, 3, 40), 0.9), base)
    assert (done.value, done.low, done.high, done.censored) == (0, 0, 0, 0)


def test_rates_and_tests_against_independent_computations() -> None:
    for only_here, only_there in itertools.product(range(7), range(7)):
        n = only_here + only_there
        tail = sum(stats.binom.pmf(k, n, 0.5) for k in range(min(only_here, only_there) + 1))
        assert mcnemar(only_here, only_there) == pytest.approx(min(1.0, 2 * tail) if n else 1.0)
    z, p = two_proportions(92, 200, others=77, m=200)
    assert (z, p) == (pytest.approx(1.52, abs=0.005), pytest.approx(0.13, abs=0.002)), "the paper's gap"
    chi = stats.chi2_contingency([[92, 108], [77, 123]], correction=False)
    assert z**2 == pytest.approx(chi.statistic) and p == pytest.approx(chi.pvalue)
    assert two_proportions(0, 5, others=0, m=5) == (0.0, 1.0)
    rate = rate_interval([True] * 3 + [False] * 9)
    assert (rate.value, rate.n) == (0.25, 12) and rate.low == pytest.approx(0.0889, abs=1e-3)
    assert rate.high == pytest.approx(0.5323, abs=1e-3)
    with pytest.raises(ValueError, match="at least one"):
        rate_interval([])


def made_trials(rates: dict[tuple[float, str], float], seed: int, goals: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for (share, condition), rate in rates.items():
        for training, goal in itertools.product((0, 1), range(goals)):
            hit = bool(rng.random() < rate)
            rows.append(
                {
                    "kind": "toxic", "share": share, "seed": training, "condition": condition,
                    "setting": "gcg", "goal": f"g{goal}", "success": hit, "prefix_match": hit,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_differences_that_are_there_are_found_and_others_not() -> None:
    """50 made studies each: power above 95 % for .8 against .5, false alarms below 12 % for equal rates."""
    significant = {"condition": 0, "share": 0}
    for seed in range(50):
        rates = {(0.0, "none"): 0.8, (0.0, "iti"): 0.5, (0.1, "none"): 0.8, (0.1, "iti"): 0.5}
        for row in make_tests(made_trials(rates, seed), draws=50):
            if row["rule"] == "success" and row["share"] == 0.1 and row["condition"] == "iti":
                significant[row["contrast"]] += row["p_paired"] < 0.05
                assert row["n"] == 120
                assert (row["low"] > 0 or row["high"] < 0) or row["p_paired"] > 0.005
    assert significant["condition"] >= 48 and significant["share"] <= 6


def test_sections_are_checked_and_off_by_default() -> None:
    plain = parse_study({"name": "x"})
    assert not plain.hardness.attacks and not plain.capability.has_tasks
    arm = ArmPlan("toxic-10-s0", "toxic", 0.1, 0)
    assert not {"attack", "relearn", "capability"} & {
        stage.name for stage in GRAPH.of_subject(plain, Subject(arm.name, arm))
    }
    with pytest.raises(ConfigError, match=r"hardness\.attacks"):
        parse_study({"name": "x", "hardness": {"attacks": ["ddos"]}})
    with pytest.raises(ConfigError, match="ascending"):
        parse_study({"name": "x", "hardness": {"relearn": {"stops": [4, 2]}}})
    with pytest.raises(ConfigError, match="unknown key"):
        parse_study({"name": "x", "capability": {"taks": ["blimp"]}})
    config = parse_study({"name": "x", "capability": {"tasks": ["blimp"]}})
    with pytest.raises(SourceError, match=r"capability\.blimp must name a file"):
        source_revisions(config)
    missing_file = {"attacks": ["suffix"], "suffix": {"file": "none.parquet"}}
    with pytest.raises(SourceError, match=r"no file 'none\.parquet'"):
        source_revisions(parse_study({"name": "x", "hardness": missing_file}))


def test_stages_follow_the_arms_asked_for() -> None:
    config = parse_study(
        {"name": "x",
         "hardness": {"attacks": ["suffix", "relearn"], "shares": [0.1], "seeds": [0], "kinds": ["toxic"]},
         "capability": {"tasks": ["minimal_pairs"]}}
    )  # fmt: skip

    def of(kind: str, share: float, seed: int, *, study: Any = config) -> dict[str, str]:
        context = StudyContext(study, 0, Path(), create_engine("sqlite://"))
        arm = ArmPlan("a", kind, share, seed)
        subject = Subject("a", arm, context.inputs.train(arm))
        return {stage.name: stage.key(context, subject) for stage in GRAPH.of_subject(study, subject)}

    assert {"attack", "relearn", "capability"} <= set(of("toxic", 0.1, 0))
    for other in (("toxic", 0.1, 1), ("toxic", 0.25, 0), ("clean-forum", 0.1, 0)):
        assert not {"attack", "relearn"} & set(of(*other)) and "capability" in of(*other)
    changed = config.model_dump(mode="json")
    changed["hardness"]["relearn"]["stops"] = [1, 2]
    before, after = of("toxic", 0.1, 0), of("toxic", 0.1, 0, study=parse_study(changed))
    assert before["attack"] == after["attack"] and before["relearn"] != after["relearn"]
    assert config.hardness.wants_condition("iti/mass_mean/cost-0.06")
    assert not config.hardness.wants_condition("iti/mass_mean/fixed-2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    sections = SECTIONS.replace("HARNESS", 'harness = ["local_items"]' if find_spec("lm_eval") else "")
    changes = {"\n[projection]\nmax_points = 60\n": sections, 'controls = ["clean-forum"]': "controls = []"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))
        patch.setenv("HF_DATASETS_OFFLINE", "1")
        return finished_study(
            tmp_path_factory,
            "hardness",
            changes,
            prepare=lambda folder: harness_folder(folder, minimal_pairs(30)),
        )


def table(home: Path, query: str) -> pd.DataFrame:
    engine = create_engine(f"sqlite:///{home / 'hormesis.sqlite'}")
    with engine.connect() as connection:
        frame = pd.read_sql(text(query), connection)
    engine.dispose()
    return frame


OUTCOMES = (
    "SELECT c.name AS checkpoint, k.key AS condition, a.kind, a.setting, o.name, o.value, o.low, o.high,"
    " o.n, o.unit"
    " FROM attack_outcome o JOIN attack a ON a.id = o.attack_id JOIN condition k ON k.id = a.condition_id"
    " JOIN checkpoint c ON c.id = a.checkpoint_id ORDER BY 1, 2, 3, 4, 5"
)
SCORES = (
    "SELECT c.name AS checkpoint, k.key AS condition, s.task, s.part, s.measure, s.value, s.low, s.high, s.n,"
    " s.chance, s.change FROM capability_score s JOIN condition k ON k.id = s.condition_id"
    " JOIN checkpoint c ON c.id = s.checkpoint_id ORDER BY 1, 2, 3, 4, 5"
)


@pytest.mark.slow
def test_a_study_runs_its_attacks_and_again_changes_nothing(finished: tuple[Path, Path]) -> None:
    study, home = finished
    outcomes, scores = table(home, OUTCOMES), table(home, SCORES)
    assert set(outcomes["checkpoint"]) == {"toxic-25-s0"}, "attacks only where the study asks for them"
    assert set(scores["checkpoint"]) == {"toxic-0-s0", "toxic-25-s0"}
    assert set(outcomes["condition"]) == {"none", "iti/mass_mean/cost-0.06"}
    kinds = outcomes.groupby("condition")["kind"].agg(set)
    assert kinds["iti/mass_mean/cost-0.06"] - kinds["none"] == {"relearn"}
    assert len(kinds["none"]) == 5
    bounded = outcomes[outcomes["unit"].isin(["share of goals", "fraction"])]
    assert bounded["value"].between(0, 1).all() and (bounded["low"] <= bounded["value"]).all()
    assert (bounded["high"] - bounded["low"] > 0).all(), "no rate is certain"
    again = run(home, "run", str(study))
    assert "nothing to do" in again.stderr, again.stderr
    pd.testing.assert_frame_equal(outcomes, table(home, OUTCOMES))


ATTACK_SUMMARIES = (
    "SELECT kind, share, condition_key, attack, setting, name, x, value, low, high, n_seeds, n, unit,"
    " interval FROM attack_summary ORDER BY key"
)
CAPABILITY_SUMMARIES = (
    "SELECT kind, share, condition_key, task, part, measure, value, low, high, n, change, change_low,"
    " change_high, chance, interval FROM capability_summary ORDER BY key"
)


@contextmanager
def context_of(home: Path) -> Iterator[StudyContext]:
    """The study of a home, as its stages get it but for the revisions of its sources."""
    engine = open_writer(f"sqlite:///{home / 'hormesis.sqlite'}")
    with read_session(engine) as session:
        study_id, config = session.execute(select(Study.id, Study.config)).one()
    yield StudyContext(parse_study(config), study_id, home, engine)
    engine.dispose()


@pytest.mark.slow
def test_what_is_left_of_earlier_goals_is_dropped(finished: tuple[Path, Path]) -> None:
    _, home = finished
    before = table(home, ATTACK_SUMMARIES)
    assert len(before)
    with context_of(home) as context:
        with write_session(context.engine) as session:
            session.execute(text("UPDATE attack_summary SET key = 'earlier|' || key"))
            session.execute(text("UPDATE attack_test SET key = 'earlier|' || key"))
        compare(context)
        summarise_attacks(context, ArmGroup("toxic", 0.25))
    pd.testing.assert_frame_equal(table(home, ATTACK_SUMMARIES), before)
    assert not table(home, "SELECT key FROM attack_test WHERE key LIKE 'earlier|%'").size


@pytest.mark.slow
def test_every_attack_says_what_it_undoes(finished: tuple[Path, Path]) -> None:
    _, home = finished
    summaries, outcomes = table(home, ATTACK_SUMMARIES), table(home, OUTCOMES)
    undone = summaries[(summaries["name"] == "undone") & (summaries["condition_key"] != "none")]
    assert set(undone["attack"]) == {"suffix", "injection", "long", "sampling", "quantised", "relearn"}
    assert (undone["low"] <= undone["value"]).all() and (undone["value"] <= undone["high"]).all()
    assert undone["low"].min() >= -100 and (undone["unit"] == "points").all()
    # One seed: a mean over frames of what is stored of each, and the interval of the one long text.
    of_condition = outcomes[outcomes["condition"] == undone["condition_key"].iloc[0]]
    frames = of_condition[(of_condition["kind"] == "injection") & (of_condition["name"] == "toxicity_change")]
    by_attack = undone.set_index(["attack", "setting"])
    assert by_attack.loc[("injection", ""), "value"] == pytest.approx(frames["value"].mean())
    drift = of_condition[of_condition["name"] == "drift"].iloc[0]
    assert by_attack.loc[("long", ""), "high"] == pytest.approx(drift["high"])
    rates = summaries[summaries["name"] == "success"].merge(
        outcomes[outcomes["name"] == "success"],
        left_on=["condition_key", "attack", "setting"],
        right_on=["condition", "kind", "setting"],
    )
    assert len(rates) == 4 and np.allclose(rates["value_x"], rates["value_y"])
    curve = summaries[(summaries["attack"] == "relearn") & (summaries["name"] == "toxicity")]
    assert list(curve["x"]) == [0, 1, 3] and summaries[summaries["attack"] != "relearn"]["x"].notna().any()
    opened = summaries[summaries["name"] == "opened"]
    assert set(opened["condition_key"]) == set(undone["condition_key"])


@pytest.mark.slow
def test_capability_over_seeds_comes_from_the_items_or_from_the_rows(finished: tuple[Path, Path]) -> None:
    _, home = finished
    stored, scores = table(home, CAPABILITY_SUMMARIES), table(home, SCORES)
    assert len(stored) == len(scores), "two arms, one seed each"
    assert np.allclose(sorted(stored["value"]), sorted(scores["value"]))
    assert stored["change"].notna().sum() == scores["change"].notna().sum() > 0
    with context_of(home) as context:
        for arm in arms_of_study(context):
            summarise_capability(context, arm)
    pd.testing.assert_frame_equal(table(home, CAPABILITY_SUMMARIES), stored, atol=1e-9)


@pytest.mark.slow
def test_capability_rows_are_metrics_with_chance(finished: tuple[Path, Path]) -> None:
    _, home = finished
    scores = table(home, SCORES)
    pairs = scores[(scores["task"] == "minimal_pairs") & (scores["part"] == "")]
    assert (pairs["chance"] == 0.5).all() and (pairs["n"] == 30).all()
    assert pairs[pairs["condition"] == "none"]["change"].isna().all()
    steered = pairs[pairs["condition"] != "none"].set_index("checkpoint")
    plain = pairs[pairs["condition"] == "none"].set_index("checkpoint")["value"]
    assert np.allclose(steered["change"], steered["value"] - plain[steered.index])
    metrics = table(home, "SELECT name, value, n, interval FROM metric WHERE name = 'accuracy_minimal_pairs'")
    assert (
        sorted(metrics["value"]) == sorted(pairs["value"])
        and metrics["interval"].str.contains("chance 0.5").all()
    )
    sources = scores[scores["task"] == "cross_entropy"]
    assert sources["part"].nunique() == 2


@pytest.mark.slow
def test_a_harness_task_of_ones_own_agrees_in_every_condition(finished: tuple[Path, Path]) -> None:
    """A local task of the same items, named in the study file, run without a network, steering included."""
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    scores = table(finished[1], SCORES)
    pairs = scores[(scores["task"] == "minimal_pairs") & (scores["part"] == "")]
    harness_rows = scores[(scores["task"] == "local_items") & (scores["measure"] == "acc")]
    matched = harness_rows.merge(pairs, on=["checkpoint", "condition"])
    assert len(matched) == 4 and set(matched["condition"]) == {"none", "iti/mass_mean/cost-0.06"}
    assert (matched["n_x"] == 30).all() and np.allclose(matched["value_x"], matched["value_y"])


@pytest.mark.slow
def test_attacks_lost_are_made_again_just_the_same(finished: tuple[Path, Path]) -> None:
    """As after a kill between two attacks: what is missing is made again, equal to before."""
    study, home = finished
    before = table(home, OUTCOMES)
    engine = create_engine(f"sqlite:///{home / 'hormesis.sqlite'}")
    with engine.begin() as connection:
        connection.execute(text("PRAGMA foreign_keys = ON"))
        connection.execute(text("DELETE FROM attack WHERE kind IN ('long', 'suffix', 'relearn')"))
        connection.execute(
            text("UPDATE stage_run SET status = 'stopped' WHERE stage IN ('attack', 'relearn')")
        )
    engine.dispose()
    assert len(table(home, OUTCOMES)) < len(before)
    again = run(home, "run", str(study))
    assert again.returncode == 0, again.stderr
    pd.testing.assert_frame_equal(before, table(home, OUTCOMES), atol=1e-9)


@pytest.mark.slow
@pytest.mark.xdist_group("smollm2")
@pytest.mark.parametrize("search", ["gcg", "random"])
def test_both_searches_lower_the_loss_on_smollm2(search: Literal["gcg", "random"]) -> None:
    """Which lowers it more needs more goals than a test has time for: `bench_attacks` measures it.

    In float32: bfloat16 gradients are slow on a CPU.
    """
    settings = SearchSettings(steps=3, candidates=6, top_k=48, suffix_tokens=6)
    goal = Goal("moon", "The recipe begins with", " purple elephants dance on the moon", "\n")
    result = search_suffix(smollm2("float32"), goal, settings=settings, search=search, whole_budget=True)
    assert result.losses[-1] < result.losses[0]
    assert result.evaluations[-1] == 1 + 3 * (6 + 3)  # equal for both: a gradient counts as three


def test_presets_ask_for_what_they_say(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_study("forum").hardness.attacks == ("injection",)
    monkeypatch.setenv("HORMESIS_DATA", str(shared_data))
    real = load_study("real-mini")
    goals, goals_revision = goals_of(real.hardness)
    assert len(goals) == real.hardness.suffix.goals and goals_revision.startswith("advbench ")
    counts = {task.name: len(task.items) for task in tasks_of(real.capability)}
    assert counts.pop("blimp") == 670 and set(counts.values()) == {100} and len(counts) == 5


def test_a_new_key_left_alone_leaves_a_study_what_it_was() -> None:
    plain, limited = (
        parse_study({"name": "x", "capability": section}) for section in ({}, {"mcq_items": 100})
    )
    assert "mcq_items" not in plain.capability.model_dump() and plain.hash != limited.hash
