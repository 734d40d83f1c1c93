"""Running a request: what is missing, in chunks of whole seeds, each trained as one batch and written.

Stopped at any moment it keeps the finished chunks; run again it goes on from there, and does nothing where
nothing is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sqlalchemy import Engine

from hormesis.db.engine import open_writer
from hormesis.pipeline.execution.lock import study_lock
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import marked_row
from hormesis.pipeline.toy import store
from hormesis.pipeline.toy.config import REFERENCE, ToyConfig, ToyRequest
from hormesis.pipeline.toy.measures import measure
from hormesis.pipeline.toy.tasks import Run
from hormesis.pipeline.toy.training import Trained, train

Watch = Callable[[float, float], None]
"""Gets work done and all work, in training steps times models."""
MOST_MODELS = 96
"""Models in one batch: what is lost at a stop, against what a wider batch saves."""


class ToyError(ValueError):
    """A toy run cannot give numbers; one line for the person."""


@dataclass(frozen=True)
class Outcome:
    """How a request ended."""

    setting: str
    hash: str
    experiment_id: int
    made: int
    """Runs trained by this command."""
    seconds: float


def run_toy(
    config: ToyConfig,
    request: ToyRequest,
    *,
    home: Path,
    database_url: str,
    watch: Watch = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train, measure and store what the request lacks.

    Raises Stopped where a stop was asked for, ToyError where training diverged, AlreadyRunning where another
    process runs the same configuration.
    """
    with study_lock(home, f"toy-{config.hash}"):
        engine = open_writer(database_url)
        try:
            experiment = store.register(engine, config)
            lacking = store.missing(engine, experiment, request)
            started = time.monotonic()
            if lacking:
                with _recording(engine, experiment, watch, should_stop) as reporter:
                    _work(engine, experiment, config, request, lacking, reporter)
            seconds = time.monotonic() - started
            return Outcome(config.setting, config.hash, experiment, len(lacking), seconds)
        finally:
            engine.dispose()


def chunks(lacking: list[Run], most: int) -> list[list[Run]]:
    """Runs to train together: whole seeds, each with its run at r = 1, which the frozen network needs."""
    seeds: dict[int, list[Run]] = {}
    for run in lacking:
        seeds.setdefault(run.seed, []).append(run)
    for seed, runs in seeds.items():
        if all(run.share != REFERENCE for run in runs):
            runs.append(Run(REFERENCE, seed))
    made: list[list[Run]] = []
    for runs in seeds.values():
        if made and len(made[-1]) + len(runs) <= most:
            made[-1].extend(runs)
        else:
            made.append(list(runs))
    return made


def _work(
    engine: Engine,
    experiment: int,
    config: ToyConfig,
    request: ToyRequest,
    lacking: list[Run],
    reporter: Reporter,
) -> None:
    groups = chunks(lacking, MOST_MODELS)
    total = float(sum(map(len, groups)) * config.steps)
    before = 0.0
    reporter.report(0.0, total)
    for runs in groups:
        models = len(runs)

        def step_done(step: int, _: int, at: float = before, models: int = models) -> None:
            reporter.report(at + step * models, total)

        with _one_thread():
            trained = train(config, runs, step_done)
            _check(runs, trained)
            found = measure(config, runs, trained, request.probes)
        store.save(engine, experiment, runs, trained, found, lacking)
        before += len(runs) * config.steps
        reporter.report(before, total)


def _check(runs: list[Run], trained: Trained) -> None:
    fine = np.isfinite(trained.activations).all(axis=(1, 2)) & np.isfinite(trained.losses).all(axis=(1, 2))
    for place in np.flatnonzero(~fine)[:1]:
        run = runs[place]
        raise ToyError(
            f"training diverged at share {run.share:g}, seed {run.seed}; choose a smaller learning rate"
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """The matrices are too small to share out: more threads only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _recording(
    engine: Engine, experiment: int, watch: Watch, should_stop: Callable[[], bool]
) -> Iterator[Reporter]:
    """A reporter that shows progress, writes it to the experiment's row, and raises Stopped on request."""
    earlier, started = store.seconds_so_far(engine, experiment), time.monotonic()

    def mark(**columns: Any) -> None:
        store.mark(engine, experiment, seconds=earlier + time.monotonic() - started, **columns)

    def sink(done: float, total: float, unit: str, message: str) -> None:
        watch(done, total)
        mark(done=done, total=total)

    with marked_row(mark):
        yield Reporter(sink, should_stop)
