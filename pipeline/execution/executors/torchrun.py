"""Executor under `torchrun`: the first process walks the graph, the others join the stages for all of them.

The global batch stays the same whatever the number of processes, so the study does too (up to rounding).
Arms run one after the other: the processes work on one model together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from hormesis.pipeline.execution.executors.workers import cores, limit_threads
from hormesis.pipeline.execution.progress import Stopped
from hormesis.pipeline.execution.stage import Stage, StageFailed, Subject
from hormesis.pipeline.execution.study import StudyHandle
from hormesis.pipeline.execution.walk import Task, TaskOutcome, run_task

LONGEST_WAIT = timedelta(days=7)
"""Processes wait for the first one while it probes and generates; that may take long."""


@contextmanager
def process_group() -> Iterator[bool]:
    """The processes of this `torchrun`, each with its share of the cores; gives whether this is the first."""
    limit_threads(max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=LONGEST_WAIT)
    try:
        yield dist.get_rank() == 0
    finally:
        dist.destroy_process_group()


def _broadcast(value: Any = None) -> Any:
    """A value of the first process, sent to all of them."""
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


class TorchrunExecutor:
    """Tasks one after another in the first process; the others are in `follow` meanwhile."""

    def __init__(self) -> None:
        self.stopping = False

    def run(self, tasks: Sequence[Task], look: Callable[[], None]) -> Iterator[tuple[Task, TaskOutcome]]:
        """Run tasks and give each with its outcome.

        Raises StageFailed or Stopped where a stage of all processes fails or is stopped: the others are in it
        and cannot go on.
        """
        for task in tasks:
            joint_stages: list[Stage] = []

            def gather(stage: Stage, subject: Subject, study: StudyHandle = task.study) -> None:
                joint_stages.append(stage)  # noqa: B023  (used up within this turn)
                _broadcast((stage, subject, study))

            outcome = run_task(task, lambda: False, gather)
            if joint_stages and outcome.status == "stopped":
                raise Stopped("stopped by request")
            if joint_stages and outcome.message.startswith(f"{joint_stages[-1].name} of"):
                raise StageFailed(outcome.message)
            yield task, outcome
            if outcome.status == "stopped":
                self.stopping = True
                return

    def release(self) -> None:
        """Let the other processes go; called when the walk has ended."""
        _broadcast()


def follow() -> None:
    """In all processes but the first: take part in every stage that the first one gathers them for."""
    while (call := _broadcast()) is not None:
        stage, subject, study = call
        stage.all_ranks(study.open(lambda: False), subject)
