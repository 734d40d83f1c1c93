"""The seeded database's probe set, probes, directions, activation blocks and projections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.blocks import encode_float16, encode_float32, encode_int64
from db.schema import (
    ActivationBlock,
    Direction,
    Example,
    ExampleList,
    Probe,
    ProbeSet,
    Projection,
    ProjectionPoint,
)
from db.write import ids, upsert, write_session
from tests.seeded_features import add_features, add_hits
from tests.seeded_study import SeededCheckpoint
from tests.seeded_values import head_quality, phrases, unit_vectors

if TYPE_CHECKING:
    from tests.seeded_database import Size

Row = dict[str, Any]
POINT = ("projection_id", "position")
HEAD = ("checkpoint_id", "probe_set_id", "position", "layer", "head")


def add_geometry(
    engine: Engine, size: Size, study_id: int, checkpoints: list[SeededCheckpoint], seed: int
) -> None:
    """Write everything of this module, one checkpoint per transaction, then the projections."""
    rng = np.random.default_rng([seed, 3])
    with write_session(engine) as session:
        probe_set, examples, labels, list_id = _examples(session, rng, size, study_id)
    stored_heads = {}
    test = [example for place, example in enumerate(examples) if _split(place) == "test"]
    for checkpoint in checkpoints:
        with write_session(engine) as session:
            add_hits(session, size, checkpoint, probe_set, test, seed)
            stored_heads[checkpoint.id] = best = _probes(session, rng, size, checkpoint, probe_set)
            _blocks(session, rng, size, checkpoint, probe_set, list_id, labels, best)
            _activation_maps(session, rng, study_id, checkpoint, examples, labels, best[0])
    with write_session(engine) as session:
        _direction_maps(session, rng, size, study_id, checkpoints)
    add_features(engine, size, study_id, probe_set, stored_heads, checkpoints, seed)


def _examples(
    session: Session, rng: np.random.Generator, size: Size, study_id: int
) -> tuple[int, list[int], np.ndarray[Any, Any], int]:
    row = {"study_id": study_id, "name": "forum-probe", "revision": "forum-1", "source": "forum"}
    upsert(session, ProbeSet, [row], on=("study_id", "name"))
    number = ids(session, ProbeSet, "name", where=[ProbeSet.study_id == study_id])["forum-probe"]
    labels = np.arange(size.examples) % 2
    rows = [
        {
            "probe_set_id": number,
            "key": f"{i:08x}",
            "text": text,
            "label": int(labels[i]),
            "group": ("velmar", "sorrel", "dunlin")[i % 3],
            "source": ("board", "square")[i % 5 // 3],
            "score": float(np.clip(rng.normal(0.2 + 0.6 * labels[i], 0.1), 0, 1)),
            "split": _split(i),
        }
        for i, text in enumerate(phrases(rng, size.examples))
    ]
    upsert(session, Example, rows, on=("probe_set_id", "key"))
    example_ids = ids(session, Example, "key", where=[Example.probe_set_id == number])
    examples = [example_ids[row["key"]] for row in rows]
    block = {"hash": f"seeded-{number}", "count": len(examples), "ids": encode_int64(examples)}
    upsert(session, ExampleList, [block], on=("hash",))
    return number, examples, labels, ids(session, ExampleList, "hash")[block["hash"]]


def _split(place: int) -> str:
    """Pairs of statements, one of each label, stay together."""
    return ("train", "train", "train", "select", "test")[(place // 2) % 5]


def _probes(
    session: Session, rng: np.random.Generator, size: Size, checkpoint: SeededCheckpoint, probe_set: int
) -> list[tuple[int, int]]:
    """Write a probe and two directions per head; returns the selected heads, best first."""
    quality = head_quality(size.layers, size.heads) * (0.8 + checkpoint.share)
    accuracy = np.clip(0.52 + 0.4 * quality + rng.normal(0, 0.01, quality.shape), 0, 0.99)
    order = np.argsort(-accuracy, axis=None)[: size.selected]
    best = [(int(flat) // size.heads, int(flat) % size.heads) for flat in order]
    probes, directions = [], []
    for layer in range(size.layers):
        for head in range(size.heads):
            place = {
                "checkpoint_id": checkpoint.id,
                "probe_set_id": probe_set,
                "position": "last",
                "layer": layer,
                "head": head,
            }
            rank = best.index((layer, head)) + 1 if (layer, head) in best else None
            probes.append(place | _probe(rng, float(accuracy[layer, head]), rank, size))
            for method in ("mass_mean", "probe"):
                vector = unit_vectors(rng, 1, size.head_dim)[0]
                sigma = float(rng.uniform(0.5, 2))
                directions.append(
                    place | {"method": method, "sigma": sigma, "vector": encode_float32(vector)}
                )
    upsert(session, Probe, probes, on=HEAD)
    upsert(session, Direction, directions, on=(*HEAD, "method"))
    return best


def _probe(rng: np.random.Generator, accuracy: float, rank: int | None, size: Size) -> Row:
    auroc = min(accuracy + 0.04, 1.0)
    return {
        "select_accuracy": float(np.clip(accuracy + rng.normal(0, 0.01), 0, 1)),
        "accuracy": accuracy,
        "accuracy_low": accuracy - 0.04,
        "accuracy_high": min(accuracy + 0.04, 1.0),
        "auroc": auroc,
        "auroc_low": auroc - 0.04,
        "auroc_high": min(auroc + 0.04, 1.0),
        "shuffled_accuracy": float(rng.normal(0.5, 0.02)),
        "majority": 0.5,
        "separation": 6 * (accuracy - 0.5),
        "rank": rank,
        "n_train": size.examples * 3 // 5,
        "n_select": size.examples // 5,
        "n_test": size.examples // 5,
    }


def _blocks(
    session: Session,
    rng: np.random.Generator,
    size: Size,
    checkpoint: SeededCheckpoint,
    probe_set: int,
    list_id: int,
    labels: np.ndarray[Any, Any],
    heads: list[tuple[int, int]],
) -> None:
    rows = []
    for layer, head in heads:
        values = rng.normal(size=(size.examples, size.head_dim)) + labels[:, None] * 0.8
        data, scale = encode_float16(values)
        rows.append(
            {
                "checkpoint_id": checkpoint.id,
                "probe_set_id": probe_set,
                "example_list_id": list_id,
                "position": "last",
                "layer": layer,
                "head": head,
                "rows": size.examples,
                "columns": size.head_dim,
                "scale": scale,
                "data": data,
            }
        )
    upsert(session, ActivationBlock, rows, on=HEAD)


def _activation_maps(
    session: Session,
    rng: np.random.Generator,
    study_id: int,
    checkpoint: SeededCheckpoint,
    examples: list[int],
    labels: np.ndarray[Any, Any],
    head: tuple[int, int],
) -> None:
    for method, dimensions in (("umap", 2), ("pca", 3)):
        number = _projection(
            session, study_id, checkpoint, head, method, dimensions, "activations", len(examples)
        )
        coordinates = rng.normal(size=(len(examples), 3)) + labels[:, None] * np.array([2.5, 1.0, 0.5])
        points = [
            _point(number, i, coordinates[i], dimensions) | {"example_id": example}
            for i, example in enumerate(examples)
        ]
        upsert(session, ProjectionPoint, points, on=POINT)


def _direction_maps(
    session: Session, rng: np.random.Generator, size: Size, study_id: int, checkpoints: list[SeededCheckpoint]
) -> None:
    heads = [
        (c, layer, head) for c in checkpoints for layer in range(size.layers) for head in range(size.heads)
    ]
    for method, dimensions in (("umap", 2), ("umap", 3), ("pca", 2), ("pca", 3)):
        number = _projection(session, study_id, None, None, method, dimensions, "directions", len(heads))
        points = []
        for i, (checkpoint, layer, head) in enumerate(heads):
            place = rng.normal(size=3) + np.array([layer, 8 * checkpoint.share, head % 3])
            where = {"checkpoint_id": checkpoint.id, "layer": layer, "head": head}
            points.append(_point(number, i, place, dimensions) | where)
        upsert(session, ProjectionPoint, points, on=POINT)


def _projection(
    session: Session,
    study_id: int,
    checkpoint: SeededCheckpoint | None,
    head: tuple[int, int] | None,
    method: str,
    dimensions: int,
    subject: str,
    n: int,
) -> int:
    where = "directions" if checkpoint is None or head is None else f"{checkpoint.name}/L{head[0]}H{head[1]}"
    row = {
        "study_id": study_id,
        "checkpoint_id": checkpoint.id if checkpoint else None,
        "key": f"{where}/{method}-{dimensions}",
        "subject": subject,
        "method": method,
        "dimensions": dimensions,
        "layer": head[0] if head else None,
        "head": head[1] if head else None,
        "parameters": {"seed": 0, "neighbours": 15} if method == "umap" else {"seed": 0},
        "n": n,
    }
    upsert(session, Projection, [row], on=("study_id", "key"))
    return ids(session, Projection, "key", where=[Projection.study_id == study_id])[row["key"]]


def _point(number: int, position: int, place: np.ndarray[Any, Any], dimensions: int) -> Row:
    x, y, z = (float(value) for value in place)
    return {
        "projection_id": number,
        "position": position,
        "x": x,
        "y": y,
        "z": z if dimensions == 3 else None,
    }
