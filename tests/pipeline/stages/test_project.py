"""Profiles, maps and figures of directions on a small study: from what was stored, cut and run again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, delete, select

from hormesis.db.blocks import decode_float16, decode_float32, decode_int64
from hormesis.db.schema import (
    ActivationBlock,
    Checkpoint,
    Direction,
    DirectionProfile,
    Example,
    ExampleList,
    MapAgreement,
    Probe,
    Projection,
    ProjectionPoint,
)
from hormesis.db.write import read_session, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import silent
from hormesis.pipeline.execution.stage import STUDY, Subject
from hormesis.pipeline.probing import profiles as profiles_module
from hormesis.pipeline.probing.profiles import fixed_statements
from hormesis.pipeline.stages.geometry import measure_geometry
from hormesis.pipeline.stages.project import project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SPACES = {"functional", "vocabulary", "residual"}
TABLES = (Projection, ProjectionPoint, MapAgreement)


def table(engine: Engine, model: Any) -> pd.DataFrame:
    columns = list(model.__table__.columns)
    with read_session(engine) as session:
        rows = [tuple(row) for row in session.execute(select(*columns))]
    return pd.DataFrame(rows, columns=[column.name for column in columns])


def contents(context: StudyContext, *models: Any) -> dict[str, list[str]]:
    """Rows of tables without their ids, sorted."""
    return {
        model.__tablename__: sorted(
            repr(row)
            for row in table(context.engine, model).drop(columns="id", errors="ignore").to_numpy().tolist()
        )
        for model in models
    }


def matrix(profile: Any) -> np.ndarray[Any, Any]:
    return decode_float16(profile.data, profile.columns, profile.scale)


def subject(context: StudyContext, checkpoint: int) -> Subject:
    with read_session(context.engine) as session:
        row = session.get_one(Checkpoint, checkpoint)
        return Subject(row.name, weights_hash=row.weights_hash)


def test_scores_are_projections_of_the_kept_activations(study: StudyContext) -> None:
    query = (
        select(DirectionProfile, ExampleList.ids)
        .join(ExampleList, DirectionProfile.example_list_id == ExampleList.id)
        .where(DirectionProfile.space == "functional", DirectionProfile.method == "mass_mean")
    )
    compared = 0
    with read_session(study.engine) as session:
        for profile, ids in session.execute(query):
            scores = matrix(profile)
            query_of_block = select(ActivationBlock, ExampleList.ids).join(ExampleList)
            of_checkpoint = ActivationBlock.checkpoint_id == profile.checkpoint_id
            for block, block_ids in session.execute(query_of_block.where(of_checkpoint)):
                direction = session.scalars(
                    select(Direction.vector).where(
                        Direction.checkpoint_id == block.checkpoint_id,
                        Direction.method == "mass_mean",
                        (Direction.layer == block.layer) & (Direction.head == block.head),
                    )
                ).one()
                values = pd.DataFrame(matrix(block), index=decode_int64(block_ids)).loc[decode_int64(ids)]
                heads_per_layer = profile.heads // 4
                expected = values.to_numpy() @ decode_float32(direction)
                of_head = scores[block.layer * heads_per_layer + block.head]
                assert of_head == pytest.approx(expected, abs=float(3e-3 * np.abs(expected).max()))
                compared += 1
    assert compared > 10


def test_statements_are_of_the_test_split_and_the_same_for_every_checkpoint(study: StudyContext) -> None:
    profiles = table(study.engine, DirectionProfile)
    functional = profiles[profiles["space"] == "functional"]
    assert functional["basis"].nunique() == functional["example_list_id"].nunique() == 1
    assert set(profiles["space"]) == SPACES and profiles["checkpoint_id"].nunique() == 3
    assert (profiles.groupby(["checkpoint_id", "space"])["method"].nunique() == 11).all()
    examples = table(study.engine, Example)
    statements = fixed_statements(study)
    assert set(examples.loc[examples["id"].isin(statements.ids), "split"]) == {"test"}


def test_a_large_test_split_is_sampled_by_label_in_the_order_of_content(
    study: StudyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = fixed_statements(study)
    monkeypatch.setattr(profiles_module, "MOST_STATEMENTS", 20)
    few = fixed_statements(study)
    examples = table(study.engine, Example).set_index("id")
    shares = [examples.loc[part.ids, "label"].mean() for part in (full, few)]
    assert len(few.ids) == 20 and shares[0] == pytest.approx(shares[1], abs=0.05)
    keys = examples.loc[few.ids, "key"].tolist()
    assert keys == sorted(keys) and fixed_statements(study).texts == few.texts


def test_scores_that_are_missing_are_read_again_and_are_the_same(study: StudyContext) -> None:
    """As for a checkpoint probed before scores were stored; where they are there, nothing is captured."""
    query = select(DirectionProfile).where(
        DirectionProfile.checkpoint_id == 2, DirectionProfile.space == "functional"
    )
    with read_session(study.engine) as session:
        before = {profile.method: matrix(profile) for profile in session.scalars(query)}
    with write_session(study.engine) as session:
        session.execute(delete(DirectionProfile).where(DirectionProfile.checkpoint_id == 2))
    measure_geometry(study, subject(study, 2), silent())
    with read_session(study.engine) as session:
        after = {profile.method: matrix(profile) for profile in session.scalars(query)}
    assert before.keys() == after.keys()
    for method, scores in before.items():
        assert after[method] == pytest.approx(scores, abs=float(2e-3 * np.abs(scores).max()))
    rows = contents(study, DirectionProfile)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiles_module, "capture", None)
        measure_geometry(study, subject(study, 2), silent())
    assert contents(study, DirectionProfile) == rows


def test_every_map_has_its_null_its_quality_and_its_figures(study: StudyContext) -> None:
    project(study, STUDY, silent())
    maps = table(study.engine, Projection)
    of_directions = maps[maps["subject"] == "directions"]
    names = table(study.engine, Checkpoint)["name"]
    expected = {f"functional{null}" for null in ("", "/random", "/independent")}
    for key in ("vocabulary", *(f"residual/{name}" for name in names)):
        expected |= {key, f"{key}/random"}
    kinds = ("pca-2", "pca-3", "umap-2", "umap-3")
    assert set(of_directions["key"]) == {f"{key}/{kind}" for key in expected for kind in kinds}
    assert (
        set(of_directions["space"]) == SPACES
        and maps.loc[maps["subject"] == "activations", "space"].isna().all()
    )
    quality = maps[["trustworthiness", "overlap"]]
    assert quality.notna().all(axis=None) and (quality.to_numpy() <= 1).all()
    heads = len(table(study.engine, Probe))
    sizes = of_directions.groupby("space")["n"].unique()
    assert sizes["functional"].tolist() == sizes["vocabulary"].tolist() == [min(heads, 60)]
    figures = table(study.engine, MapAgreement)
    assert set(figures["key"]) == {"functional", "vocabulary", *(f"residual/{name}" for name in names)}
    assert {"likeness", "accuracy", "layer"} <= set(figures["measure"])
    assert (figures["independent_p"].notna() == (figures["space"] == "functional")).all()
    assert (figures["low"] <= figures["value"]).all() and (figures["value"] <= figures["high"]).all()
    points = table(study.engine, ProjectionPoint)
    for _, of_map in points[points["projection_id"].isin(of_directions["id"])].groupby("projection_id"):
        assert of_map[["checkpoint_id", "layer", "head"]].notna().all(axis=None)


def test_a_map_and_its_null_are_of_the_same_heads(study: StudyContext) -> None:
    maps = table(study.engine, Projection).set_index("key")["id"]
    points = table(study.engine, ProjectionPoint)
    of_map, of_null = (
        points[points["projection_id"] == maps[key]].sort_values("position")[
            ["checkpoint_id", "layer", "head"]
        ]
        for key in ("functional/umap-2", "functional/random/umap-2")
    )
    assert of_map.to_numpy().tolist() == of_null.to_numpy().tolist()


def test_a_second_run_changes_nothing_and_stale_maps_go(study: StudyContext) -> None:
    project(study, STUDY, silent())
    before = contents(study, *TABLES)
    stale = {"study_id": 1, "key": "directions/umap-2", "subject": "directions", "method": "umap"}
    with write_session(study.engine) as session:
        session.add(Projection(**stale, dimensions=2, parameters={}, n=0))
        session.add(
            MapAgreement(
                study_id=1,
                key="gone",
                space="residual",
                measure="layer",
                interval="",
                **dict.fromkeys(("value", "low", "high", "random_mean", "random_high", "random_p"), 0.0),
                **dict.fromkeys(("neighbours", "draws", "heads", "checkpoints"), 1),
            )
        )
    project(study, STUDY, silent())
    assert contents(study, *TABLES) == before
