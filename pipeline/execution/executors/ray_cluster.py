"""Executor on a Ray cluster: an arm's stages are a Ray task, wherever the cluster has room.

Ray starts and retries workers; who does which stage, and what is done already, the database says.
https://docs.ray.io/en/latest/ray-core/fault_tolerance/tasks.html
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hormesis.db.address import sqlite_path
from hormesis.db.problems import parse_url
from hormesis.pipeline.execution.executors.workers import limit_threads
from hormesis.pipeline.execution.lock import POLL_SECONDS
from hormesis.pipeline.execution.provenance import host
from hormesis.pipeline.execution.stage import plain_words
from hormesis.pipeline.execution.walk import Task, TaskOutcome, run_task

RETRIES = 3
"""How often a task begins again whose worker died; its finished stages are skipped."""
HEAD_TIMEOUT = 10.0
"""Seconds without an answer of the head after which the cluster counts as lost."""


class ClusterProblem(ValueError):
    """There is no Ray cluster to run on, or it was lost; one line for the person."""


def _run_on_worker(task: Task, threads: int) -> TaskOutcome:
    """A task's stages, in a process that Ray has started."""
    home = task.study.home
    if not home.is_dir():
        message = f"{task.subject.name}: {host()} does not see {home}; all machines must share that folder"
        return TaskOutcome(task.subject.name, "failed", message)
    limit_threads(threads)
    return run_task(task, lambda: False)


class ClusterLost(ClusterProblem):
    """The head of the Ray cluster no longer answers; one line for the person."""


class RayExecutor:
    """Tasks side by side on the machines of a cluster. A worker that dies costs its stage alone."""

    def __init__(self, ray: Any, head: tuple[str, int], *, threads: int) -> None:
        """`ray`: the module, connected; `head`: where it answers; `threads`: cores of each task, at most."""
        self._ray, self._head = ray, head
        self._is_stopping = False
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self._threads = max(1, min(threads, int(max(node.get("CPU", 1) for node in nodes))))
        resources = {"num_gpus": 1} if any(node.get("GPU") for node in nodes) else {}
        task = ray.remote(_run_on_worker)
        self._run = task.options(num_cpus=self._threads, max_retries=RETRIES, **resources)

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._is_stopping

    def ask_to_stop(self) -> None:
        """Have every task interrupted, as Ctrl-C would."""
        self._is_stopping = True

    def run(self, tasks: Sequence[Task], look: Callable[[], None]) -> Iterator[tuple[Task, TaskOutcome]]:
        """Run tasks and give each with its outcome as it ends; `look` is called meanwhile.

        Raises ClusterLost where the head no longer answers.
        """
        waiting = {self._run.remote(task, self._threads): task for task in tasks}
        last_answer, is_cancelled = time.monotonic(), False
        while waiting:
            if self._is_stopping and not is_cancelled:
                is_cancelled = True  # once: a second interrupt could cut the mark that a stage was stopped
                for reference in waiting:
                    self._ray.cancel(reference)
            done, _ = self._ray.wait(list(waiting), num_returns=1, timeout=POLL_SECONDS)
            for reference in done:
                task = waiting.pop(reference)
                yield task, self._outcome(task, reference)
            if answers(*self._head):
                last_answer = time.monotonic()
            elif time.monotonic() - last_answer > HEAD_TIMEOUT:
                raise ClusterLost(
                    f"the head of the Ray cluster ({self._head[0]}:{self._head[1]}) was lost; what is done "
                    "is kept: start it again, and the same command goes on from here"
                )
            look()

    def _outcome(self, task: Task, reference: Any) -> TaskOutcome:
        name, errors = task.subject.name, self._ray.exceptions
        try:
            outcome: TaskOutcome = self._ray.get(reference)
            return outcome
        except errors.TaskCancelledError:
            return TaskOutcome(name, "stopped", worked=True)
        except errors.RayTaskError as error:
            return TaskOutcome(name, "failed", f"{name}: {plain_words(error.cause or error)}", worked=True)
        except errors.RayError as error:
            words = str(error).strip().split("\n")[0]
            message = f"{name}: its Ray worker died {RETRIES + 1} times (out of memory?): {words}"
            return TaskOutcome(name, "failed", message, worked=True)


def answers(address: str, port: int) -> bool:
    """Whether something listens at a port."""
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


@contextmanager
def ray_executor(database_url: str, *, threads: int) -> Iterator[RayExecutor]:
    """An executor on the cluster that `RAY_ADDRESS` names, or that runs on this machine.

    Raises ClusterProblem where Ray is not installed, no cluster answers, or its machines would share a file.
    """
    # Else an arm that is too large for a machine's memory is tried for ever.
    os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))
    try:
        import ray
        from ray._private.services import canonicalize_bootstrap_address
    except ImportError:
        raise ClusterProblem('Ray is not installed; install it by: pip install "hormesis[ray]"') from None
    try:
        address = canonicalize_bootstrap_address(os.environ.get("RAY_ADDRESS", "auto"))
    except ConnectionError:
        address = None
    except Exception as error:
        raise ClusterProblem(f"RAY_ADDRESS: {str(error).splitlines()[0]}") from error
    where = address or "this machine"
    name, _, port = (address or "").rpartition(":")
    if not port.isdigit() or not answers(name, int(port)):
        raise ClusterProblem(
            f"no Ray cluster answers on {where}; start one by: ray start --head, or name one by RAY_ADDRESS"
        )
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, namespace="hormesis")
    except Exception as error:
        words = str(error).strip().split("\n")[0].split(". ")[0]
        advice = "; where its head asks for a token, set RAY_AUTH_MODE=token"
        raise ClusterProblem(f"the Ray cluster on {where} cannot be used: {words}{advice}") from error
    try:
        n_nodes = sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
        if n_nodes > 1 and sqlite_path(parse_url(database_url)) is not None:
            raise ClusterProblem(
                f"the Ray cluster has {n_nodes} machines, which cannot share a SQLite file; set HORMESIS_DB "
                "to a PostgreSQL database"
            )
        yield RayExecutor(ray, (name, int(port)), threads=threads)
    except ClusterLost:
        atexit.register(_end_at_once)
        raise
    except BaseException:
        ray.shutdown()
        raise
    ray.shutdown()


def _end_at_once() -> None:
    """End this process without Ray's own end, which waits for a lost head and then crashes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(2)
