"""Stage `verdicts`: after the arms, intervals with the seeds of all arms and the verdicts on every claim."""

from __future__ import annotations

from sqlalchemy import or_, select

from hormesis.db.schema import Arm, StageRun
from hormesis.db.write import read_session
from hormesis.pipeline.claims.evaluate import evaluate
from hormesis.pipeline.claims.registry import CLAIMS_VERSION
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.inputs import SUMMARY_VERSION
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.provenance import digest
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.stages import toy
from hormesis.pipeline.summaries.arms import arms_of_study
from hormesis.pipeline.summaries.every_summary import summarise_arm
from hormesis.pipeline.summaries.scorer_groups import summarise_scorers


def make_verdicts(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write all summaries anew, now that all seeds tell the spread, scorers by group, then the verdicts."""
    arms = arms_of_study(context)
    for index, arm in enumerate(arms):
        reporter.say(f"intervals of {arm.kind} {arm.share:.0%}")
        reporter.report(index, len(arms) + 1, "arms")
        reporter.check()
        summarise_arm(context, arm)
    toy.summarise_toys(context)
    summarise_scorers(context, reporter)
    reporter.say("claims")
    evaluate(context.engine, context.study_id, reporter.check)
    reporter.report(len(arms) + 1, len(arms) + 1, "arms")


def verdicts_key(context: StudyContext, subject: Subject) -> str:
    """Hash of the finished stages of the study's own arms and toy experiment, and of both versions.

    So a study cut between an arm's last stage and its summary is not finished.
    """
    arm_names = select(Arm.name).where(Arm.study_id == context.study_id)
    query = select(StageRun.input_hash).where(
        StageRun.study_id == context.study_id,
        StageRun.status == "done",
        or_(StageRun.subject.in_(arm_names), StageRun.stage == "toy"),
    )
    with read_session(context.engine) as session:
        return digest("verdicts", CLAIMS_VERSION, SUMMARY_VERSION, sorted(session.scalars(query)))
