"""Several toy configurations at once, a worker process each: one model batch keeps one core busy and no more.

Knows processes. Progress is read from the rows that the workers keep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from sqlalchemy import select

from hormesis.db.engine import open_writer
from hormesis.db.schema import ToyExperiment
from hormesis.db.write import read_session
from hormesis.pipeline.execution.executors import workers
from hormesis.pipeline.execution.executors.workers import Workers
from hormesis.pipeline.execution.progress import Stopped
from hormesis.pipeline.execution.stage import plain_words
from hormesis.pipeline.toy import store
from hormesis.pipeline.toy.config import ToyConfig, ToyRequest
from hormesis.pipeline.toy.runner import Outcome, ToyError, run_toy

POLL_SECONDS = 0.5
Watch = Callable[[int, float, float], None]
"""Gets a configuration's place, its work done and all its work."""


def run_side_by_side(
    configs: Sequence[ToyConfig],
    wanted_runs: ToyRequest,
    *,
    home: Path,
    database_url: str,
    count: int,
    watch: Watch,
    ended: Callable[[int, Outcome], None],
    should_stop: Callable[[], bool],
) -> list[Outcome]:
    """As `run_toy` for each configuration, `count` at a time; the outcomes in the order given.

    Raises Stopped where a stop was asked for, ToyError (one line) where a configuration failed; the others
    are stopped then, and what they have finished is kept.
    """
    engine = open_writer(database_url)  # before the workers: one process makes the tables
    pool = Workers(count, threads=1)
    outcomes: dict[int, Outcome] = {}
    problem = ""
    try:
        ids = [store.register(engine, config) for config in configs]
        waiting: dict[Future[Outcome | str], int] = {
            pool.submit(
                partial(_outcome_of, config, wanted_runs, home=home, database_url=database_url)
            ): place
            for place, config in enumerate(configs)
        }
        while waiting:
            done, _ = wait(waiting, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                place, result = waiting.pop(future), _result_of(future)
                if isinstance(result, Outcome):
                    outcomes[place] = result
                    ended(place, result)
                else:
                    problem = problem or result
                    pool.ask_to_stop()
            if should_stop() and not pool.stopping:
                pool.ask_to_stop()
            with read_session(engine) as session:
                query = select(ToyExperiment.id, ToyExperiment.done, ToyExperiment.total)
                for experiment_id, work_done, work_total in session.execute(query):
                    if experiment_id in ids and ids.index(experiment_id) in waiting.values():
                        watch(ids.index(experiment_id), work_done, work_total)
    except BaseException:
        pool.ask_to_stop()
        raise
    finally:
        pool.close()
        engine.dispose()
    if problem:
        raise ToyError(problem)
    if len(outcomes) < len(configs):
        raise Stopped("stopped by request")
    return [outcomes[place] for place in range(len(configs))]


def _outcome_of(
    config: ToyConfig, wanted_runs: ToyRequest, *, home: Path, database_url: str
) -> Outcome | str:
    """In a worker: the outcome; "" when stopped, else the failure in one line (errors may not pickle)."""
    try:
        return run_toy(
            config, wanted_runs, home=home, database_url=database_url, should_stop=workers.stop_requested
        )
    except Stopped:
        return ""
    except Exception as error:
        return plain_words(error)


def _result_of(future: Future[Outcome | str]) -> Outcome | str:
    try:
        return future.result()
    except BrokenProcessPool:
        return "a worker process died (out of memory?); run again to go on"
