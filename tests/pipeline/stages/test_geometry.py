"""The geometry stage and summaries of heads on a small study: from what was kept, cut and run again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from sqlalchemy import Engine, delete, select, text

from hormesis.db.blocks import decode_float16, decode_float32, decode_int64
from hormesis.db.engine import open_writer
from hormesis.db.schema import (
    ActivationBlock,
    Arm,
    Checkpoint,
    Direction,
    Entanglement,
    ExampleList,
    FeatureCosine,
    HeadSummary,
    LensToken,
    Probe,
    ProbeGain,
)
from hormesis.db.write import read_session, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter, Stopped, silent
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.geometry.entanglement import entanglement
from hormesis.pipeline.geometry.logit_lens import decode
from hormesis.pipeline.probing.features import labelled
from hormesis.pipeline.probing.loading import open_checkpoint
from hormesis.pipeline.stages.geometry import DRAWS, measure_geometry
from hormesis.pipeline.study.config import load_study
from hormesis.pipeline.summaries.head_summary import write_head_summaries
from hormesis.pipeline.summaries.seed_variance import SHARES, spreads
from tests.fixtures.tiny_study import MAXIMUM, finished_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
TABLES = (FeatureCosine, Entanglement, LensToken)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyContext]:
    """A study of two arms with two seeds, run to its end."""
    from hormesis.pipeline.text.revisions import source_revisions

    changes = {'controls = ["clean-forum"]': "controls = []", "seeds = [0]": "seeds = [0, 1]"}
    changes |= {"probe_posts = 300": "probe_posts = 600", "random_directions = 2": "random_directions = 0"}
    changes |= {"prompts = 24": "prompts = 12", "new_tokens = 12": "new_tokens = 4", "[0.06]": "[]"}
    changes |= {MAXIMUM: ""}
    file, home = finished_study(tmp_path_factory, "geometry", changes)
    config = load_study(str(file))
    engine = open_writer(f"sqlite:///{home / 'hormesis.sqlite'}")
    yield StudyContext(config, 1, home, engine, source_revisions(config))
    engine.dispose()


def rows(engine: Engine, model: Any) -> list[tuple[Any, ...]]:
    with read_session(engine) as session:
        columns = [column for column in model.__table__.columns if column.name != "id"]
        result = session.execute(select(*columns))
        return sorted((tuple(row) for row in result), key=repr)


def everything(context: StudyContext) -> dict[str, list[tuple[Any, ...]]]:
    return {model.__tablename__: rows(context.engine, model) for model in TABLES}


def stored_activations(
    context: StudyContext, checkpoint: int
) -> tuple[list[tuple[int, int]], np.ndarray[Any, Any]]:
    """Kept heads and their activations by example id, read plainly."""
    query = (
        select(ActivationBlock, ExampleList.ids)
        .join(ExampleList, ActivationBlock.example_list_id == ExampleList.id)
        .where(ActivationBlock.checkpoint_id == checkpoint)
        .order_by(ActivationBlock.layer, ActivationBlock.head)
    )
    places, values = [], []
    with read_session(context.engine) as session:
        for block, ids in session.execute(query):
            table = pd.DataFrame(
                decode_float16(block.data, block.columns, block.scale), index=decode_int64(ids)
            )
            places.append((block.layer, block.head))
            values.append(table.sort_index().to_numpy())
    return places, np.stack(values, axis=1)


def subject(context: StudyContext, checkpoint: int) -> Subject:
    """A checkpoint as the stage is given it."""
    with read_session(context.engine) as session:
        row = session.get_one(Checkpoint, checkpoint)
        return Subject(row.name, weights_hash=row.weights_hash)


def test_rows_are_what_the_kept_activations_say(study: StudyContext) -> None:
    context = study
    statements = labelled(context)
    names = {variable.name for variable in statements.variables}
    assert len(statements.ids) == 600 and names >= {"topic", "sentiment"}
    for checkpoint in (1, 4):
        places, values = stored_activations(context, checkpoint)
        cosines, largest = entanglement(
            values, statements.toxic, statements.variables, clusters=statements.clusters, draws=DRAWS
        )
        names = [name for variable in statements.variables for name, _ in variable.features]
        with read_session(context.engine) as session:
            stored = {
                (row.layer, row.head, row.feature): row
                for row in session.scalars(
                    select(FeatureCosine).where(FeatureCosine.checkpoint_id == checkpoint)
                )
            }
            heads = {
                (row.layer, row.head): row
                for row in session.scalars(
                    select(Entanglement).where(Entanglement.checkpoint_id == checkpoint)
                )
            }
            assert len(stored) == len(places) * len(names) and len(heads) == len(places)
            for at, place in enumerate(places):
                for of, name in enumerate(names):
                    value, expected = stored[*place, name].cosine, cosines.cosine[at, of]
                    assert value == pytest.approx(expected, abs=1e-6) or (
                        value is None and np.isnan(expected)
                    )
                head = heads[place]
                assert head.used == largest.used[at] and head.tried == len(names) and head.n == 600
                if head.used:
                    assert (
                        head.value == pytest.approx(largest.value[at]) and head.low <= head.value <= head.high
                    )
                    assert head.feature == names[largest.feature[at]]


def test_words_are_those_of_the_stored_directions(study: StudyContext) -> None:
    context = study
    loaded = open_checkpoint(context, 4)
    with read_session(context.engine) as session:
        words = session.scalars(
            select(LensToken).where(LensToken.checkpoint_id == 4, LensToken.rank == 1)
        ).all()
        assert {token.side for token in words} == {"top", "bottom"}
        for token in words:
            direction = session.scalars(
                select(Direction).where(
                    Direction.checkpoint_id == 4,
                    Direction.layer == token.layer,
                    Direction.head == token.head,
                    Direction.method == token.method,
                )
            ).one()
            step = decode_float32(direction.vector)[None] * np.float32(direction.sigma)
            logits = decode(loaded, token.layer, token.head, vectors=step)[0]
            best = logits.argmax() if token.side == "top" else logits.argmin()
            assert int(best) == token.token_id and float(logits[best]) == pytest.approx(token.logit, abs=1e-5)


def test_running_again_changes_nothing_and_drops_heads_no_longer_kept(
    study: StudyContext,
) -> None:
    context = study
    before = everything(context)
    assert all(before.values())
    with write_session(context.engine) as session:
        old = session.scalars(select(Entanglement).where(Entanglement.checkpoint_id == 1)).first()
        assert old is not None
        copied = {column.name: getattr(old, column.name) for column in Entanglement.__table__.columns}
        session.add(Entanglement(**copied | {"id": None, "layer": 99}))
    measure_geometry(context, subject(context, 1), silent())
    assert everything(context) == before


@pytest.mark.parametrize("after", [0, 1, 2])
def test_cut_at_any_place_and_run_again_gives_the_same_rows(study: StudyContext, after: int) -> None:
    context = study
    before = everything(context)
    with write_session(context.engine) as session:
        for model in TABLES:
            session.execute(delete(model).where(model.checkpoint_id == 2))
    reports = 0

    def stop() -> bool:
        nonlocal reports
        reports += 1
        return reports > after

    cut = Reporter(lambda done, total, unit, message: None, stop)
    with pytest.raises(Stopped):
        measure_geometry(context, subject(context, 2), cut)
    counts = {name: len(entries) for name, entries in everything(context).items()}
    # Written in one go: all of a checkpoint's rows, or none.
    complete = {name: len(entries) for name, entries in before.items()}
    assert counts == complete or all(counts[name] < complete[name] for name in complete)
    measure_geometry(context, subject(context, 2), silent())
    assert everything(context) == before


def test_summaries_of_heads_are_means_of_the_probes(study: StudyContext) -> None:
    context = study
    before = rows(context.engine, HeadSummary)
    write_head_summaries(context)
    assert rows(context.engine, HeadSummary) == before
    with context.engine.connect() as connection:
        probes = pd.read_sql(
            text(
                "SELECT a.share, a.seed, p.accuracy FROM probe p JOIN checkpoint c ON c.id = p.checkpoint_id"
                " JOIN arm a ON a.id = c.arm_id"
            ),
            connection,
        )
    summaries = {row.name: row for row in _summaries(context) if row.share == 0.25}
    dosed, clean = (probes[probes["share"] == share] for share in (0.25, 0.0))
    assert summaries["mean"].value == pytest.approx(dosed["accuracy"].mean(), abs=1e-6)
    expected = dosed["accuracy"].mean() - clean["accuracy"].mean()
    assert summaries["mean"].difference == pytest.approx(expected, abs=1e-6)
    best = dosed.groupby("seed")["accuracy"].max().mean()
    assert summaries["max"].value == pytest.approx(best, abs=1e-6)
    assert (
        summaries["mean"].n_seeds == 2
        and summaries["mean"].low < summaries["mean"].value < summaries["mean"].high
    )
    assert 0 < summaries["mean"].p <= 1
    unseen, all_n = summaries["mean-unseen"], summaries["mean"].n
    assert 0 < unseen.n < all_n and unseen.low < unseen.value < unseen.high and unseen.difference is not None
    assert unseen.n == summaries["p90-unseen"].n


def test_gains_of_an_arm_are_those_of_its_seeds_and_pair_across_arms(study: StudyContext) -> None:
    query = (
        select(Arm.share, ProbeGain.baseline, ProbeGain.value, ProbeGain.resamples)
        .join(Checkpoint, ProbeGain.checkpoint_id == Checkpoint.id)
        .join(Arm, Checkpoint.arm_id == Arm.id)
        .where(ProbeGain.heads == "selected", ProbeGain.is_chosen, ProbeGain.subset == "all")
    )
    with study.engine.connect() as connection:
        gains = pd.read_sql(query, connection)
    gains["name"] = [f"gain-{'text' if name in ('words', 'length') else name}" for name in gains["baseline"]]
    with_matched = [row for row in _summaries(study) if row.name.startswith("gain-")]
    summaries = [row for row in with_matched if row.name != "gain-matched"]
    assert len(with_matched) > len(summaries)
    assert len(summaries) == 6
    for row in summaries:
        of_name = gains[gains["name"] == row.name]
        arm, clean = (of_name[of_name["share"] == share] for share in (row.share, 0.0))
        assert row.value == pytest.approx(arm["value"].mean()) and row.low < row.value < row.high
        assert row.n_seeds == len(arm) == 2
        if row.share:
            assert row.difference == pytest.approx(arm["value"].mean() - clean["value"].mean())
            sides = [
                np.mean([decode_float32(data) for data in side["resamples"]], 0) for side in (arm, clean)
            ]
            half = row.difference_high - row.difference
            assert half > 1.9 * (sides[0] - sides[1]).std(ddof=1)  # seeds come on top


def _summaries(context: StudyContext) -> list[HeadSummary]:
    with read_session(context.engine) as session:
        return list(session.scalars(select(HeadSummary)))


def test_entanglement_of_an_arm_is_that_of_its_selected_heads(study: StudyContext) -> None:
    context = study
    query = (
        select(Entanglement.checkpoint_id, Entanglement.value)
        .join(
            Probe,
            (Probe.checkpoint_id == Entanglement.checkpoint_id)
            & (Probe.layer == Entanglement.layer)
            & (Probe.head == Entanglement.head),
        )
        .where(Probe.rank.is_not(None), Entanglement.value.is_not(None))
    )
    with context.engine.connect() as connection:
        table = pd.read_sql(query, connection)
        arms = pd.read_sql(
            text("SELECT c.id AS checkpoint_id, a.share FROM checkpoint c JOIN arm a ON a.id = c.arm_id"),
            connection,
        )
    means = table.groupby("checkpoint_id")["value"].mean().reset_index().merge(arms)
    stored = {row.share: row.value for row in _summaries(context) if row.name == "entanglement"}
    for share, value in stored.items():
        assert value == pytest.approx(means[means["share"] == share]["value"].mean())
    assert stored


def test_spreads_of_seeds_are_pooled_variances(study: StudyContext) -> None:
    """A loss over all arms; a score over the clean arms or over the others, for it has bounds."""
    context = study
    with context.engine.connect() as connection:
        table = pd.read_sql(
            text(
                "SELECT k.key, a.share, m.name, m.value, m.unit, m.n, p.name AS prompts, s.name AS scorer"
                " FROM metric m JOIN condition k ON k.id = m.condition_id"
                " JOIN checkpoint c ON c.id = m.checkpoint_id JOIN arm a ON a.id = c.arm_id"
                " LEFT JOIN prompt_set p ON p.id = m.prompt_set_id LEFT JOIN scorer s ON s.id = m.scorer_id"
            ),
            connection,
        )
    table[["prompts", "scorer"]] = table[["prompts", "scorer"]].fillna("")
    for calm in (True, False):
        variances = spreads(context, hardly_toxic=calm)
        scored = table[(table["prompts"] == "") | ((table["share"] == 0) == calm)]
        for (key, name, prompts, scorer), part in scored.groupby(["key", "name", "prompts", "scorer"]):
            values = part["value"] * (0.01 if part["unit"].iloc[0] == "points" else 1.0)
            if name in SHARES:  # as log-odds, with half a success and half a failure
                values = logit((values * part["n"] + 0.5) / (part["n"] + 1))
            counts = values.groupby(part["share"]).agg(["var", "count"])
            counts = counts[counts["count"] > 1]
            spread = variances[str(key), str(prompts) or None, str(scorer) or None, str(name)]
            assert spread.df == int((counts["count"] - 1).sum()) == (2 if prompts == "" else 1)
            assert spread.variance == pytest.approx(counts["var"].mean())
        assert len(variances) > 8


def test_a_study_that_kept_nothing_has_no_cosines(study: StudyContext, tmp_path: Path) -> None:
    import shutil

    context = study
    shutil.copytree(context.home, tmp_path / "home")
    engine = open_writer(f"sqlite:///{tmp_path / 'home' / 'hormesis.sqlite'}")
    bare = StudyContext(context.config, 1, tmp_path / "home", engine)
    with write_session(engine) as session:
        session.execute(delete(ActivationBlock).where(ActivationBlock.checkpoint_id == 3))
    measure_geometry(bare, subject(bare, 3), silent())
    for model in TABLES:
        with read_session(engine) as session:
            dropped = session.scalars(select(model).where(model.checkpoint_id == 3)).all()
            others = session.scalars(select(model).where(model.checkpoint_id == 1)).all()
        assert not dropped and others
    engine.dispose()
