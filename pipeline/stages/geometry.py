"""Stage `geometry`: how toxicity lies among other features in each kept head, and the words it points to.

Works on what the probe stage kept: activation blocks, directions, ranks. Nothing is captured again, but for
checkpoints that were probed before scores of the fixed statements were stored.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from threadpoolctl import threadpool_limits

from hormesis.backend.model.loaded import LoadedModel
from hormesis.db.blocks import decode_float16, decode_float32, decode_int64
from hormesis.db.schema import (
    ActivationBlock,
    Direction,
    Entanglement,
    Example,
    ExampleList,
    FeatureCosine,
    HeadContribution,
    LensToken,
)
from hormesis.db.write import read_session, replace_rows, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import checkpoint_id_of
from hormesis.pipeline.geometry.entanglement import Cosines, Largest, entanglement
from hormesis.pipeline.geometry.lens_profiles import write_lens_profiles
from hormesis.pipeline.geometry.logit_lens import LensError, tokens
from hormesis.pipeline.probing.contributions import contribution_rows
from hormesis.pipeline.probing.features import Labelled, labelled
from hormesis.pipeline.probing.loading import open_checkpoint, probe_set_id
from hormesis.pipeline.probing.probe_directions import unit
from hormesis.pipeline.probing.profiles import missing_statement_scores

DRAWS = 200
"""Permutations, and resamples."""
REFERENCES = 100
"""Directions of permuted labels, and random ones, that a head's words are compared with."""
METHOD = (
    f"difference of means within strata, whitened; noise taken off over pairs of statements; {DRAWS} "
    f"permutations and resamples of whole minimal pairs"
)
HEAD = ("checkpoint_id", "probe_set_id", "position", "layer", "head")
Block = NDArray[np.float32]
Keys = dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Heads:
    """Kept heads of one width and their activations [n, heads, d], rows in the order of the probe set."""

    places: list[tuple[int, int]]
    values: Block


def measure_geometry(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write cosines with other features, entanglement, lens tokens, what heads add, and directions' profiles.

    A study that keeps no activations, or whose statements carry no other feature, gets no cosines; a model
    whose final norm is not known gets no tokens. Rows of heads that are no longer kept are dropped.
    `by_feature` holds arrays [heads, features], `by_head` [heads]; `cosines`, `largest` and `words` are rows.
    """
    checkpoint_id = checkpoint_id_of(context, subject.name)
    position = context.config.probe.position
    keys = {"checkpoint_id": checkpoint_id, "probe_set_id": probe_set_id(context), "position": position}
    statements = labelled(context)
    heads_by_width = _heads(context, keys, statements)
    reporter.say("comparing toxicity with other features")
    reporter.report(0, 3, "parts")
    cosines: list[Keys] = []
    largest: list[Keys] = []
    # One BLAS thread: several contend over the many small products and end up slower.
    with threadpool_limits(1, "blas"):
        for heads in heads_by_width if statements.variables else ():
            by_feature, by_head = entanglement(
                heads.values,
                statements.toxic,
                statements.variables,
                clusters=statements.clusters,
                draws=DRAWS,
            )
            cosines += _cosine_rows(keys, heads, statements, cosines=by_feature)
            largest += _largest_rows(keys, heads, statements, largest=by_head)
    reporter.say("reading directions through the unembedding")
    reporter.report(1, 3, "parts")
    loaded = open_checkpoint(context, checkpoint_id)
    words = [row for heads in heads_by_width for row in _lens_rows(context, keys, heads, loaded=loaded)]
    contributions = contribution_rows(context, keys)
    with write_session(context.engine) as session:
        for table, rows, on in (
            (FeatureCosine, cosines, (*HEAD, "feature")),
            (Entanglement, largest, HEAD),
            (LensToken, words, (*HEAD, "method", "side", "rank")),
            (HeadContribution, contributions, HEAD),
        ):
            replace_rows(session, table, rows, on=on, within=[table.checkpoint_id == checkpoint_id])
    reporter.say("making directions comparable between heads")
    reporter.report(2, 3, "parts")
    missing_statement_scores(context, keys, subject.name, loaded=loaded)
    write_lens_profiles(context, keys, subject, loaded=loaded)
    reporter.report(3, 3, "parts")


def _heads(context: StudyContext, keys: Keys, statements: Labelled) -> list[_Heads]:
    """The kept heads by their width, statements in the order of the probe set; `keys` are column values."""
    query = (
        select(ActivationBlock, ExampleList.ids)
        .join(ExampleList, ActivationBlock.example_list_id == ExampleList.id)
        .where(*(getattr(ActivationBlock, name) == value for name, value in keys.items()))
        .order_by(ActivationBlock.layer, ActivationBlock.head)
    )
    places_of: dict[int, list[tuple[int, int]]] = defaultdict(list)
    activations_of: dict[int, list[Block]] = defaultdict(list)
    with read_session(context.engine) as session:
        for block, ids in session.execute(query):
            order = np.argsort(decode_int64(ids))
            if not np.array_equal(decode_int64(ids)[order], statements.ids):
                continue  # of an earlier state of the probe set
            places_of[block.columns].append((block.layer, block.head))
            activations_of[block.columns].append(
                decode_float16(block.data, block.columns, block.scale)[order]
            )
    return [_Heads(places, np.stack(activations_of[width], axis=1)) for width, places in places_of.items()]


def _number(value: Any) -> float | None:
    return None if math.isnan(float(value)) else float(value)


def _cosine_rows(keys: Keys, heads: _Heads, statements: Labelled, *, cosines: Cosines) -> list[Keys]:
    """A row per head and feature (one value of a variable); arrays of `cosines` are [heads, features]."""
    features = [
        (variable, name, code) for variable in statements.variables for name, code in variable.features
    ]
    columns = ("cosine", "low", "high", "null_low", "null_high", "p")
    rows = []
    for head_index, (layer, head) in enumerate(heads.places):
        for feature_index, (variable, name, code) in enumerate(features):
            row = {**keys, "layer": layer, "head": head, "variable": variable.name, "feature": name}
            row |= {
                column: _number(getattr(cosines, column)[head_index, feature_index]) for column in columns
            }
            row |= {
                "reliability": float(cosines.reliability[head_index, feature_index]),
                "toxicity_reliability": float(cosines.toxicity_reliability[head_index, feature_index]),
                "n": int((variable.codes >= 0).sum()),
                "n_feature": int((variable.codes == code).sum()),
            }
            rows.append(row)
    return rows


def _largest_rows(keys: Keys, heads: _Heads, statements: Labelled, *, largest: Largest) -> list[Keys]:
    """A row per head; `largest` has arrays [heads], its `feature` an index into all features, or -1."""
    feature_names = [name for variable in statements.variables for name, _ in variable.features]
    columns = ("value", "low", "high", "null_mean", "null_high", "p", "random_median", "random_high", "welch")
    rows = []
    for head_index, (layer, head) in enumerate(heads.places):
        place = int(largest.feature[head_index])
        rows.append(
            {
                **keys,
                "layer": layer,
                "head": head,
                **{column: _number(getattr(largest, column)[head_index]) for column in columns},
                "feature": feature_names[place] if place >= 0 else None,
                "used": int(largest.used[head_index]),
                "tried": len(feature_names),
                "dimensions": heads.values.shape[2],
                "n": len(statements.ids),
                "method": METHOD,
            }
        )
    return rows


def _lens_rows(context: StudyContext, keys: Keys, heads: _Heads, *, loaded: LoadedModel) -> list[Keys]:
    """A row per head, side and token of the kept heads' directions, each `sigma` long (train activations)."""
    method = context.config.steering.direction
    query = (
        select(Direction.layer, Direction.head, Direction.sigma, Direction.vector)
        .where(*(getattr(Direction, name) == value for name, value in keys.items()))
        .where(Direction.method == method)
    )
    examples = (
        select(Example.label, Example.split)
        .where(Example.probe_set_id == keys["probe_set_id"])
        .order_by(Example.id)
    )
    with read_session(context.engine) as session:
        directions = {(layer, head): (sigma, packed) for layer, head, sigma, packed in session.execute(query)}
        statements = session.execute(examples).all()
    train = np.array([split == "train" for _, split in statements], dtype=bool)
    toxic = np.array([label == 1 for label, _ in statements], dtype=bool)[train]
    rows: list[Keys] = []
    with suppress(LensError):
        for head_index, (layer, head) in enumerate(heads.places):
            if (layer, head) not in directions:
                continue
            sigma, packed = directions[layer, head]
            references = _references(heads.values[train, head_index], toxic, (layer, head))
            direction = decode_float32(packed) * np.float32(sigma)
            for token in tokens(loaded, layer, head, vector=direction, references=references):
                rows.append(
                    {
                        **keys,
                        "method": method,
                        "layer": layer,
                        "head": head,
                        "side": token.side,
                        "rank": token.rank,
                        "token_id": token.token_id,
                        "token": _storable(token.token),
                        "logit": token.logit,
                        "permuted": token.reference["permuted"],
                        "random": token.reference["random"],
                    }
                )
    return rows


def _storable(token: str) -> str:
    """As text that every database keeps: lone surrogates and null bytes are written out."""
    safe = token.encode("utf-8", "replace").decode()
    return safe if "\x00" not in safe else json.dumps(safe)[1:-1]


def _references(train: Block, toxic: NDArray[np.bool_], head: tuple[int, int]) -> dict[str, Block]:
    """Directions [REFERENCES, d] of permuted labels, and random ones, one sigma long; `train` [n, d]."""
    rng = np.random.default_rng([*head, 7])
    shuffled = np.stack([rng.permutation(toxic) for _ in range(REFERENCES)]).astype(np.float64)
    centred = train.astype(np.float64) - train.mean(axis=0, dtype=np.float64)
    permuted = shuffled @ centred  # in proportion to the difference of means, the classes' sizes being fixed
    random = rng.standard_normal((REFERENCES, train.shape[1]))
    references = {}
    for name, vectors in (("permuted", unit(permuted)), ("random", unit(random))):
        sigma = (centred @ vectors.T).std(axis=0)
        references[name] = (vectors * sigma[:, None]).astype(np.float32)
    return references
