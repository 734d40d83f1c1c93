"""Executors on one machine: in this process, and in a pool of processes that work on arms side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from hormesis.pipeline.execution.executors import workers
from hormesis.pipeline.execution.shortage import free_memory
from hormesis.pipeline.execution.threads import Background
from hormesis.pipeline.execution.walk import Task, TaskOutcome, run_task

POLL_SECONDS = 0.5
DIED = "a worker process died (out of memory? {free:.1f} GB are free now); run again, with --workers 1"


class InlineExecutor:
    """Tasks one after another in a thread of this process."""

    def __init__(self) -> None:
        self._background = Background()

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._background.stopping

    def ask_to_stop(self) -> None:
        """Have the work end at its next report."""
        self._background.ask_to_stop()

    def run(self, tasks: Sequence[Task], look: Callable[[], None]) -> Iterator[tuple[Task, TaskOutcome]]:
        """Run tasks and give each with its outcome."""
        for task in tasks:
            yield task, self._background.run(partial(run_task, task, lambda: self.stopping), look)


def _run_in_worker(task: Task) -> TaskOutcome:
    return run_task(task, workers.stop_requested)


class PoolExecutor:
    """Tasks side by side in worker processes. A worker that dies fails its own task only."""

    def __init__(self, count: int, threads: int) -> None:
        self._pool = workers.Workers(count, threads)

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._pool.stopping

    def ask_to_stop(self) -> None:
        """Have every worker stop at its next report."""
        self._pool.ask_to_stop()

    def close(self, *, wait: bool) -> None:
        """End the workers."""
        self._pool.close(wait=wait)

    def run(self, tasks: Sequence[Task], look: Callable[[], None]) -> Iterator[tuple[Task, TaskOutcome]]:
        """Run tasks side by side and give each with its outcome as it ends; `look` is called meanwhile."""
        broken: list[Task] = []
        yield from self._collect(tasks, look, broken)
        # A worker that dies takes the pool and all that waits in it along: each task gets a second chance,
        # alone, so that the one that is too large fails and the others do not.
        for task in broken:
            self._pool.start_again(1)
            broken_again: list[Task] = []
            yield from self._collect([task], look, broken_again)
            for lost_task in broken_again:
                name, died = lost_task.subject.name, DIED.format(free=free_memory() / 1e9)
                yield lost_task, TaskOutcome(name, "failed", f"{name}: {died}", worked=True)
        if broken:
            self._pool.start_again(self._pool.count)

    def _collect(
        self, tasks: Sequence[Task], look: Callable[[], None], broken: list[Task]
    ) -> Iterator[tuple[Task, TaskOutcome]]:
        """Run tasks; those whose worker died without a stop asked for are added to `broken`."""
        waiting: dict[Future[TaskOutcome], Task] = {self._pool.submit(_run_in_worker, t): t for t in tasks}
        while waiting:
            done, _ = wait(waiting, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                task = waiting.pop(future)
                try:
                    yield task, future.result()
                except BrokenProcessPool:
                    if self.stopping:
                        yield task, TaskOutcome(task.subject.name, "stopped", worked=True)
                    else:
                        broken.append(task)
            look()
