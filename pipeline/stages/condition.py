"""Stage `condition`: which detox methods a checkpoint is put under, and what each costs.

Fixed strengths are taken as given; matched costs are searched for on held-out clean text. Every loss that
was computed is kept as a file, so a cut search goes on and the summary can resample documents.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete

from hormesis.backend.crossentropy import DocumentLosses
from hormesis.backend.lower_layers import LowerLayers
from hormesis.backend.model.steering import Intervention
from hormesis.db.blocks import encode_float64, encode_int64
from hormesis.db.contract.methods import NONE, null_kind
from hormesis.db.schema import Arm, Checkpoint, Condition, Generation, Metric
from hormesis.db.write import delete_others, read_session, upsert, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import checkpoint_id_of
from hormesis.pipeline.methods.condition import DetoxCondition
from hormesis.pipeline.methods.heldout import LossTable, heldout_text, loss_name, losses_folder
from hormesis.pipeline.methods.matched_cost import FIRST_STRENGTH
from hormesis.pipeline.methods.open_condition import open_condition
from hormesis.pipeline.methods.plan import Family, Strength, families, strengths
from hormesis.pipeline.methods.second_directions import second_facts
from hormesis.pipeline.methods.tuned import tuned_facts
from hormesis.pipeline.probing.loading import checkpoint_facts, open_checkpoint
from hormesis.pipeline.stages.text import heldout_documents
from hormesis.pipeline.statistics import Estimate, ratio_interval
from hormesis.pipeline.text.prefixes import PROMPT_TOKENS, marks

log = logging.getLogger(__name__)
EVERY_POSITION = "cost_every_position"
"""A second cost, of all tokens but the first with every position steered, as a model saved steered is."""
HELDOUT_SCOPE = f"as generated, behind the first {PROMPT_TOKENS} tokens of each window as its prompt"
NO_LOSS = "the held-out loss under it is no finite number, so that nothing is said or measured under it"
MADE_LATER = ("generations", "prompts_cut")
"""Parameters that later stages write into a condition's row."""


def find_conditions(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Find strengths, write conditions and their costs: nats per token above the unsteered checkpoint.

    Of text behind a prompt, steered as generation steers it.

    A family is the conditions of one method and direction; `first`: it at strength 0, opened for its losses.
    """
    checkpoint_id = checkpoint_id_of(context, subject.name)
    config = context.config
    weights_hash = checkpoint_facts(context, checkpoint_id).weights_hash
    half = config.evaluation.precision == "bfloat16"
    loaded = open_checkpoint(context, checkpoint_id, half=half)
    heldout = heldout_text(config, loaded, heldout_documents(context))
    if heldout.n_too_short:
        log.info("%d held-out texts are too short to be scored and left out", heldout.n_too_short)
    folder, batch_size = losses_folder(context, weights_hash), config.evaluation.batch_size
    lower = LowerLayers()
    tables = {
        "cost": LossTable(heldout.windows, folder, batch_size, lower=lower),
        EVERY_POSITION: LossTable(heldout.everywhere, folder / EVERY_POSITION, batch_size, lower=lower),
    }
    kind = arm_kind(context, checkpoint_id)
    planned = families(config, kind)
    total, done = sum(family.count for family in planned), 0
    keys_written: list[str] = []
    unsteered: dict[str, DocumentLosses] = {}
    starts: dict[str, float] = {}
    reporter.report(0, total, "conditions")
    for family in planned:
        reporter.say(f"held-out loss under {family.stem}")
        first = _condition(context, family, Strength(family.stem, 0.0), weights_hash=weights_hash, kind=kind)
        opened = open_condition(context, checkpoint_id, first, half=half)
        losses_name = loss_name(family.spec.name, family.direction, family.control)
        unsteered = unsteered or {metric: table.at("none", opened, 0.0) for metric, table in tables.items()}
        base = unsteered["cost"]

        def cost(strength: float) -> float:
            reporter.check()
            nats = tables["cost"].at(losses_name, opened, strength).nats - base.nats  # noqa: B023  (used up within this turn)
            return float(nats.sum() / base.tokens.sum())  # noqa: B023

        # Random directions are many, and their cost is compared by the one measure only.
        measured = list(tables) if family.direction and family.control is None else ["cost"]
        # Null directions of a kind need about the same strength, the first of them at least that of ITI. By
        # the whole method's name, so that a combination more leaves the strengths of the others alone.
        name = null_kind(family.stem) or family.spec.name
        start = starts.get(name, starts.get("iti", FIRST_STRENGTH))
        for member in strengths(family, cost, start):
            starts[name] = member.value or start
            condition = _condition(
                context, family, member, weights_hash=weights_hash, kind=kind, moved=opened.steering[0]
            )
            losses = {metric: tables[metric].at(losses_name, opened, member.value) for metric in measured}
            _write(
                context, checkpoint_id, condition, losses=losses, unsteered=unsteered,
                n_too_short=heldout.n_too_short,
            )  # fmt: skip
            keys_written.append(condition.key)
            done += 1
            reporter.report(done, total, "conditions")
    _forget_others(context, checkpoint_id, keys_written)


def arm_kind(context: StudyContext, checkpoint_id: int) -> str | None:
    """Kind of the arm a checkpoint was trained in; None for an imported one."""
    with read_session(context.engine) as session:
        query = session.query(Arm.kind).join(Checkpoint, Checkpoint.arm_id == Arm.id)
        kind = query.filter(Checkpoint.id == checkpoint_id).scalar()
    return None if kind is None else str(kind)


def _condition(
    context: StudyContext,
    family: Family,
    member: Strength,
    *,
    weights_hash: str,
    kind: str | None,
    moved: Intervention | None = None,
) -> DetoxCondition:
    """A condition to be opened again; `member`: its key and strength; `moved`: shifts at strength 1."""
    parameters: dict[str, Any] = {}
    if family.prefix:
        parameters["prefix"] = family.prefix
    if kind is not None and (arm_marks := marks(context.config, kind)):
        parameters["marks"] = list(arm_marks)
    if family.spec.tuned:
        parameters["tuned"] = tuned_facts(context, weights_hash, family.spec.tuned)
        if family.direction:
            parameters["directions_of"] = "the checkpoint before tuning"
    if family.direction == "second":
        parameters["second"] = second_facts(context, weights_hash)
    if moved is not None:
        squares = sum(float((shift.astype(np.float64) ** 2).sum()) for shift in moved.shifts.values())
        parameters["shift_norm"] = member.value * math.sqrt(squares)
    return DetoxCondition(
        key=member.key,
        method=family.spec.name,
        direction=family.direction,
        strength=member.value,
        matched_cost=member.matched_cost,
        reached=member.reached,
        n_heads=moved.n_heads if moved is not None else 0,
        control=family.control,
        parameters=parameters,
    )


def _write(
    context: StudyContext,
    checkpoint_id: int,
    condition: DetoxCondition,
    *,
    losses: Mapping[str, DocumentLosses],
    unsteered: Mapping[str, DocumentLosses],
    n_too_short: int,
) -> None:
    """Write a condition's row and its metrics; losses by the name of the cost that they give.

    `n_too_short`: held-out documents left out.
    """
    document_losses = losses["cost"]
    # Without any method it is the model that is no good, and what is estimated says so.
    is_sound = condition.method == NONE or all(np.isfinite(steered.nats).all() for steered in losses.values())
    estimates = _estimates(losses, unsteered, context.config.evaluation.bootstrap) if is_sound else {}
    if not is_sound:
        log.warning("%s at strength %g: %s", condition.key, condition.strength, NO_LOSS)
    measured = {
        **({} if is_sound else {"defect": NO_LOSS}),
        "heldout_tokens": int(document_losses.tokens.sum()),
        "heldout_too_short": n_too_short,
        "heldout_scope": HELDOUT_SCOPE,
    }
    row_key = {"checkpoint_id": checkpoint_id, "key": condition.key}
    row = {
        **row_key,
        "method": condition.method,
        "direction_method": condition.direction,
        "strength": condition.strength,
        "matched_cost": condition.matched_cost,
        "reached": condition.reached,
        "n_heads": condition.n_heads,
        "scope": context.config.steering.scope,
        "control": condition.control,
        "document_nats": encode_float64(document_losses.nats),
        "document_tokens": encode_int64(document_losses.tokens),
    }
    with write_session(context.engine) as session:
        stored = session.query(Condition.parameters).filter_by(**row_key).scalar()
        written_later = {name: (stored or {})[name] for name in MADE_LATER if name in (stored or {})}
        row["parameters"] = {**condition.parameters, **measured, **written_later}
        upsert(session, Condition, [row], on=("checkpoint_id", "key"))
        if not is_sound:
            of_condition = session.query(Condition.id).filter_by(**row_key).scalar()
            for model in (Metric, Generation):
                session.execute(delete(model).where(model.condition_id == of_condition))
        named_condition = NamedRow(session.query(Condition.id).filter_by(**row_key).scalar(), condition.key)
        rows = [
            metric_row(checkpoint_id, named_condition, name, estimate=estimate, unit="nats per token")
            for name, estimate in estimates.items()
        ]
        upsert(session, Metric, rows, on=("checkpoint_id", "key"))


def _estimates(
    losses: Mapping[str, DocumentLosses], unsteered: Mapping[str, DocumentLosses], draws: int
) -> dict[str, Estimate]:
    """Cross-entropy and each cost."""
    of_text = losses["cost"]
    estimates = {"cross_entropy": ratio_interval(of_text.nats, of_text.tokens, draws=draws)}
    for metric, steered in losses.items():
        rise: NDArray[np.float64] = steered.nats - unsteered[metric].nats
        estimates[metric] = ratio_interval(rise, steered.tokens, draws=draws)
    return estimates


class NamedRow(NamedTuple):
    """A row that others point to by its id."""

    id: int
    name: str


def metric_row(
    checkpoint_id: int,
    condition: NamedRow,
    metric: str,
    *,
    estimate: Estimate,
    unit: str,
    prompt_set: NamedRow | None = None,
    scorer: NamedRow | None = None,
) -> dict[str, object]:
    """A row of `metric`, of a condition alone or by one scorer on one prompt set."""
    parts = (condition.name, prompt_set.name if prompt_set else "", scorer.name if scorer else "", metric)
    return {
        "checkpoint_id": checkpoint_id,
        "condition_id": condition.id,
        "prompt_set_id": prompt_set.id if prompt_set else None,
        "scorer_id": scorer.id if scorer else None,
        "key": "|".join(parts),
        "name": metric,
        "unit": unit,
        **estimate.columns,
    }


def _forget_others(context: StudyContext, checkpoint_id: int, condition_keys: list[str]) -> None:
    """Drop conditions of an earlier configuration of the same study, with all that hangs on them."""
    with write_session(context.engine) as session:
        of_checkpoint = [Condition.checkpoint_id == checkpoint_id]
        delete_others(session, Condition, condition_keys, on=("key",), within=of_checkpoint)
