"""What directions say about a fixed set of statements: comparable between heads, which share no basis.

The statements are the same for every checkpoint of a study, whatever its width and tokenizer. The probe stage
has the activations of all heads at hand and writes the scores; for checkpoints probed before there were any,
`missing_statement_scores` reads those few statements again.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from hormesis.backend.capture import iter_head_activations
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
"""Method of a direction to its vectors or values, [heads, columns], heads layer-major."""


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


def direction_vectors(context: StudyContext, keys: Keys, name: str) -> Profiles:
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
    vectors = np.array([decode_float32(row.vector) for row in rows])
    seed = zlib.crc32(name.encode())
    random = np.stack(
        [
            np.random.default_rng([seed, row.layer, row.head]).standard_normal(
                (RANDOM_DIRECTIONS, vectors.shape[1])
            )
            for row in rows
        ],
        axis=1,
    )
    random_profiles = {
        f"random-{place}": of_draw for place, of_draw in enumerate(unit(random).astype(np.float32))
    }
    return {method: vectors, **random_profiles}


def statement_scores(
    vectors: Profiles, layers: Sequence[NDArray[np.float32]], rows: Sequence[int] | slice
) -> Profiles:
    """Projections of activations on each head's direction, [heads, statements].

    `layers`: [n, heads, head_dim] each, memory maps welcome; `rows`: the statements among the n.
    """
    blocks = [np.asarray(layer[rows], dtype=np.float32) for layer in layers]
    scores = {}
    for method, of_heads in vectors.items():
        of_layers = of_heads.reshape(len(blocks), -1, of_heads.shape[1])
        scores[method] = np.concatenate(
            [np.einsum("nhd,hd->hn", block, head) for block, head in zip(blocks, of_layers, strict=True)]
        )
    return scores


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
    context: StudyContext, keys: Keys, name: str, *, layers: Sequence[NDArray[np.float32]], ids: Sequence[int]
) -> None:
    """Write the scores of the fixed statements from activations of all `ids`, where these hold them all."""
    statements = fixed_statements(context)
    place_of = {example: place for place, example in enumerate(ids)}
    if set(statements.ids.tolist()) <= set(place_of):
        rows = [place_of[example] for example in statements.ids.tolist()]
        _write_scores(context, keys, name, statements=statements, layers=layers, rows=rows)


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
    batches = iter_head_activations(loaded, statements.texts, position=context.config.probe.position)
    activations = np.concatenate(list(batches))  # [statements, layers, heads, head_dim]
    layers = list(activations.swapaxes(0, 1))
    _write_scores(context, keys, name, statements=statements, layers=layers, rows=slice(None))


def _write_scores(
    context: StudyContext,
    keys: Keys,
    name: str,
    *,
    statements: Statements,
    layers: Sequence[NDArray[np.float32]],
    rows: Sequence[int] | slice,
) -> None:
    vectors = direction_vectors(context, keys, name)
    if not vectors or not len(statements.ids):
        return
    list_id, basis = stored_list(context, statements.ids.tolist())
    scores = statement_scores(vectors, layers, rows)
    write_profiles(context, keys, FUNCTIONAL, scores, basis=basis, list_id=list_id)
