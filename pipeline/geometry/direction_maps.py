"""Maps of toxicity directions with their nulls and figures of merit, from stored profiles.

Heads have bases of their own, so directions are compared by what they do: the scores they give to the same
statements (all checkpoints), the logits they write (checkpoints with one vocabulary), or their vectors in the
residual stream (inside one checkpoint).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, select

from hormesis.db.blocks import decode_float16, decode_int64
from hormesis.db.schema import Arm, Checkpoint, DirectionProfile, Example, ExampleList, MapAgreement, Probe
from hormesis.db.write import read_session, replace_rows, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.geometry.agreement import (
    INDEPENDENT,
    RANDOM,
    Heads,
    Indices,
    NullDraw,
    agreements,
    independent_rows,
    random_rows,
    unit_rows,
)
from hormesis.pipeline.geometry.lens_profiles import RESIDUAL, VOCABULARY
from hormesis.pipeline.probing.profiles import FUNCTIONAL
from hormesis.pipeline.statistics.samples import sample_rows

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class DirectionSet:
    """Directions that can be compared, with their nulls; rows of arrays are heads, at most `max_points`."""

    key: str
    space: str
    checkpoint_id: int | None
    """Inside which heads are compared; None for all checkpoints."""
    values: Floats
    """[heads, columns]."""
    random: Floats
    """The same for stored random directions of the heads, [directions, heads, columns]."""
    labels: Indices | None
    """Of the columns where these are statements, 1 toxic; None elsewhere."""
    strata: Indices | None
    """Label and probe set of the columns; None elsewhere."""
    heads: Heads
    points: list[dict[str, Any]]
    """checkpoint_id, layer and head of each row."""
    left_out: list[str]
    """Checkpoints that cannot be compared with these."""

    def units(self, values: NDArray[np.floating]) -> Floats:
        """Rows of length 1, centred within strata, as they are compared and mapped."""
        return unit_rows(values, self.strata)

    @property
    def nulls(self) -> Mapping[str, NullDraw]:
        """Draws of rows in which there is nothing to see, by the null's name."""
        nulls: dict[str, NullDraw] = {RANDOM: partial(random_rows, self.random)}
        if self.labels is not None:
            nulls[INDEPENDENT] = partial(independent_rows, self.values, self.labels)
        return nulls

    def maps(self) -> Iterator[tuple[str | None, Floats]]:
        """What is drawn: the unit rows themselves (None), then one draw of each null by its name."""
        yield None, self.units(self.values)
        for name, draw in self.nulls.items():
            yield name, self.units(draw(np.random.default_rng(0)))


def direction_sets(context: StudyContext, is_mapped: Callable[[str], bool]) -> Iterator[DirectionSet]:
    """The sets of a study, functional first; residual ones of checkpoints whose name `is_mapped`.

    Where not all checkpoints share a basis (vocabularies differ), the commonest one counts.
    """
    profiles = _stored(context)
    for space in (FUNCTIONAL, VOCABULARY):
        of_space = [profile for profile in profiles if profile.space == space]
        if not of_space:
            continue
        # The first of equally common ones, so that the order of names decides.
        (basis, _), *_ = Counter(profile.basis for profile in of_space).most_common(1)
        chosen = [profile for profile in of_space if profile.basis == basis]
        left_out = sorted({profile.name for profile in of_space} - {profile.name for profile in chosen})
        yield _direction_set(context, space, chosen, left_out=left_out)
    residual = [profile for profile in profiles if profile.space == RESIDUAL and is_mapped(profile.name)]
    for name in dict.fromkeys(profile.name for profile in residual):
        chosen = [profile for profile in residual if profile.name == name]
        yield _direction_set(context, f"{RESIDUAL}/{name}", chosen, checkpoint_id=chosen[0].checkpoint_id)


def write_agreements(context: StudyContext, sets: list[DirectionSet]) -> None:
    """Write the figures of merit of all sets, and drop the study's others."""
    rows = [
        {
            "study_id": context.study_id,
            "checkpoint_id": directions.checkpoint_id,
            "key": directions.key,
            "space": directions.space,
            **asdict(agreement),
        }
        for directions in sets
        for agreement in agreements(
            directions.units(directions.values), directions.nulls, directions.units, heads=directions.heads
        )
    ]
    within = [MapAgreement.study_id == context.study_id]
    with write_session(context.engine) as session:
        replace_rows(session, MapAgreement, rows, on=("study_id", "key", "measure"), within=within)


def _stored(context: StudyContext) -> list[Row[Any]]:
    """Profiles of the study's direction and of random ones, with name and seed, by checkpoint and method."""
    profile = DirectionProfile
    query = (
        select(
            *(profile.checkpoint_id, profile.probe_set_id, profile.space, profile.method, profile.basis),
            *(profile.columns, profile.scale, profile.data, Checkpoint.name, Arm.seed, ExampleList.ids),
        )
        .join(Checkpoint, profile.checkpoint_id == Checkpoint.id)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .outerjoin(ExampleList, profile.example_list_id == ExampleList.id)
        .where(
            Checkpoint.study_id == context.study_id,
            profile.position == context.config.probe.position,
            (profile.method == context.config.steering.direction) | profile.method.like("random-%"),
        )
        # By name: ids follow the order in which arms happened to end, and the map must not.
        .order_by(Checkpoint.name, profile.method)
    )
    with read_session(context.engine) as session:
        return list(session.execute(query))


def _direction_set(
    context: StudyContext,
    key: str,
    profiles: list[Row[Any]],
    *,
    checkpoint_id: int | None = None,
    left_out: list[str] | None = None,
) -> DirectionSet:
    """One set of the `profiles` of a space; heads are sampled, checkpoint by checkpoint, where too many."""
    by_method: dict[str, list[Floats]] = {}
    for profile in profiles:
        values = decode_float16(profile.data, profile.columns, profile.scale)
        by_method.setdefault(profile.method, []).append(values)
    method = context.config.steering.direction
    directions = np.concatenate(by_method.pop(method))
    random = np.stack([np.concatenate(blocks) for blocks in by_method.values()])
    points, heads = _heads(context, [profile for profile in profiles if profile.method == method])
    most, seed = context.config.projection.max_points, context.config.projection.seed
    rows = sample_rows(len(directions), most, heads.checkpoint.tolist(), seed=seed)
    labels, strata = _labels(context, profiles[0].ids)
    return DirectionSet(
        key,
        profiles[0].space,
        checkpoint_id,
        values=directions[rows],
        random=random[:, rows],
        labels=labels,
        strata=strata,
        heads=Heads(heads.checkpoint[rows], heads.layer[rows], heads.accuracy[rows], heads.seed[rows]),
        points=[points[row] for row in rows],
        left_out=left_out or [],
    )


def _heads(context: StudyContext, profiles: list[Row[Any]]) -> tuple[list[dict[str, Any]], Heads]:
    """Every head of the checkpoints of `profiles` (one each), in the order of their rows."""
    query = (
        select(Probe.checkpoint_id, Probe.probe_set_id, Probe.layer, Probe.head, Probe.accuracy)
        .where(Probe.checkpoint_id.in_([profile.checkpoint_id for profile in profiles]))
        .where(Probe.position == context.config.probe.position)
        .order_by(Probe.checkpoint_id, Probe.layer, Probe.head)
    )
    probes_of: dict[tuple[int, int], list[Row[*tuple[Any, ...]]]] = {}
    with read_session(context.engine) as session:
        for row in session.execute(query):
            probes_of.setdefault((row.checkpoint_id, row.probe_set_id), []).append(row)
    probes = [
        (row, profile)
        for profile in profiles
        for row in probes_of[profile.checkpoint_id, profile.probe_set_id]
    ]
    points = [{"checkpoint_id": row.checkpoint_id, "layer": row.layer, "head": row.head} for row, _ in probes]
    return points, Heads(
        np.array([profile.name for _, profile in probes]),
        np.array([row.layer for row, _ in probes]),
        np.array([row.accuracy for row, _ in probes]),
        np.array([np.nan if profile.seed is None else profile.seed for _, profile in probes]),
    )


def _labels(context: StudyContext, packed_ids: bytes | None) -> tuple[Indices | None, Indices | None]:
    """Labels and strata (label and probe set) of the statements of a list; (None, None) without one."""
    if packed_ids is None:
        return None, None
    ids = decode_int64(packed_ids)
    query = select(Example.id, Example.label, Example.probe_set_id).where(Example.id.in_(ids.tolist()))
    with read_session(context.engine) as session:
        example_by_id = {row.id: row for row in session.execute(query)}
    labels = np.array([example_by_id[example].label for example in ids.tolist()])
    sets = np.array([example_by_id[example].probe_set_id for example in ids.tolist()])
    return labels, sets * 2 + labels
