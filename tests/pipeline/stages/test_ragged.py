"""Layers that differ in heads and width, or have none, go through probing and geometry of a study."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sqlalchemy import select

from hormesis.backend.capture import capture
from hormesis.backend.model.models import LoadedModel, load_model
from hormesis.backend.model.steering import iti
from hormesis.db.blocks import decode_float16, decode_float32, decode_int64
from hormesis.db.contract.sites import site_shapes
from hormesis.db.schema import (
    ActivationBlock,
    Checkpoint,
    Direction,
    DirectionProfile,
    Entanglement,
    Example,
    ExampleList,
    LensToken,
    Probe,
)
from hormesis.db.write import read_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import silent
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.probing.loading import steering_directions
from hormesis.pipeline.stages.geometry import measure_geometry
from hormesis.pipeline.stages.probe import probe_checkpoint
from hormesis.pipeline.stages.train import register_checkpoint
from tests.fixtures.tiny import save_tiny

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["gemma4_text", "lfm2"])
def checkpoint(
    request: pytest.FixtureRequest, study: StudyContext, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LoadedModel, int]:
    """A tiny model as an imported checkpoint of the study, probed and measured; its id."""
    name, folder = request.param, tmp_path_factory.mktemp("model")
    loaded = load_model(save_tiny(folder, name, max_position_embeddings=256), dtype="float32")
    subject = Subject(name, weights_hash=loaded.weights_hash())
    number = register_checkpoint(
        study, loaded, name, path=folder, arm_id=None, tokens_seen=None,
        weights_hash=subject.weights_hash, details={},
    )  # fmt: skip
    probe_checkpoint(study, subject, silent())
    measure_geometry(study, subject, silent())
    return loaded, number


def test_every_head_has_its_rows_in_its_own_width(
    study: StudyContext, checkpoint: tuple[LoadedModel, int]
) -> None:
    loaded, number = checkpoint
    with read_session(study.engine) as session:
        row = session.get_one(Checkpoint, number)
        shapes = site_shapes(
            details=row.details, n_layers=row.n_layers, n_heads=row.n_heads, head_dim=row.head_dim
        )
        assert shapes == loaded.shapes and row.n_layers == 3
        width = {shape.layer: shape.head_dim for shape in shapes}
        probes = session.scalars(select(Probe).where(Probe.checkpoint_id == number)).all()
        assert sorted((probe.layer, probe.head) for probe in probes) == list(loaded.heads)
        assert sum(probe.rank is not None for probe in probes) == 4
        directions = session.scalars(select(Direction).where(Direction.checkpoint_id == number)).all()
        assert all(len(decode_float32(row.vector)) == width[row.layer] for row in directions)
        kinds = Counter(direction.method for direction in directions)
        assert kinds["mass_mean"] == kinds["probe"] == len(loaded.heads) and kinds["random-0"] == 4
        blocks = session.scalars(select(ActivationBlock).where(ActivationBlock.checkpoint_id == number))
        assert {(block.layer, block.columns) for block in blocks} == set(width.items())
        entangled = session.scalars(select(Entanglement).where(Entanglement.checkpoint_id == number))
        assert {(row.layer, row.dimensions) for row in entangled} == set(width.items())
        words = session.scalars(select(LensToken).where(LensToken.checkpoint_id == number))
        assert {word.layer for word in words} == set(width)
    steered = iti(loaded.sites, steering_directions(study, number, "mass_mean"))
    assert steered.n_heads == 4 and set(steered.shifts) <= set(width)


def test_scores_of_statements_are_each_heads_own(
    study: StudyContext, checkpoint: tuple[LoadedModel, int]
) -> None:
    """Rows of the stored profile, head by head, against activations read anew along the stored directions."""
    loaded, number = checkpoint
    with read_session(study.engine) as session:
        profile, ids = session.execute(
            select(DirectionProfile, ExampleList.ids)
            .join(ExampleList, DirectionProfile.example_list_id == ExampleList.id)
            .where(DirectionProfile.checkpoint_id == number, DirectionProfile.method == "mass_mean")
        ).one()
        scores = decode_float16(profile.data, profile.columns, profile.scale)
        statements = {row.id: row.text for row in session.scalars(select(Example))}
        vectors = {
            (row.layer, row.head): decode_float32(row.vector)
            for row in session.scalars(
                select(Direction).where(Direction.checkpoint_id == number, Direction.method == "mass_mean")
            )
        }
    activations = capture(loaded, [statements[example] for example in decode_int64(ids).tolist()])
    expected = [activations[layer][:, head] @ vectors[layer, head] for layer, head in loaded.heads]
    np.testing.assert_allclose(scores, expected, atol=2e-3 * np.abs(expected).max())
