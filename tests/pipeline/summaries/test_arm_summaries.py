"""Rows over seeds on made-up rows of two seeds: random directions, attacks, capability, what is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select, text, update

from hormesis.db import read
from hormesis.db.blocks import encode_float64
from hormesis.db.contract.attacks import OPENED, UNDONE
from hormesis.db.engine import open_writer
from hormesis.db.schema import AttackOutcome, AttackTrial, CapabilityScore, Checkpoint, Condition, Summary
from hormesis.db.write import upsert, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.probing.head_accuracy import ArmGroup
from hormesis.pipeline.statistics import SCORE, over_directions, over_seeds, pooled_spread, share_spread
from hormesis.pipeline.study.config import parse_study
from hormesis.pipeline.summaries.attack_summary import summarise_attacks
from hormesis.pipeline.summaries.capability_summary import summarise_capability
from hormesis.pipeline.summaries.summary import summarise
from tests.fixtures.shared_worlds import copy_database

ARM, STEERED = ArmGroup("toxic", 0.25), "iti/mass_mean/cost-0.06"
SEEDS = ("toxic-25-s0", "toxic-25-s1")


@pytest.fixture
def context(tiny_database: Path, tmp_path: Path) -> Iterator[StudyContext]:
    engine = open_writer(copy_database(tiny_database, tmp_path / "study.sqlite"))
    yield StudyContext(parse_study({"name": "seeded"}), 1, tmp_path, engine)
    engine.dispose()


def of_condition(rows: pd.DataFrame, condition: str, **values: Any) -> pd.Series:
    """The one row of an arm's condition with these values."""
    column = "condition" if "condition" in rows.columns else "condition_key"
    chosen = rows[(rows["kind"] == ARM.kind) & (rows["share"] == ARM.share) & (rows[column] == condition)]
    for name, value in values.items():
        chosen = chosen[chosen[name] == value]
    (row,) = [row for _, row in chosen.iterrows()]
    return row


def scores(context: StudyContext, condition: str) -> pd.DataFrame:
    """Scores by prompt under conditions like this, a row per checkpoint, prompt and condition."""
    query = text(
        "SELECT c.name AS checkpoint, k.key, g.prompt_id, s.value FROM score s"
        " JOIN scorer r ON r.id = s.scorer_id JOIN generation g ON g.id = s.generation_id"
        " JOIN condition k ON k.id = g.condition_id JOIN checkpoint c ON c.id = k.checkpoint_id"
        " WHERE r.name = 'forum' AND k.key LIKE :condition"
    )
    with context.engine.connect() as connection:
        return pd.read_sql(query, connection, params={"condition": condition})


def test_random_directions_have_one_row_of_their_mean_by_prompt(context: StudyContext) -> None:
    row = read.summaries(context.engine, 1, name="toxicity").iloc[0].drop("measured_share").to_dict()
    with write_session(context.engine) as session:
        lost = row | {"study_id": 1, "key": "lost", "condition_key": "random-0/cost-0.06", **ARM._asdict()}
        upsert(session, Summary, [lost], on=("study_id", "key"))
    for share in (0.0, ARM.share):
        summarise(context, ArmGroup("toxic", share))
    stored = read.summaries(context.engine, 1, name="toxicity", scorer="forum")
    assert not stored["condition_key"].str.match(r"random-\d").any(), "that of a lost condition is dropped"
    grids = scores(context, "random-%").pivot_table(
        index=["checkpoint", "key"], columns="prompt_id", values="value"
    )
    by_seed = [grids.loc[name].to_numpy() for name in SEEDS]
    # Only arms alike pool their seeds: the clean one hardly learns toxicity.
    spread = share_spread([[grid.mean() for grid in by_seed]], [len(grids.columns)])
    expected = over_directions([list(grid) for grid in by_seed], spread=spread, bounds=SCORE).scaled(100)
    row = of_condition(stored, "random/cost-0.06")
    assert (row["value"], row["low"], row["high"]) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )
    assert row["low"] >= 0 and row["n_seeds"] == 2 and row["n"] == len(grids.columns)
    assert "5 random directions" in row["interval"] and row["method"] == "random-direction"


def test_what_an_attack_undoes_and_what_steering_opens(context: StudyContext) -> None:
    outcomes = read.attack_outcomes(context.engine, 1)
    frames = outcomes[(outcomes["attack"] == "injection") & (outcomes["name"] == "toxicity_change")]
    with write_session(context.engine) as session:
        # Seeds differ under steering: frames add 4 points more in the one, 8 in the other.
        for name, more in zip(SEEDS, (4.0, 8.0), strict=True):
            chosen = frames[(frames["checkpoint"] == name) & (frames["condition"] == STEERED)]
            for attack in chosen["attack_id"]:
                query = update(AttackOutcome).where(
                    AttackOutcome.attack_id == int(attack), AttackOutcome.name == "toxicity_change"
                )
                columns = ("value", "low", "high")
                session.execute(query.values({c: getattr(AttackOutcome, c) + more for c in columns}))
        session.execute(update(AttackTrial).values(score=0.75, before=0.25))
    summarise_attacks(context, ARM)
    stored = read.attack_summaries(context.engine, 1)
    opened = of_condition(stored, STEERED, name=OPENED)
    # Each seed's difference of two frames, +-2 each, has an end at root 8; Student's t of one degree of
    # freedom over 4 and 8, for no other arm has two seeds that are alike.
    reach = 12.706 * np.sqrt(8 / 2)
    assert opened["value"] == pytest.approx(6) and opened["n_seeds"] == 2
    assert opened["high"] - 6 == pytest.approx(np.hypot(reach, np.sqrt(8)), rel=1e-4)
    assert of_condition(stored, STEERED, name=UNDONE, attack="injection")["value"] == pytest.approx(4.5 + 6)
    goals = of_condition(stored, STEERED, name=UNDONE, attack="suffix", setting="gcg")
    assert goals["value"] == pytest.approx(50) and goals["unit"] == "points"
    sampling = of_condition(stored, STEERED, name=UNDONE, attack="sampling")
    assert sampling["value"] == pytest.approx(0.5), "temperature 1, all tokens against the study's own top-p"
    curve = stored[stored["x"].notna() & (stored["attack"] == "relearn") & (stored["name"] == "toxicity")]
    assert set(curve["x"]) == {0, 1, 4, 16, 64}
    beyond = stored[(stored["name"] == "steps") & (stored["condition"] == "iti/mass_mean/cost-0.15")]
    assert beyond.empty, "one of two seeds lies beyond the budget"


def test_capability_comes_from_items_where_they_are_kept(context: StudyContext) -> None:
    rng = np.random.default_rng(0)
    query = text(
        "SELECT c.name, k.key, s.value FROM capability_score s JOIN condition k ON k.id = s.condition_id"
        " JOIN checkpoint c ON c.id = s.checkpoint_id WHERE s.task = 'mcq_siqa' AND s.measure = 'accuracy'"
    )
    with context.engine.connect() as connection:
        values = pd.read_sql(query, connection).set_index(["name", "key"])["value"]
    number = {"task": "mcq_siqa", "measure": "accuracy"}
    before = of_condition(read.capability_summaries(context.engine, 1), STEERED, **number)
    items: dict[tuple[str, str], np.ndarray[Any, np.dtype[np.float64]]] = {}
    for name in SEEDS:
        for key in ("none", STEERED):
            right = (rng.random(200) < values[name, key]).astype(np.float64)
            items[name, key] = right
            columns = {"item_tops": encode_float64(right), "item_bottoms": encode_float64(np.ones(200))}
            condition = (
                select(Condition.id)
                .join(Checkpoint, Condition.checkpoint_id == Checkpoint.id)
                .where(Checkpoint.name == name, Condition.key == key)
            )
            of_row = (CapabilityScore.condition_id == condition.scalar_subquery(), CapabilityScore.part == "")
            of_row += tuple(getattr(CapabilityScore, column) == value for column, value in number.items())
            with write_session(context.engine) as session:
                session.execute(update(CapabilityScore).where(*of_row).values(**columns))
    summarise_capability(context, ARM)
    row = of_condition(read.capability_summaries(context.engine, 1), STEERED, **number)
    arms = [[values[f"toxic-{share}-s{seed}", STEERED] for seed in (0, 1)] for share in (0, 25)]
    outcomes = [items[name, STEERED] for name in SEEDS]
    weights = [np.ones(len(of_seed)) for of_seed in outcomes]
    expected = over_seeds(outcomes, weights, spread=pooled_spread(arms), bounds=SCORE)
    assert (row["value"], row["low"], row["high"]) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )
    change = np.mean([items[name, STEERED].mean() - items[name, "none"].mean() for name in SEEDS])
    assert row["change"] == pytest.approx(change) and row["change_low"] < change < row["change_high"]
    assert row["n"] == 200 and "and items" in row["interval"] and "and items" not in before["interval"]
    other = of_condition(read.capability_summaries(context.engine, 1), STEERED, measure="accuracy_norm")
    assert "mean of their own intervals" in other["interval"], "no items of it are kept"
