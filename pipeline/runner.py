"""Walking a study's graph: shared text first, arms side by side, then what needs all arms.

Knows processes, order and failure; knows nothing of what a stage computes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from db.engine import open_writer
from db.origin import Origin, remember
from pipeline.arm_job import ArmOutcome, StudyHandle, run_arm
from pipeline.config import StudyConfig
from pipeline.context import ArmPlan, StudyContext, plan_arms
from pipeline.lock import study_lock
from pipeline.registry import Inputs, arm_id, arm_stages, register
from pipeline.scales import check_heads
from pipeline.stage import Stage, announce, is_done, plain_words
from pipeline.study_job import prepare_text, project_stage, run_projections, run_toys, run_verdicts
from pipeline.threads import stop_on_ctrl_c
from pipeline.toy.stage import toy_stage
from pipeline.workers import Workers, cores

Watch = Callable[[int], None]
"""Called about twice a second with the study's id, so that a display can read the rows."""
POLL_SECONDS = 0.5
DIED = "a worker process died (out of memory?); run again to go on"


@dataclass
class Outcome:
    """How a run ended."""

    study_id: int
    arms: list[ArmOutcome] = field(default_factory=list)
    stopped: bool = False
    failures: list[str] = field(default_factory=list)
    worked: bool = False

    @property
    def exit_code(self) -> int:
        """0 when all is done, 2 where something failed, 130 where the person stopped it."""
        return 130 if self.stopped else 2 if self.failures else 0


def worker_count(config: StudyConfig, asked: int | None = None) -> tuple[int, int]:
    """Workers and threads for each. One worker where a GPU does the work: arms then take turns on it."""
    available = cores()
    arms = max(1, len(plan_arms(config)))
    if asked is None:
        import torch

        asked = 1 if torch.cuda.is_available() else available
    count = max(1, min(asked, arms))
    return count, max(1, available // count)


def run_study(
    config: StudyConfig,
    *,
    home: Path,
    database_url: str,
    workers: int | None = None,
    watch: Watch | None = None,
    origin: Origin | None = None,
) -> Outcome:
    """Run what is not yet done of a study; running again goes on where it was cut.

    `origin` is how the study was named, kept in the home so that it can be resumed by name.
    Raises DatabaseProblem, SourceError and the like (ValueError, one line) for what stops the whole study
    before any arm; an arm that fails is in the outcome and does not stop the others.
    """
    from pipeline.stages.text import source_revisions

    check_heads(config)
    revisions = source_revisions(config)
    home.mkdir(parents=True, exist_ok=True)
    engine = open_writer(database_url)
    study_id = register(engine, config)
    outcome = Outcome(study_id)
    handle = StudyHandle(config, study_id, home, database_url, tuple(sorted(revisions.items())))
    with study_lock(home, config.hash):
        if origin is not None:
            remember(home, config.hash, origin)
        context = StudyContext(config, study_id, home, engine)
        plans = plan_arms(config)
        if _finished(context, handle.inputs, plans):
            return outcome
        outcome.worked = True
        _announce_all(context, handle.inputs, plans)
        _run(handle, context, plans, outcome, worker_count(config, workers), watch or (lambda study: None))
    return outcome


def _finished(context: StudyContext, inputs: Inputs, plans: list[ArmPlan]) -> bool:
    stages = [Stage("text", "study", inputs.text), *(s for arm in plans for s in arm_stages(inputs, arm))]
    from pipeline.claims.stage import verdict_stage

    toys = toy_stage(context.config)
    stages += [project_stage(context, inputs), *([toys] if toys else []), verdict_stage(context)]
    return all(is_done(context, stage) for stage in stages)


def _announce_all(context: StudyContext, inputs: Inputs, plans: list[ArmPlan]) -> None:
    announce(context, Stage("text", "study", inputs.text))
    for arm in plans:
        arm_id(context.engine, context.study_id, arm)
        for stage in arm_stages(inputs, arm):
            announce(context, stage)
    toys = toy_stage(context.config)
    if toys is not None:
        announce(context, toys)


def _run(
    handle: StudyHandle,
    context: StudyContext,
    plans: list[ArmPlan],
    outcome: Outcome,
    size: tuple[int, int],
    watch: Watch,
) -> None:
    pool = Workers(*size)
    stopping = StudyContext(
        context.config, context.study_id, context.home, context.engine, lambda: pool.stopping
    )
    try:
        with stop_on_ctrl_c(pool.ask_to_stop):
            # The first task makes the workers import torch while this process prepares the text.
            if not _run_one(pool, prepare_text, handle, outcome, watch):
                return
            _run_arms(pool, handle, stopping, plans, outcome, watch)
            for work in (run_projections, run_toys, run_verdicts):
                if not outcome.stopped:
                    _run_one(pool, work, handle, outcome, watch)
    except BaseException:
        pool.ask_to_stop()
        raise
    finally:
        pool.close(wait=not pool.stopping or outcome.stopped)


def _run_one(
    pool: Workers,
    work: Callable[[StudyHandle], str | None],
    handle: StudyHandle,
    outcome: Outcome,
    watch: Watch,
) -> bool:
    """Run one piece of work of the whole study in a worker; True where it was done."""
    future = pool.submit(work, handle)
    while not future.done():
        wait([future], timeout=POLL_SECONDS)
        watch(handle.study_id)
    try:
        problem = future.result()
    except BrokenProcessPool:
        problem = "" if pool.stopping else DIED
    outcome.stopped |= problem == ""
    outcome.failures += [problem] if problem else []
    watch(handle.study_id)
    return problem is None


def _run_arms(
    pool: Workers,
    handle: StudyHandle,
    context: StudyContext,
    plans: list[ArmPlan],
    outcome: Outcome,
    watch: Watch,
) -> None:
    broken = _collect(pool, handle, context, plans, outcome, watch)
    # A worker that dies takes the pool and all that waits in it along: each arm gets a second chance, alone,
    # so that the one that is too large fails and the others do not.
    for arm in broken:
        pool.start_again(1)
        for again in _collect(pool, handle, context, [arm], outcome, watch):
            outcome.arms.append(ArmOutcome(again.name, "failed", f"{again.name}: {DIED}"))
            outcome.failures.append(f"{again.name}: {DIED}")
    if broken:
        pool.start_again(pool.count)
    outcome.stopped |= pool.stopping


def _collect(
    pool: Workers,
    handle: StudyHandle,
    context: StudyContext,
    plans: list[ArmPlan],
    outcome: Outcome,
    watch: Watch,
) -> list[ArmPlan]:
    """Run arms and take in how each ended; gives those whose worker died."""
    waiting: dict[Future[ArmOutcome], ArmPlan] = {pool.submit(run_arm, handle, arm): arm for arm in plans}
    broken: list[ArmPlan] = []
    while waiting:
        done, _ = wait(waiting, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            arm = waiting.pop(future)
            try:
                result = future.result()
            except BrokenProcessPool:
                broken += [] if pool.stopping else [arm]
                continue
            _take_in(context, arm, result, outcome)
        watch(context.study_id)
    return broken


def _take_in(context: StudyContext, arm: ArmPlan, result: ArmOutcome, outcome: Outcome) -> None:
    from pipeline.claims.evaluate import evaluate
    from pipeline.stages.summary import summarise

    outcome.arms.append(result)
    outcome.worked |= result.worked
    outcome.stopped |= result.status == "stopped"
    outcome.failures += [result.message] if result.status == "failed" else []
    if result.status == "done":
        try:
            summarise(context, arm.kind, arm.share)
            evaluate(context.engine, context.study_id)
        except Exception as error:  # must not end the arms that still run
            outcome.failures.append(f"summary of {arm.name}: {plain_words(error)}")
