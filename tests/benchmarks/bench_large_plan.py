"""A study of many arms: time and memory of our own part, without any work of a stage.

`python -m tests.benchmarks.bench_large_plan [--arms 10000] [--postgresql]`. The plan; rows of arms and stages
for all of them, against a transaction for each stage (a sample of them, scaled up); and the walk over tasks
that have nothing to do, with the terminal's display looking on. On SQLite, or on a PostgreSQL server that is
started for it. The most memory is of the process, its libraries included.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hormesis.db.contract.stages import Level
from hormesis.pipeline.checks.beginning import check_study
from hormesis.pipeline.commands.console.terminal import Terminal
from hormesis.pipeline.commands.plan import plan_study
from hormesis.pipeline.commands.status import watching
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.graph import Graph, arm_subjects
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import StudyHandle, register
from hormesis.pipeline.execution.walk import Task, TaskOutcome, announce_all, walk
from hormesis.pipeline.stages import GRAPH
from hormesis.pipeline.study.config import StudyConfig, load_study
from tests.fixtures.postgres_server import postgres_server
from tests.fixtures.tiny_study import TWO_ARMS, write_study

SAMPLE = 500
"""Stages that are announced one by one, as the alternative."""


class IdleExecutor:
    """Says of each task that it had nothing to do, with the look that any executor gives the display."""

    stopping = False

    def run(self, tasks: Sequence[Task], look: Callable[[], None]) -> Iterator[tuple[Task, TaskOutcome]]:
        for task in tasks:
            yield task, TaskOutcome(task.subject.name, "done")
            look()


def timed(title: str, work: Callable[[], Any]) -> float:
    """Run the work and print how long it took, and the most memory that this process has had."""
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{title:48} {seconds:8.2f} s   {peak:6.0f} MB at most", flush=True)
    return seconds


def measure(config: StudyConfig, home: Path, url: str) -> None:
    timed("plan", lambda: plan_study(config, url))
    revisions = check_study(config, url).revisions
    study = register(config, home=home, database_url=url, revisions=revisions)
    context = study.open(lambda: False)
    subjects = arm_subjects(context)
    planned = list(GRAPH.plan(config, subjects))
    small = planned[:SAMPLE]
    single = timed(f"{len(small)} rows, a transaction each", lambda: _by_ones(context, small))
    together = timed(f"rows of {len(planned)} stages", lambda: announce_all(context, planned))
    timed("the same again, nothing to change", lambda: announce_all(context, planned))
    timed("whether all is done", lambda: GRAPH.is_finished(context, subjects))
    by_ones, per_row = 1e6 * single / len(small), 1e6 * together / len(planned)
    print(f"a row: {per_row:.0f} µs, {by_ones:.0f} µs with a transaction each: ratio {by_ones / per_row:.0f}")
    timed(f"walk over {len(subjects)} idle arms, with its display", lambda: _walk(study, subjects, url))


def _by_ones(context: StudyContext, planned: Sequence[Any]) -> None:
    for pair in planned:
        announce_all(context, [pair])


def _walk(study: StudyHandle, subjects: list[Subject], url: str) -> None:
    of_arms = tuple(stage for stage in GRAPH.stages if stage.level is not Level.STUDY and not stage.needs)
    with watching(url, Terminal()) as watch:
        outcome = walk(
            study, Graph(of_arms), IdleExecutor(), subjects=lambda _: subjects, after_arms=(), watch=watch
        )
    assert len(outcome.arms) == len(subjects)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--arms", type=int, default=10_000)
    parser.add_argument("--postgresql", action="store_true")
    options = parser.parse_args()
    seeds = {"seeds = [0]": f"seeds = {list(range(options.arms // 2))}"}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        config = load_study(str(write_study(Path(folder), TWO_ARMS | seeds)))
        url = f"sqlite:///{folder}/hormesis.sqlite"
        if options.postgresql:
            url = stack.enter_context(postgres_server()).new_database()
        measure(config, Path(folder) / "home", url)


if __name__ == "__main__":
    main()
