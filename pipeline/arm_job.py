"""The work of one arm, from mix to scores, as a worker process runs it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from sqlalchemy import Engine, select

from db.engine import open_writer
from db.schema import Checkpoint
from db.write import read_session
from pipeline import workers
from pipeline.config import StudyConfig
from pipeline.context import ArmPlan, StudyContext
from pipeline.progress import Stopped
from pipeline.registry import Inputs, arm_id, arm_stages
from pipeline.stage import Stage, StageFailed, plain_words, run_stage


@dataclass(frozen=True)
class StudyHandle:
    """What a worker needs to open a study for itself; plain values, so that it can be pickled."""

    config: StudyConfig
    study_id: int
    home: Path
    database_url: str
    revisions: tuple[tuple[str, str], ...]

    @property
    def inputs(self) -> Inputs:
        """The hash chain of this study."""
        return Inputs(self.config, dict(self.revisions))


@dataclass(frozen=True)
class ArmOutcome:
    """How one arm ended: `done`, `stopped` or `failed`, and whether anything had to be run."""

    arm: str
    status: str
    message: str = ""
    worked: bool = False


@cache
def _engine(url: str) -> Engine:
    return open_writer(url)


def open_study(handle: StudyHandle) -> StudyContext:
    """The study as this process sees it."""
    return StudyContext(
        config=handle.config,
        study_id=handle.study_id,
        home=handle.home,
        engine=_engine(handle.database_url),
        should_stop=workers.stop_requested,
    )


def run_arm(handle: StudyHandle, arm: ArmPlan) -> ArmOutcome:
    """Run every stage of an arm that is not done. Never raises: the outcome says what happened."""
    try:
        worked = _stages_of(open_study(handle), handle.inputs, arm)
    except Stopped:
        return ArmOutcome(arm.name, "stopped")
    except StageFailed as error:
        return ArmOutcome(arm.name, "failed", str(error))
    except Exception as error:  # before or between stages, e.g. a locked database
        return ArmOutcome(arm.name, "failed", f"{arm.name}: {plain_words(error)}")
    return ArmOutcome(arm.name, "done", worked=worked)


def _stages_of(context: StudyContext, inputs: Inputs, arm: ArmPlan) -> bool:
    # Imported here: the stages bring torch, which the command line must not wait for.
    from pipeline.stages.mix import make_mix
    from pipeline.stages.train import train_arm

    row = arm_id(context.engine, context.study_id, arm)
    mix, train, *rest = arm_stages(inputs, arm)
    worked = run_stage(context, mix, lambda r: make_mix(context, inputs, arm, row, r))
    worked |= run_stage(context, train, lambda r: train_arm(context, inputs, arm, row, r))
    return run_checkpoint(context, inputs, rest, checkpoint_id(context, arm.name)) or worked


def run_checkpoint(context: StudyContext, inputs: Inputs, stages: list[Stage], checkpoint: int) -> bool:
    """Run the stages of a checkpoint that are not done; True where any ran. Raises as `run_stage`."""
    from pipeline.stages.attack import attack_checkpoint
    from pipeline.stages.capability import measure_capability
    from pipeline.stages.condition import find_conditions
    from pipeline.stages.generate import generate_all
    from pipeline.stages.geometry import measure_geometry
    from pipeline.stages.methods import prepare_methods
    from pipeline.stages.probe import probe_checkpoint
    from pipeline.stages.relearn import relearn_checkpoint
    from pipeline.stages.score import score_checkpoint

    works = {
        "probe": probe_checkpoint,
        "geometry": measure_geometry,
        "methods": prepare_methods,
        "condition": find_conditions,
        "generate": generate_all,
        "score": score_checkpoint,
        "capability": measure_capability,
        "attack": attack_checkpoint,
        "relearn": relearn_checkpoint,
    }
    worked = False
    for stage in stages:
        work = works[stage.name]
        worked |= run_stage(context, stage, partial(work, context, inputs, checkpoint))
    return worked


def checkpoint_id(context: StudyContext, name: str) -> int:
    """Id of a checkpoint of this study. Raises StageFailed where it is missing."""
    query = select(Checkpoint.id).where(Checkpoint.study_id == context.study_id, Checkpoint.name == name)
    with read_session(context.engine) as session:
        found = session.scalar(query)
    if found is None:
        raise StageFailed(f"the checkpoint {name} is missing although its training is marked as done")
    return found
