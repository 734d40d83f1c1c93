"""Rows of heads: hits on the test statements, the statements' labels, entanglement of selected heads."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select

from hormesis.db.blocks import decode_int64
from hormesis.db.read.frame import Query
from hormesis.db.schema import Arm, Checkpoint, Entanglement, Example, ExampleList, Probe, ProbeHits
from hormesis.db.write import read_session
from hormesis.pipeline.probing.feature_cells import Clusters, find_clusters
from hormesis.pipeline.probing.head_accuracy import ArmGroup, Hits
from hormesis.pipeline.probing.loading import same_head
from hormesis.pipeline.text.text_keys import word_bag
from hormesis.pipeline.text.toxic_sentences import share_sentence


def arm_hits(
    engine: Engine, study_id: int, probe_set: int, *, position: str
) -> tuple[dict[ArmGroup, list[Hits]], list[int]]:
    """Hits [heads, statements] of each arm's seeds, and the ids of the statements, the same for all.

    Checkpoints whose heads were tested on other statements than most (an older probe set) are left out.
    """
    query = (
        select(Arm.kind, Arm.share, ProbeHits, ExampleList.ids)
        .join(Checkpoint, ProbeHits.checkpoint_id == Checkpoint.id)
        .join(Arm, Checkpoint.arm_id == Arm.id)
        .join(ExampleList, ProbeHits.example_list_id == ExampleList.id)
        .where(
            Checkpoint.study_id == study_id,
            ProbeHits.probe_set_id == probe_set,
            ProbeHits.position == position,
        )
        .order_by(Arm.kind, Arm.share, Arm.seed, Checkpoint.name)
    )
    with read_session(engine) as session:
        rows = session.execute(query).all()
    if not rows:
        return {}, []
    common_ids, _ = Counter(id_bytes for *_, id_bytes in rows).most_common(1)[0]
    hits_by_arm: dict[ArmGroup, list[Hits]] = defaultdict(list)
    for kind, share, hits_row, id_bytes in rows:
        if id_bytes == common_ids:
            packed = np.frombuffer(hits_row.bits, dtype=np.uint8).reshape(hits_row.heads, -1)
            hits_by_arm[ArmGroup(kind, share)].append(
                np.unpackbits(packed, axis=1, count=hits_row.statements).astype(bool)
            )
    return dict(hits_by_arm), [int(statement) for statement in decode_int64(common_ids)]


def _examples(engine: Engine, probe_set: int) -> dict[int, Any]:
    """A row per statement of a probe set, by id."""
    columns = (Example.id, Example.label, Example.text, Example.split)
    with read_session(engine) as session:
        rows = session.execute(select(*columns).where(Example.probe_set_id == probe_set))
        return {row.id: row for row in rows}


def labels_of(engine: Engine, probe_set: int, statements: list[int]) -> tuple[NDArray[np.bool_], Clusters]:
    """Whether each statement (an example's id) is toxic, [n]; and which are twins of a minimal pair."""
    examples = _examples(engine, probe_set)
    rows = [examples[statement] for statement in statements]
    toxic = np.array([row.label == 1 for row in rows], dtype=bool)
    return toxic, find_clusters([word_bag(row.text) for row in rows], toxic)


def unseen(engine: Engine, probe_set: int, statements: list[int]) -> NDArray[np.bool_]:
    """Statements (ids) none of whose sentences stands word for word in the train split, [n]."""
    examples = _examples(engine, probe_set)
    in_train = (row.text for row in examples.values() if row.split == "train")
    return ~np.array(share_sentence((examples[number].text for number in statements), in_train), bool)


def selected_entanglement(study_id: int, *columns: Any) -> Query:
    """A query for `columns`, one row per selected head of a study's checkpoints with an entanglement."""
    return (
        select(*columns)
        .select_from(Entanglement)
        .join(Checkpoint, Entanglement.checkpoint_id == Checkpoint.id)
        .join(Probe, same_head(Probe, Entanglement))
        .where(Checkpoint.study_id == study_id, Probe.rank.is_not(None), Entanglement.value.is_not(None))
    )
