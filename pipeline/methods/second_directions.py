"""A second set of directions, from another source than the probes: heads, directions and sigmas all its own.

A direction found on statements of the same family as the evaluation prompts could be a direction of that
family; this control shares neither statements nor the choice of heads with the first set. Knows the source
role `directions`; its statements are not kept as rows, only their number and revision.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from threadpoolctl import threadpool_limits

from hormesis.backend.capture import capture
from hormesis.db.blocks import encode_float32
from hormesis.db.contract.methods import SECOND
from hormesis.db.manifest import require_intact, write_sealed_json
from hormesis.db.schema import Direction, Example
from hormesis.db.write import read_session, replace_rows, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.probing.loading import checkpoint_facts, open_checkpoint, probe_set_id
from hormesis.pipeline.probing.probes import probe_heads, resolve_heads, select_heads
from hormesis.pipeline.text.source_rows import RoleTexts, record_role
from hormesis.pipeline.text.statements import direction_statements

BATCH = 32


def make_second(context: StudyContext, checkpoint_id: int, reporter: Reporter) -> None:
    """Write the second set's mean differences, of heads `chosen` by itself; `labels` [n]: 1 toxic, 0 not."""
    config = context.config.probe
    reporter.say("directions from the second source")
    loaded = open_checkpoint(context, checkpoint_id, half=config.precision == "bfloat16")
    query = select(Example.key).where(Example.probe_set_id == probe_set_id(context))
    with read_session(context.engine) as session:
        probed_keys = set(session.scalars(query))
    second, split = direction_statements(context.config, probed_keys)
    record_role(context, RoleTexts.of(second))
    texts, labels = second.texts, np.array(second.labels, dtype=np.int64)
    activations = capture(
        loaded, texts, position=config.position, batch_size=BATCH, progress=reporter.counting("statements")
    )
    with threadpool_limits(1, "blas"):
        run = probe_heads(activations, labels, split.codes, settings=config)
    count = resolve_heads(config.heads, len(loaded.heads))
    chosen = set(select_heads(run.results, count))
    set_id = probe_set_id(context)
    keys = {"checkpoint_id": checkpoint_id, "probe_set_id": set_id, "position": config.position}
    rows = [
        {
            **keys,
            "method": SECOND,
            "layer": direction.layer,
            "head": direction.head,
            "sigma": direction.sigma,
            "vector": encode_float32(direction.vector),
        }
        for direction in run.mass_mean
        if (direction.layer, direction.head) in chosen
    ]
    with write_session(context.engine) as session:
        on = ("checkpoint_id", "probe_set_id", "position", "method", "layer", "head")
        within = [Direction.checkpoint_id == checkpoint_id, Direction.method == SECOND]
        replace_rows(session, Direction, rows, on=on, within=within)
    accuracies = [head.accuracy for head in run.results if (head.layer, head.head) in chosen]
    weights_hash = checkpoint_facts(context, checkpoint_id).weights_hash
    summary = {
        "statements": len(texts),
        "toxic": int(labels.sum()),
        "source": "+".join(dict.fromkeys(source.title for source in context.config.with_role("directions"))),
        "test_accuracy": float(np.mean(accuracies)),
    }
    write_sealed_json(second_path(context, weights_hash), summary)


def second_path(context: StudyContext, weights_hash: str) -> Path:
    """Where it is written what the second set of a checkpoint was made from."""
    return context.folder("second", context.inputs.second(weights_hash)) / "second.json"


def second_facts(context: StudyContext, weights_hash: str) -> dict[str, Any]:
    """What a condition's row says of the second set: source, number of statements, accuracy of its heads.

    Raises ValueError where it was not made yet.
    """
    try:
        path = require_intact(second_path(context, weights_hash))
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ValueError("the second set of directions was not made yet; run the study again") from None
    assert isinstance(summary, dict)
    return summary
