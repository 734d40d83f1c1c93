"""Running a study: its graph walked by processes side by side, or by all processes of `torchrun`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hormesis.db.address import sqlite_path
from hormesis.db.origin import Origin, remember
from hormesis.db.problems import parse_url
from hormesis.pipeline.checks.beginning import check_study
from hormesis.pipeline.execution.arms import plan_arms
from hormesis.pipeline.execution.executors.processes import PoolExecutor
from hormesis.pipeline.execution.executors.workers import TWO_THREADS, cores, threads_of
from hormesis.pipeline.execution.graph import arm_subjects
from hormesis.pipeline.execution.lock import study_lock
from hormesis.pipeline.execution.progress import Stopped
from hormesis.pipeline.execution.stage import StageFailed
from hormesis.pipeline.execution.study import register
from hormesis.pipeline.execution.threads import stop_on_ctrl_c
from hormesis.pipeline.execution.walk import Outcome, Watch, announce_all, walk
from hormesis.pipeline.stages import GRAPH
from hormesis.pipeline.study.config import ConfigError, StudyConfig
from hormesis.pipeline.study.scales import architecture, parameters
from hormesis.pipeline.text.source_rows import describe_sources

if TYPE_CHECKING:
    from hormesis.pipeline.execution.executors.ray_cluster import RayExecutor


def worker_count(config: StudyConfig, workers: int | None = None, arm: str | None = None) -> tuple[int, int]:
    """Workers (`workers`, else one a core, or one on a GPU; at most one an arm) and threads for each."""
    n_arms = 1 if arm else max(1, len(plan_arms(config)))
    if workers is None:
        import torch

        workers = 1 if torch.cuda.is_available() else cores()
    count = max(1, min(workers, n_arms))
    # Checkpoints that the study does not train may be of any size.
    trained = parameters(architecture(config.scale, config.tokenizer.vocabulary))
    return count, threads_of(count, parameters=trained if config.mixes else TWO_THREADS)


def run_study(
    config: StudyConfig,
    *,
    home: Path,
    database_url: str,
    workers: int | None = None,
    arm: str | None = None,
    watch: Watch = lambda study_id: None,
    origin: Origin | None = None,
    on_ray: bool = False,
) -> Outcome:
    """Run what is not yet done of a study; running again goes on where it was cut.

    `arm`: only this arm's part of the graph, with the text that all arms share. `origin` is how the study was
    named, kept in the home so that it can be resumed by name. Raises ConfigError for an unknown arm,
    DatabaseProblem, SourceError and the like (ValueError, one line) for what stops the whole study before any
    arm; an arm that fails is in the outcome and does not stop the others. `on_ray`: on a Ray cluster, which
    raises ClusterProblem where there is none.
    """
    _require_arm(config, arm)
    revisions = check_study(config, database_url).revisions
    study = register(config, home=home, database_url=database_url, revisions=revisions)
    # Arms one by one, and machines on one server, work side by side; a SQLite file is one machine's.
    side_by_side = arm is not None or sqlite_path(parse_url(database_url)) is None
    with study_lock(home, config.hash, side_by_side=side_by_side):
        if origin is not None:
            remember(home, config.hash, origin)
        context = study.open(lambda: False)
        describe_sources(context)
        subjects = [subject for subject in arm_subjects(context) if arm in (None, subject.name)]
        if arm is None and GRAPH.is_finished(context, subjects):
            return Outcome(study.study_id)
        planned = GRAPH.plan(config, subjects)
        announce_all(context, [pair for pair in planned if arm is None or pair[1] in subjects])
        count, threads = worker_count(config, workers, arm)
        opened = _cluster(database_url, threads) if on_ray else _pool(count, threads)
        with opened as executor, stop_on_ctrl_c(executor.ask_to_stop):
            outcome = walk(
                study,
                GRAPH,
                executor,
                subjects=lambda _: subjects,
                after_arms=GRAPH.after_arms(config) if arm is None else (),
                watch=watch,
            )
    outcome.worked |= arm is None
    return outcome


@contextmanager
def _pool(count: int, threads: int) -> Iterator[PoolExecutor]:
    """Worker processes of this machine, which end with the block."""
    executor, is_over = PoolExecutor(count, threads), False
    try:
        yield executor
        is_over = True
    finally:
        if not is_over:
            executor.ask_to_stop()
        executor.close(wait=is_over)


def _cluster(database_url: str, threads: int) -> AbstractContextManager[RayExecutor]:
    # Imported here: most runs need no cluster.
    from hormesis.pipeline.execution.executors.ray_cluster import ray_executor

    return ray_executor(database_url, threads=threads)


def _require_arm(config: StudyConfig, arm: str | None) -> None:
    arm_names = [plan.name for plan in plan_arms(config)]
    if arm is not None and arm not in arm_names:
        raise ConfigError(f"{config.name} has no arm '{arm}' (its arms: {', '.join(arm_names) or 'none'})")


def run_distributed(
    config: StudyConfig, *, home: Path, database_url: str, origin: Origin | None = None
) -> Outcome | None:
    """Run a study with all processes of this `torchrun`; None in all processes but the first.

    A training that fails ends the walk: `torchrun` then ends the other processes, which are in it.
    """
    from hormesis.pipeline.execution.executors.torchrun import TorchrunExecutor, follow, process_group

    with process_group() as is_first:
        if not is_first:
            follow()
            return None
        revisions = check_study(config, database_url).revisions
        study = register(config, home=home, database_url=database_url, revisions=revisions)
        executor, after_arms = TorchrunExecutor(), GRAPH.after_arms(config)
        try:
            with study_lock(home, config.hash):
                if origin is not None:
                    remember(home, config.hash, origin)
                describe_sources(study.open(lambda: False))
                outcome = walk(study, GRAPH, executor, subjects=arm_subjects, after_arms=after_arms)
        except StageFailed as error:
            return Outcome(study.study_id, failures=[str(error)])
        except Stopped:
            return Outcome(study.study_id, stopped=True)
        executor.release()
        return outcome
