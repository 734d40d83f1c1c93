"""What each head adds over the steered ones: statements it tells right that most of the others get wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from hormesis.db.schema import Probe, ProbeHits
from hormesis.db.write import read_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.probing.profiles import Keys
from hormesis.pipeline.statistics.estimates import proportion


def missed_and_right(
    hits: NDArray[np.bool_], is_steered: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per head, the statements that at least half of the other steered heads get wrong, and of those its own
    hits, [heads] each; `hits` [heads, statements], `is_steered` [heads]. A head without others misses none.
    """
    right_of_steered = hits[is_steered].sum(axis=0)
    others = is_steered.sum() - is_steered
    right_of_others = right_of_steered - np.where(is_steered[:, None], hits, False)
    missed = (2 * right_of_others <= others[:, None]) & (others[:, None] > 0)
    return missed.sum(axis=1), (missed & hits).sum(axis=1)


def contribution_rows(context: StudyContext, keys: Keys) -> list[dict[str, Any]]:
    """A row of `head_contribution` per head of a checkpoint (`keys`); none without hits or other heads."""
    of_checkpoint = [
        [getattr(model, name) == value for name, value in keys.items()] for model in (ProbeHits, Probe)
    ]
    probes = select(Probe.layer, Probe.head, Probe.rank).where(*of_checkpoint[1])
    with read_session(context.engine) as session:
        stored = session.scalar(select(ProbeHits).where(*of_checkpoint[0]))
        heads = session.execute(probes.order_by(Probe.layer, Probe.head)).all()
    if stored is None:
        return []
    packed = np.frombuffer(stored.bits, dtype=np.uint8).reshape(stored.heads, -1)
    hits = np.unpackbits(packed, axis=1, count=stored.statements).astype(bool)
    is_steered = np.array([head.rank is not None for head in heads])
    missed, right = missed_and_right(hits, is_steered)
    rows = []
    for place, head in enumerate(heads):
        others = int(is_steered.sum()) - int(is_steered[place])
        if not others:
            continue
        share = None
        if missed[place]:
            share = proportion(int(right[place]), int(missed[place]), "statements")
        rows.append(
            {
                **keys,
                "layer": head.layer,
                "head": head.head,
                "others": others,
                "missed": int(missed[place]),
                "right": int(right[place]),
                "value": share and share.value,
                "low": share and share.low,
                "high": share and share.high,
                "n": stored.statements,
                "interval": share.method if share else "none",
            }
        )
    return rows
