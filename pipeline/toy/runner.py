"""Running a request: what is missing, in chunks of whole seeds, each trained as one batch and written.

Stopped at any moment it keeps the finished chunks; run again it goes on from there, and does nothing where
nothing is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
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
from hormesis.pipeline.toy.config import REFERENCE, Probe, ToyConfig, ToyRequest
from hormesis.pipeline.toy.measures import measure
from hormesis.pipeline.toy.tasks import Run
from hormesis.pipeline.toy.training import TrainedModels, train

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
    trained_runs: int
    """Runs trained by this command."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The part of `hormesis toy --json` that it makes up; runs stand under `made`."""
        return {"made" if name == "trained_runs" else name: value for name, value in asdict(self).items()}


def run_toy(
    config: ToyConfig,
    wanted_runs: ToyRequest,
    *,
    home: Path,
    database_url: str,
    watch: Watch = lambda *_: None,
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
            incomplete_runs = store.missing(engine, experiment, wanted_runs)
            started = time.monotonic()
            if incomplete_runs:
                with _recording(engine, experiment, watch=watch, should_stop=should_stop) as reporter:
                    _train_missing(
                        engine,
                        experiment,
                        config,
                        probes=wanted_runs.probes,
                        incomplete_runs=incomplete_runs,
                        reporter=reporter,
                    )
            else:
                # An older version may have written the runs, but not all that follows from them.
                store.summarise(engine, experiment)
            seconds = time.monotonic() - started
            return Outcome(
                config.setting, config.hash, experiment, trained_runs=len(incomplete_runs), seconds=seconds
            )
        finally:
            engine.dispose()


def chunks(incomplete_runs: list[Run], most: int) -> list[list[Run]]:
    """Runs to train together, `most` if seeds allow: whole seeds, each with its run at r = 1."""
    runs_by_seed: dict[int, list[Run]] = {}
    for run in incomplete_runs:
        runs_by_seed.setdefault(run.seed, []).append(run)
    for seed, runs in runs_by_seed.items():
        if all(run.share != REFERENCE for run in runs):
            runs.append(Run(REFERENCE, seed))
    groups: list[list[Run]] = []
    for runs in runs_by_seed.values():
        if groups and len(groups[-1]) + len(runs) <= most:
            groups[-1].extend(runs)
        else:
            groups.append(list(runs))
    return groups


def _train_missing(
    engine: Engine,
    experiment: int,
    config: ToyConfig,
    *,
    probes: Sequence[Probe],
    incomplete_runs: list[Run],
    reporter: Reporter,
) -> None:
    """Train, measure and store by chunk; `experiment`: its id; `total`, `before`: steps times models."""
    run_groups = chunks(incomplete_runs, MOST_MODELS)
    total = float(sum(map(len, run_groups)) * config.steps)
    before = 0.0
    reporter.report(0.0, total)
    for runs in run_groups:
        models = len(runs)

        def step_done(step: int, _: int, *, at: float = before, models: int = models) -> None:
            reporter.report(at + step * models, total)

        with _one_thread():
            trained = train(config, runs, step_done)
            _check(runs, trained)
            measures = measure(config, runs, trained, probes=probes)
        store.save(
            engine, experiment, runs, trained=trained, measures=measures, incomplete_runs=incomplete_runs
        )
        before += len(runs) * config.steps
        reporter.report(before, total)


def _check(runs: list[Run], trained: TrainedModels) -> None:
    """Raise ToyError for a run whose activations or losses, [runs, ...], are not all finite."""
    arrays = (trained.activations, trained.losses)
    is_finite = np.all([np.isfinite(array).all(axis=(1, 2)) for array in arrays], axis=0)
    for place in np.flatnonzero(~is_finite)[:1]:
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
    engine: Engine, experiment: int, *, watch: Watch, should_stop: Callable[[], bool]
) -> Iterator[Reporter]:
    """A reporter that shows progress, writes it to row `experiment`, and raises Stopped on request."""
    seconds_before, started = store.seconds_so_far(engine, experiment), time.monotonic()

    def mark(**columns: Any) -> None:
        store.mark(engine, experiment, seconds=seconds_before + time.monotonic() - started, **columns)

    def sink(done: float, total: float, unit: str, message: str) -> None:
        watch(done, total)
        mark(done=done, total=total)

    with marked_row(mark):
        yield Reporter(sink, should_stop)
