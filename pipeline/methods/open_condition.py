"""Opening a condition: the one door to a model under a detox method.

Knows where tuned weights and directions lie; knows nothing of what is then done with the model.
"""

from __future__ import annotations

from hormesis.backend.model.directions import require_directions
from hormesis.backend.model.models import LoadedModel
from hormesis.backend.model.steering import Intervention, RowSteering, iti
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.methods.condition import DetoxCondition
from hormesis.pipeline.methods.opened_condition import OpenedCondition
from hormesis.pipeline.probing.loading import SMALL, checkpoint_facts, open_weights, steering_directions


def open_condition(
    context: StudyContext,
    checkpoint_id: int,
    condition: DetoxCondition,
    *,
    half: bool = False,
) -> OpenedCondition:
    """Open a checkpoint under a condition, planned or stored.

    `half`: in bfloat16 where the model is large enough for that to be faster, else in float32.
    The model is kept until another is asked for, so use conditions with the same weights one after another
    (`read_conditions` sorts them so). Raises ModelError where weights are gone or damaged, and NoDirections
    where the checkpoint's directions were not made.
    """
    loaded = open_tuned(context, checkpoint_id, condition, half=half)
    steering: RowSteering = (None, 0.0)
    if condition.direction is not None:
        steering = (intervention(context, checkpoint_id, loaded, condition.direction), condition.strength)
    marks = tuple(condition.parameters.get("marks", ()))
    return OpenedCondition(condition, loaded, steering, condition.prefix, marks)


def open_tuned(
    context: StudyContext, checkpoint_id: int, condition: DetoxCondition, *, half: bool = False
) -> LoadedModel:
    """The weights of a condition, nothing steered: those tuned for it, or the checkpoint's own."""
    base = checkpoint_facts(context, checkpoint_id)
    tuned = condition.tuned
    path = context.home / str(tuned["path"]) if tuned else base.path
    return open_weights(context, path, half=half and base.parameters >= SMALL)


def intervention(
    context: StudyContext, checkpoint_id: int, loaded: LoadedModel, direction_method: str
) -> Intervention:
    """The shift of a checkpoint's heads at strength 1 along its stored directions of one method.

    `loaded` may be the checkpoint after tuning: the directions are those of the checkpoint it was tuned from.
    Raises NoDirections where the checkpoint has none of that method.
    """
    head_directions = steering_directions(context, checkpoint_id, direction_method)
    require_directions(head_directions, direction_method)
    return iti(loaded.sites, head_directions, scope=context.config.steering.scope)
