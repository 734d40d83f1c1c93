"""Fifty viewers while a study writes: how much they slow it, and errors on either side.

`python -m tests.benchmarks.bench_viewers [--big PATH] [--viewers 50] [--rounds 2] [--only study|writer]
[--postgresql]`. The alternative is the same work without viewers and without a dashboard; both take turns.
Two kinds of work:

- a writer that does nothing else: generations, scores and a stage's progress in small transactions, for a
  fixed time, into a copy of the big database (built where PATH does not exist); counted in rows a second;
- a real study of three tiny models (training, probing, steering, scoring), timed from start to end.

A viewer is a session over Streamlit's websocket: it opens a page, lets it tick at the pace the page asks for,
and goes to another page now and then. Viewers stand for other machines, so their process has the lowest
priority; the dashboard has none. Its processor time is printed too: it tells more than a clock on a machine
that does other work.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from hormesis.db.engine import open_writer
from hormesis.db.schema import Condition, Generation, Prompt, Score, Scorer, StageRun
from hormesis.db.write import upsert, write_session
from tests.benchmarks.bench_dashboard import dashboard, processor_seconds
from tests.fixtures.postgres_server import PostgresServer, postgres_server
from tests.fixtures.seeded_database import BIG, build_file
from tests.fixtures.tiny_study import environment, write_study
from tests.fixtures.viewer import Run, Viewer, viewing

PAGES = ("", "tradeoffs", "geometry", "data", "runs", "hardness")
STAYS = 60.0
"""Seconds a viewer stays on a page, in the mean."""
WRITING, BATCH = 15.0, 100
HERE = "all are here"
SETTLE = 10.0
"""Seconds for the pages to find their pace when all have come; not measured."""
PROBLEMS = ("busy", "cannot be read", "cannot be used", "malformed")


class Crowd:
    """Viewers in one process, and what came back."""

    def __init__(self, url: str, number: int) -> None:
        self._url, self._number = url, number
        self.over = asyncio.Event()
        self._awaited = number
        self.runs: list[Run] = []
        self.errors: list[str] = []

    async def stay(self) -> dict[str, Any]:
        """Watch until told to leave; a summary."""
        await asyncio.gather(*(self._watch(place) for place in range(self._number)))
        pages = [run for run in self.runs if not run.fragment]
        return {
            "pages": len(pages),
            "ticks": len(self.runs) - len(pages),
            "bytes": sum(run.size for run in self.runs),
            "p95": sorted(run.seconds for run in pages)[int(0.95 * (len(pages) - 1))] if pages else None,
            "errors": self.errors,
        }

    async def _watch(self, place: int) -> None:
        dice = random.Random(place)
        try:
            await asyncio.sleep(dice.uniform(0, 5))
            async with viewing(self._url) as viewer:
                self._note(await viewer.open(dice.choice(PAGES)))
                self._arrived()
                await self._sit(viewer, dice.uniform(0, STAYS))
                while not self.over.is_set():
                    viewer.forget()
                    self._note(await viewer.open(dice.choice(PAGES)))
                    await self._sit(viewer, dice.expovariate(1 / STAYS))
        except Exception as error:
            self.errors.append(f"viewer {place}: {type(error).__name__}: {error}")
            self._arrived()

    def _arrived(self) -> None:
        self._awaited -= 1
        if self._awaited == 0:
            print(HERE, flush=True)

    async def _sit(self, viewer: Viewer, seconds: float) -> None:
        until = time.monotonic() + seconds
        due: dict[str, float] = {}
        while time.monotonic() < until and not self.over.is_set():
            now = time.monotonic()
            due = {part: due.get(part, now + pause) for part, pause in viewer.ticking.items()}
            ripe = [part for part, moment in due.items() if moment <= now]
            for part in ripe:
                if part in viewer.ticking:
                    self._note(await viewer.tick(part))
                    due.pop(part)
            rest = max(0.01, min([*due.values(), until]) - time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), rest)

    def _note(self, run: Run) -> None:
        self.runs.append(run)
        self.errors += run.errors
        self.errors += [alert for alert in run.alerts if any(word in alert for word in PROBLEMS)]


async def crowd(url: str, number: int) -> None:
    """The viewers' process: says that all are there, watches until SIGTERM, prints a summary."""
    os.nice(19)
    watching = Crowd(url, number)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, watching.over.set)
    print(json.dumps(await watching.stay()), flush=True)


def write(database: str) -> None:
    """The writer's process: rows as fast as they go in for a fixed time; prints rows a second."""
    engine = open_writer(database)
    with write_session(engine) as session:
        condition = session.execute(select(Condition.id).order_by(Condition.id.desc())).scalars().first()
        prompts = list(session.execute(select(Prompt.id).order_by(Prompt.id)).scalars())
        scorers = list(session.execute(select(Scorer.id)).scalars())
    written, sample, begun = 0, 1000, time.perf_counter()
    while time.perf_counter() - begun < WRITING:
        for start in range(0, len(prompts), BATCH):
            some = prompts[start : start + BATCH]
            rows = [
                {"condition_id": condition, "prompt_id": prompt, "sample": sample, "text": "made up " * 12,
                 "tokens": 24, "finished": True}
                for prompt in some
            ]  # fmt: skip
            with write_session(engine) as session:
                upsert(session, Generation, rows, on=("condition_id", "prompt_id", "sample"))
                generations = select(Generation.id).where(
                    Generation.condition_id == condition,
                    Generation.sample == sample,
                    Generation.prompt_id.in_(some),
                )
                ids = list(session.execute(generations).scalars())
                scores = [
                    {"generation_id": generation, "scorer_id": scorer, "value": 0.5}
                    for generation in ids
                    for scorer in scorers
                ]
                upsert(session, Score, scores, on=("generation_id", "scorer_id"))
                beat = {"heartbeat": datetime.now(UTC), "done": float(written), "status": "running"}
                session.execute(update(StageRun).where(StageRun.id == 1).values(**beat))
            written += len(rows) + len(scores)
        sample += 1
    print(written / (time.perf_counter() - begun), flush=True)
    engine.dispose()


def this(*arguments: str) -> list[str]:
    """Command of another process of this file."""
    return [sys.executable, "-m", "tests.benchmarks.bench_viewers", *arguments]


@contextlib.contextmanager
def watched(database: str, number: int, measures: list[dict[str, Any]]) -> Iterator[None]:
    """A dashboard with viewers on it; appends what they saw and what it cost. Neither for no viewers."""
    if not number:
        yield
        return
    with dashboard(database) as (url, pid):
        viewers = subprocess.Popen(
            this("--crowd", url, "--viewers", str(number)), stdout=subprocess.PIPE, text=True
        )
        try:
            assert viewers.stdout is not None
            if viewers.stdout.readline().strip() != HERE:
                raise RuntimeError("the viewers never came")
            time.sleep(SETTLE)
            used, begun = processor_seconds(pid), time.perf_counter()
            yield
            spent = processor_seconds(pid) - used
            cores = spent / (time.perf_counter() - begun)
        finally:
            viewers.terminate()
            output = viewers.communicate(timeout=120)[0]
        measures.append(json.loads(output) | {"cores": cores, "processor": spent})


def rows_per_second(database: str) -> float:
    """One go of the writer."""
    done = subprocess.run(this("--write", database), capture_output=True, text=True, check=True)
    return float(done.stdout)


def study_seconds(home: Path, url: str, study: Path) -> float:
    """One run of the study from start to end, in seconds."""
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "hormesis.pipeline.cli", "run", str(study)],
        env=environment(home, url), check=True, capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - begun


def compare_writer(big: Path, scratch: Path, number: int, *, rounds: int) -> None:
    """The writer without and with viewers, in turn."""
    measures: list[dict[str, Any]] = []

    def once(crowded: bool) -> float:
        copy = scratch / "writer.sqlite"
        shutil.copyfile(big, copy)
        try:
            with watched(f"sqlite:///{copy}", number if crowded else 0, measures):
                return rows_per_second(f"sqlite:///{copy}")
        finally:
            for file in scratch.glob(f"{copy.name}*"):
                file.unlink()

    alone, crowded = in_turn(once, rounds)
    print(
        f"\nwriter at full speed, {rounds} rounds of {WRITING:.0f} s: {alone:,.0f} rows a second alone, ",
        end="",
    )
    print(f"{crowded:,.0f} with {number} viewers: slowed by {alone / crowded - 1:+.1%}")
    show(measures)


def compare_study(scratch: Path, number: int, rounds: int, server: PostgresServer | None = None) -> None:
    """The study without and with viewers, in turn; on SQLite, or on a PostgreSQL server."""
    measures: list[dict[str, Any]] = []
    study = write_study(scratch)

    def once(crowded: bool) -> float:
        with tempfile.TemporaryDirectory(dir=scratch) as home:
            url = server.new_database() if server else f"sqlite:///{home}/hormesis.sqlite"
            with watched(url, number if crowded else 0, measures):
                return study_seconds(Path(home), url, study)

    alone, crowded = in_turn(once, rounds)
    place = "PostgreSQL" if server else "SQLite"
    print(f"\nreal study on {place}, {rounds} rounds: {alone:.1f} s alone, ", end="")
    print(f"{crowded:.1f} s with {number} viewers: ", end="")
    print(f"slowed by {crowded / alone - 1:+.1%}")
    show(measures)


def in_turn(once: Callable[[bool], float], rounds: int) -> tuple[float, float]:
    """Medians without and with viewers; which comes first changes from round to round."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(rounds):
        for crowded in (False, True) if turn % 2 == 0 else (True, False):
            seconds[crowded].append(once(crowded))
    return statistics.median(seconds[False]), statistics.median(seconds[True])


def show(measures: list[dict[str, Any]]) -> None:
    """What the viewers saw and what it cost."""
    for measure in measures:
        print(
            f"  viewers: {measure['pages']} pages and {measure['ticks']} ticks, "
            f"{measure['bytes'] / 1e6:.1f} MB, p95 of a page {measure['p95']:.2f} s, "
            f"{len(measure['errors'])} errors; the dashboard took {measure['cores']:.3f} of one processor "
            f"({measure['cores'] / (os.cpu_count() or 1):.1%} of the machine)"
        )
        for error in sorted(set(measure["errors"]))[:5]:
            print(f"    {error}")
    if any(measure["errors"] for measure in measures):
        raise SystemExit("viewers saw errors")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--big", type=Path, default=None, help="the big database, built here where it is not")
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=("study", "writer"), default=None)
    parser.add_argument("--postgresql", action="store_true", help="the study on a PostgreSQL server too")
    parser.add_argument("--crowd", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--write", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.crowd:
        return asyncio.run(crowd(options.crowd, options.viewers))
    if options.write:
        return write(options.write)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if options.only != "study":
            big = options.big or scratch / "big.sqlite"
            if not big.exists():
                build_file(big, BIG)
            compare_writer(big, scratch, options.viewers, rounds=options.rounds)
        if options.only != "writer":
            compare_study(scratch, options.viewers, options.rounds)
        if options.postgresql and options.only != "writer":
            with postgres_server() as server:
                compare_study(scratch, options.viewers, options.rounds, server)
    return None


if __name__ == "__main__":
    main()
