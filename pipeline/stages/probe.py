"""Stage `probe`: capture and probe every head, choose heads, keep directions and activations."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import or_, select
from threadpoolctl import threadpool_limits

from hormesis.backend.capture import HeadActivations, capture
from hormesis.db.blocks import encode_float16, encode_float32
from hormesis.db.contract.methods import NULL_STEMS
from hormesis.db.schema import ActivationBlock, Example, Probe, ProbeHits
from hormesis.db.schema import Direction as DirectionRow
from hormesis.db.write import delete_others, read_session, replace_rows, upsert, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import checkpoint_id_of
from hormesis.pipeline.probing.gains import Labelled, write_gains
from hormesis.pipeline.probing.loading import checkpoint_facts, open_checkpoint, probe_set_id
from hormesis.pipeline.probing.permuted_directions import permuted_directions, resampled_directions
from hormesis.pipeline.probing.probes import (
    Direction,
    ProbeRun,
    probe_heads,
    random_directions,
    resolve_heads,
    select_heads,
)
from hormesis.pipeline.probing.profiles import stored_list, write_statement_scores

BATCH = 32
Places = list[tuple[int, int]]
PROBE_KEY = ("checkpoint_id", "probe_set_id", "position", "layer", "head")
DIRECTION_KEY = ("checkpoint_id", "probe_set_id", "position", "method", "layer", "head")


def probe_checkpoint(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write probes, their gains, directions (with null directions) and kept activations of one checkpoint.

    `selected`: (layer, head), best first; `controls`: the null directions. Raises
    ProbeError where the probe set lacks a class, or the study asks for more heads than there are.
    """
    checkpoint_id = checkpoint_id_of(context, subject.name)
    weights_hash = checkpoint_facts(context, checkpoint_id).weights_hash
    config = context.config.probe
    loaded = open_checkpoint(context, checkpoint_id, half=config.precision == "bfloat16")
    n_selected = resolve_heads(config.heads, len(loaded.heads))
    examples = _examples(context)
    statements = Labelled.of(examples)
    activations_file = context.folder("activations", context.inputs.probe(weights_hash)) / "heads.npy"
    activations_file.parent.mkdir(parents=True, exist_ok=True)
    reporter.say("capturing head activations")
    activations = capture(
        loaded,
        statements.texts,
        path=activations_file,
        position=config.position,
        batch_size=BATCH,
        progress=reporter.counting("examples"),
    )
    reporter.say("fitting probes")
    shuffle_seed = zlib.crc32(loaded.weights_hash().encode())
    # One BLAS thread: several contend over the many small products and end up slower.
    with threadpool_limits(1, "blas"):
        run = probe_heads(
            activations, statements.labels, statements.codes, settings=config, shuffle_seed=shuffle_seed,
            progress=reporter.counting("heads"),
        )  # fmt: skip
    selected = select_heads(run.results, n_selected)
    kind = None if subject.arm is None else subject.arm.kind
    controls = list(
        _null_directions(context, activations, statements, run=run, selected=selected, arm_kind=kind)
    )
    set_id = probe_set_id(context)
    keys = {"checkpoint_id": checkpoint_id, "probe_set_id": set_id, "position": config.position}
    _write_probes(context, keys, run, n_selected=n_selected)
    _write_hits(context, keys, run, ids=[row["id"] for row in examples if row["split"] == "test"])
    _write_directions(context, keys, run, controls=controls)
    ids = [row["id"] for row in examples]
    write_statement_scores(context, keys, subject.name, activations=activations, ids=ids)
    write_gains(
        context,
        keys,
        run,
        n_heads=n_selected,
        loaded=loaded,
        statements=statements,
        seed=0 if subject.arm is None or subject.model else subject.arm.seed,
        reporter=reporter,
    )
    reporter.say("keeping activations")
    _write_activations(context, keys, activations, ids=ids, chosen=selected)
    _remove(activations_file)


def _null_directions(
    context: StudyContext,
    activations: HeadActivations,
    statements: Labelled,
    *,
    run: ProbeRun,
    selected: Places,
    arm_kind: str | None,
) -> Iterator[Direction]:
    """The null directions of the kinds that such an arm has, of the `selected` heads or their own."""
    config, direction = context.config, context.config.steering.direction
    for kind, count in config.steering.nulls_of(arm_kind):
        if kind == "permuted" or kind == "resampled":
            from_statements = permuted_directions if kind == "permuted" else resampled_directions
            with threadpool_limits(1, "blas"):  # as for the probes
                sets = list(
                    from_statements(
                        activations, statements.labels, statements.codes, settings=config.probe,
                        n_heads=len(selected), count=count, method=direction,
                    )
                )  # fmt: skip
        elif kind == "reversed":
            name = f"{NULL_STEMS[kind]}-0"
            of_study = run.directions(direction, selected)
            sets = [[replace(of_head, vector=-of_head.vector, method=name) for of_head in of_study]]
        else:
            sets = random_directions(activations, statements.codes, selected, count=count, seed=0, kind=kind)
        yield from chain.from_iterable(sets)


def _examples(context: StudyContext) -> list[dict[str, Any]]:
    """The statements of the probe set by id, as dicts of id, text, label (1 toxic) and split."""
    query = (
        select(Example.id, Example.text, Example.label, Example.split)
        .where(Example.probe_set_id == probe_set_id(context))
        .order_by(Example.id)
    )
    with read_session(context.engine) as session:
        return [dict(row._mapping) for row in session.execute(query)]


def _write_probes(context: StudyContext, keys: dict[str, Any], run: ProbeRun, *, n_selected: int) -> None:
    """Write a row per head; `keys` are the columns that name checkpoint, probe set and position."""
    frame = run.table(n_selected).drop(columns="select_auroc")
    rows: list[dict[str, Any]] = []
    for record in frame.to_dict("records"):
        rank = record.pop("rank")
        numbers = {str(name): value for name, value in record.items()}
        rows.append({**keys, **numbers, "rank": None if rank is None or rank != rank else int(rank)})
    with write_session(context.engine) as session:
        upsert(session, Probe, rows, on=PROBE_KEY)


def _write_hits(context: StudyContext, keys: dict[str, Any], run: ProbeRun, *, ids: list[int]) -> None:
    """Write which of the test statements `ids` each head got right, packed bits [heads, statements]."""
    row = {
        **keys,
        "example_list_id": stored_list(context, ids)[0],
        "heads": len(run.hits),
        "statements": len(ids),
        "bits": np.packbits(np.array(run.hits), axis=1).tobytes(),
    }
    with write_session(context.engine) as session:
        upsert(session, ProbeHits, [row], on=("checkpoint_id", "probe_set_id", "position"))


def _write_directions(
    context: StudyContext, keys: dict[str, Any], run: ProbeRun, *, controls: list[Direction]
) -> None:
    """Write a row per method and head; `controls` are the null directions."""
    rows = [
        {
            **keys,
            "method": direction.method,
            "layer": direction.layer,
            "head": direction.head,
            "sigma": direction.sigma,
            "vector": encode_float32(direction.vector),
        }
        for direction in (*run.mass_mean, *run.probe, *controls)
    ]
    with write_session(context.engine) as session:
        # Controls exist for the chosen heads only; those of an earlier choice must not linger.
        is_null = or_(*(DirectionRow.method.like(f"{stem}-%") for stem in NULL_STEMS.values()))
        controlled = [DirectionRow.checkpoint_id == keys["checkpoint_id"], is_null]
        replace_rows(session, DirectionRow, rows, on=DIRECTION_KEY, within=controlled)


def kept_heads(context: StudyContext, heads: Places, chosen: Places) -> Places:
    """Heads whose activations go into the database: the selected `chosen` and a fixed random sample."""
    config = context.config.probe
    if config.keep_activations == "all":
        return heads
    if config.keep_activations == "none":
        return []
    unselected = [head for head in heads if head not in set(chosen)]
    sample = random.Random("kept heads").sample(unselected, min(config.keep_random, len(unselected)))
    return sorted({*chosen, *sample})


def _write_activations(
    context: StudyContext,
    keys: dict[str, Any],
    activations: HeadActivations,
    *,
    ids: list[int],
    chosen: Places,
) -> None:
    """Write a block [statements, head_dim] per kept head."""
    heads = [(layer, head) for layer, block in activations.items() for head in range(block.shape[1])]
    places = kept_heads(context, heads, chosen)
    list_id, _ = stored_list(context, ids)
    for layer, head in places:
        block = np.asarray(activations[layer][:, head], dtype=np.float32)
        data, scale = encode_float16(block)
        row = {
            **keys,
            "example_list_id": list_id,
            "layer": layer,
            "head": head,
            "rows": len(block),
            "columns": block.shape[1],
            "scale": scale,
            "data": data,
        }
        with write_session(context.engine) as session:
            upsert(session, ActivationBlock, [row], on=PROBE_KEY)
    # Activations of heads that an earlier selection kept and this one does not.
    of_checkpoint = [ActivationBlock.checkpoint_id == keys["checkpoint_id"]]
    with write_session(context.engine) as session:
        delete_others(session, ActivationBlock, places, on=("layer", "head"), within=of_checkpoint)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()
