"""What directions say about a fixed set of statements: comparable between heads, which share no basis.

The statements are the same for every checkpoint of a study, whatever its width and tokenizer. The probe stage
has the activations of all heads at hand and writes the scores; for checkpoints probed before there were any,
`missing_statement_scores` reads those few statements again.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from hormesis.backend.capture import HeadActivations, capture
from hormesis.backend.model.loaded import LoadedModel
from hormesis.db.blocks import decode_float32, encode_float16, encode_int64
from hormesis.db.digest import example_list_hash
from hormesis.db.schema import Direction, DirectionProfile, Example, ExampleList, ProbeSet
from hormesis.db.write import insert_missing, read_session, replace_rows, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.probing.probe_directions import unit
from hormesis.pipeline.statistics.samples import sample_rows

MOST_STATEMENTS = 512
RANDOM_DIRECTIONS = 10
"""Random directions per head whose profiles are stored beside the direction's own."""
FUNCTIONAL = "functional"
Keys = Mapping[str, Any]
"""Values of checkpoint_id, probe_set_id and position."""
Profiles = dict[str, NDArray[np.float32]]
"""Method of a direction to what it says of each head, [heads, columns], heads layer-major."""
Vectors = dict[str, dict[int, NDArray[np.float32]]]
"""Method of a direction to layer to its vectors, [heads, head_dim]; layers may differ in both."""


@dataclass(frozen=True, eq=False)
class Statements:
    """The fixed set of statements, by content hash."""

    ids: NDArray[np.int64]
    texts: Sequence[str]


def fixed_statements(context: StudyContext) -> Statements:
    """At most 512 test statements of every probe set, the sets' and labels' shares kept; the same each time.

    They depend on what the statements say, not on ids or on who is read.
    """
    query = (
        select(Example.id, Example.text, Example.label, ProbeSet.name)
        .join(ProbeSet, Example.probe_set_id == ProbeSet.id)
        .where(ProbeSet.study_id == context.study_id, Example.split == "test")
        .order_by(ProbeSet.name, Example.key)
    )
    with read_session(context.engine) as session:
        rows = session.execute(query).all()
    chosen = [
        rows[place] for place in sample_rows(len(rows), MOST_STATEMENTS, [(r.name, r.label) for r in rows])
    ]
    return Statements(np.array([row.id for row in chosen], np.int64), [row.text for row in chosen])


def stored_list(context: StudyContext, ids: Sequence[int]) -> tuple[int, str]:
    """Id and hash of the stored list of these examples; written on first sight."""
    name = example_list_hash(ids)
    row = {"hash": name, "count": len(ids), "ids": encode_int64(np.array(ids, dtype=np.int64))}
    with write_session(context.engine) as session:
        insert_missing(session, ExampleList, [row], on=("hash",))
        return int(session.query(ExampleList.id).filter_by(hash=name).scalar()), name


def direction_vectors(context: StudyContext, keys: Keys, name: str) -> Vectors:
    """The study's direction of every head of checkpoint `name`, and random unit vectors of the same heads.

    Random ones depend on the checkpoint's name too, or models that share initial weights would share them.
    """
    method = context.config.steering.direction
    query = (
        select(Direction.layer, Direction.head, Direction.vector)
        .where(*(getattr(Direction, column) == value for column, value in keys.items()))
        .where(Direction.method == method)
        .order_by(Direction.layer, Direction.head)
    )
    with read_session(context.engine) as session:
        rows = session.execute(query).all()
    if not rows:
        return {}
    seed = zlib.crc32(name.encode())
    by_method: dict[str, dict[int, list[NDArray[np.float32]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        vector = decode_float32(row.vector)
        by_method[method][row.layer].append(vector)
        rng = np.random.default_rng([seed, row.layer, row.head])
        random = unit(rng.standard_normal((RANDOM_DIRECTIONS, len(vector)))).astype(np.float32)
        for place, random_vector in enumerate(random):
            by_method[f"random-{place}"][row.layer].append(random_vector)
    return {
        direction: {layer: np.stack(vectors) for layer, vectors in by_layer.items()}
        for direction, by_layer in by_method.items()
    }


def statement_scores(vectors: Vectors, activations: HeadActivations, rows: Sequence[int] | slice) -> Profiles:
    """Projections of activations on each head's direction, [heads, statements].

    `activations` may be memory maps; `rows`: the statements among theirs.
    """
    blocks = {layer: np.asarray(block[rows], dtype=np.float32) for layer, block in activations.items()}
    return {
        method: np.concatenate(
            [np.einsum("nhd,hd->hn", blocks[layer], of_layer) for layer, of_layer in by_layer.items()]
        )
        for method, by_layer in vectors.items()
    }


def write_profiles(
    context: StudyContext,
    keys: Keys,
    space: str,
    profiles: Profiles,
    *,
    basis: str,
    list_id: int | None = None,
) -> None:
    """Write the profiles of a checkpoint in one space, and drop its others there."""
    rows = []
    for method, values in profiles.items():
        data, scale = encode_float16(values)
        rows.append(
            {
                **keys,
                "space": space,
                "method": method,
                "basis": basis,
                "example_list_id": list_id,
                "heads": values.shape[0],
                "columns": values.shape[1],
                "scale": scale,
                "data": data,
            }
        )
    within = [DirectionProfile.checkpoint_id == keys["checkpoint_id"], DirectionProfile.space == space]
    on = ("checkpoint_id", "probe_set_id", "position", "space", "method")
    with write_session(context.engine) as session:
        replace_rows(session, DirectionProfile, rows, on=on, within=within)


def write_statement_scores(
    context: StudyContext, keys: Keys, name: str, *, activations: HeadActivations, ids: Sequence[int]
) -> None:
    """Write the scores of the fixed statements from activations of all `ids`, where these hold them all."""
    statements = fixed_statements(context)
    place_of = {example: place for place, example in enumerate(ids)}
    if set(statements.ids.tolist()) <= set(place_of):
        rows = [place_of[example] for example in statements.ids.tolist()]
        _write_scores(context, keys, name, statements=statements, activations=activations, rows=rows)


def missing_statement_scores(context: StudyContext, keys: Keys, name: str, *, loaded: LoadedModel) -> None:
    """Write the scores of the fixed statements unless they are there, by reading those statements again."""
    statements = fixed_statements(context)
    query = select(DirectionProfile.id).where(
        *(getattr(DirectionProfile, column) == value for column, value in keys.items()),
        DirectionProfile.space == FUNCTIONAL,
        DirectionProfile.method == context.config.steering.direction,
        DirectionProfile.basis == example_list_hash(statements.ids),
    )
    with read_session(context.engine) as session:
        if session.execute(query).first() is not None:
            return
    if not len(statements.ids):
        return
    activations = capture(loaded, statements.texts, position=context.config.probe.position)
    _write_scores(context, keys, name, statements=statements, activations=activations, rows=slice(None))


def _write_scores(
    context: StudyContext,
    keys: Keys,
    name: str,
    *,
    statements: Statements,
    activations: HeadActivations,
    rows: Sequence[int] | slice,
) -> None:
    vectors = direction_vectors(context, keys, name)
    if not vectors or not len(statements.ids):
        return
    list_id, basis = stored_list(context, statements.ids.tolist())
    scores = statement_scores(vectors, activations, rows)
    write_profiles(context, keys, FUNCTIONAL, scores, basis=basis, list_id=list_id)
