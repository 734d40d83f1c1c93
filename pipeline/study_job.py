"""What a study does once, before its arms (text) and after them (projections), as a worker runs it."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select

from db.schema import StageRun
from db.write import read_session
from pipeline.arm_job import StudyHandle, open_study
from pipeline.context import StudyContext
from pipeline.progress import Stopped
from pipeline.registry import Inputs
from pipeline.stage import Stage, StageFailed, plain_words, run_stage


def prepare_text(handle: StudyHandle) -> str | None:
    """In a worker: the text stage. None when done, "" when stopped, else the failure in one line."""
    from pipeline.stages.text import prepare

    def work() -> None:
        context = open_study(handle)
        text = Stage("text", "study", handle.inputs.text)
        run_stage(context, text, lambda reporter: prepare(context, handle.inputs, reporter))

    return _told(work)


def _told(work: Callable[[], None]) -> str | None:
    """None when the work is done, "" when it was stopped, else the failure in one line. Never raises."""
    try:
        work()
    except Stopped:
        return ""
    except StageFailed as error:
        return str(error)
    except Exception as error:  # outside a stage, e.g. a locked database; not every error survives pickling
        return plain_words(error)
    return None


def run_projections(handle: StudyHandle) -> str | None:
    """In a worker: the projections over all checkpoints probed. Answers like `prepare_text`."""
    from pipeline.stages.project import project

    def work() -> None:
        context = open_study(handle)
        run_stage(context, project_stage(context, handle.inputs), lambda reporter: project(context, reporter))

    return _told(work)


def run_toys(handle: StudyHandle) -> str | None:
    """In a worker: the toy experiment, where the study asks for it. Answers like `prepare_text`."""
    from pipeline.toy.stage import make_toys, toy_stage

    def work() -> None:
        context, stage = open_study(handle), toy_stage(handle.config)
        if stage is not None:
            run_stage(context, stage, lambda reporter: make_toys(context, reporter))

    return _told(work)


def run_verdicts(handle: StudyHandle) -> str | None:
    """In a worker: the verdicts on every claim. Answers like `prepare_text`."""
    from pipeline.claims.stage import make_verdicts, verdict_stage

    def work() -> None:
        context = open_study(handle)
        run_stage(context, verdict_stage(context), lambda reporter: make_verdicts(context, reporter))

    return _told(work)


def project_stage(context: StudyContext, inputs: Inputs) -> Stage:
    """The projections' stage; its inputs are the probes that are there.

    The scores count as well: a study cut between an arm's last score and its summary is then not finished.
    """
    query = select(StageRun.input_hash).where(
        StageRun.study_id == context.study_id,
        StageRun.stage.in_(("probe", "score")),
        StageRun.status == "done",
    )
    with read_session(context.engine) as session:
        done = list(session.scalars(query))
    return Stage("project", "study", inputs.project(done))
