"""Stage `verdicts`: after the arms, intervals with the seeds of all arms and the verdicts on every claim."""

from __future__ import annotations

from sqlalchemy import or_, select

from db.schema import Arm, StageRun
from db.write import read_session
from pipeline.claims.evaluate import evaluate
from pipeline.claims.registry import CLAIMS_VERSION
from pipeline.context import StudyContext
from pipeline.progress import Reporter
from pipeline.provenance import digest
from pipeline.stage import Stage


def verdict_stage(context: StudyContext) -> Stage:
    """The stage; its inputs are all finished stages of the study's own arms, and its toy experiment."""
    of_arms = select(Arm.name).where(Arm.study_id == context.study_id)
    query = select(StageRun.input_hash).where(
        StageRun.study_id == context.study_id,
        StageRun.status == "done",
        or_(StageRun.subject.in_(of_arms), StageRun.stage == "toy"),
    )
    with read_session(context.engine) as session:
        done = sorted(session.scalars(query))
    return Stage("verdicts", "study", digest("verdicts", CLAIMS_VERSION, done))


def make_verdicts(context: StudyContext, reporter: Reporter) -> None:
    """Write every arm's summaries anew, now that all seeds tell the spread, then the verdicts."""
    from pipeline.stages.summary import summarise

    query = select(Arm.kind, Arm.share).where(Arm.study_id == context.study_id).distinct()
    with read_session(context.engine) as session:
        arms = [(str(kind), float(share)) for kind, share in session.execute(query)]
    for place, (kind, share) in enumerate(arms):
        reporter.say(f"intervals of {kind} {share:.0%}")
        reporter.report(place, len(arms) + 1, "arms")
        reporter.check()
        summarise(context, kind, share)
    reporter.say("claims")
    evaluate(context.engine, context.study_id, reporter.check)
    reporter.report(len(arms) + 1, len(arms) + 1, "arms")
