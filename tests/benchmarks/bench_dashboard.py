"""The dashboard on a big database: process start to first chart, and server time of all that a person does.

`python -m tests.benchmarks.bench_dashboard [--big PATH] [--only start|pages]`. The named alternative for the
start is `streamlit run` on the smallest app there is: one Plotly line, no database. Starts of both take turns
in one browser that is open already. Server times are taken over Streamlit's own websocket, from the request
to the last message of the run; processor time is that of the serving process. The database is built where
PATH does not exist: 12 checkpoints of 384 heads, a million generations with two scores each, 100,000 points
of projections. "After a change" means that a stage of the study has ended in between, so every row is read
anew.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, update

from hormesis.dashboard.launch import free_port, serve, wait_until_open
from hormesis.db.engine import open_writer
from hormesis.db.schema import StageRun
from hormesis.db.write import write_session
from tests.fixtures.seeded_database import BIG, build_file
from tests.fixtures.viewer import Run, Viewer, viewing

ROUNDS = 3
MOST_POINTS = 15_000
SMALLEST = """
import plotly.graph_objects as go
import streamlit as st
st.plotly_chart(go.Figure(go.Scatter(x=[1, 2, 3], y=[1, 3, 2])))
"""

Step = tuple[str, object]
STEPS: dict[str, list[Step]] = {
    "overview": [
        ("view", ["Fixed strength"]), ("view", ["Matched cost"]), ("prompts", "forum-greetings"),
        ("prompts", "forum-prompts"), ("scorer", "tfidf"), ("scorer", "forum"), ("fit", False), ("fit", True),
        ("claims", ["Readers' questions"]), ("claims", ["All"]), ("claims", ["The paper's"]),
    ],
    "tradeoffs": [
        ("curve", ["Matched cost"]), ("curve", ["Fixed strength"]), ("curve", ["All"]), ("scorer", "tfidf"),
        ("measure", "Fire rate"), ("measure", "Toxicity"), ("prompts", "forum-greetings"),
        ("prompts", "forum-prompts"), ("arms", ["0 % toxic", "25 % toxic"]),
        ("arms", ["0 % toxic", "10 % toxic", "25 % toxic"]), ("condition", "25 % toxic: ITI at +0.06 nats"),
        ("condition", "10 % toxic: ITI at +0.15 nats"), ("order", ["Largest rise"]), ("order", ["As asked"]),
        ("page", 7), ("page", 300),
    ],
    "geometry": [
        ("dirs", ["PCA, 2-D"]), ("dirs", ["UMAP, 3-D"]), ("dirs", ["UMAP, 2-D"]), ("colour", ["Accuracy"]),
        ("space", ["Vocabulary"]), ("space", ["Statements"]), ("head", "L3H7"), ("part", ["Heads"]),
        ("probe", "AUROC"), ("probe", "Selectivity"), ("left", "5 % toxic, seed 0"),
        ("left", "10 % toxic, seed 1"), ("right", "10 % toxic, seed 0"), ("right", "0 % toxic, seed 1"),
        ("heads", ["Distribution"]), ("heads", ["By arm"]), ("stat", "Mean"), ("stat", "Above 0.8"),
        ("part", ["One head"]), ("head", "L10H2"), ("head", "L14H0"), ("about", ["Words"]),
        ("about", ["Every arm"]), ("part", ["Entanglement"]), ("tangle", ["By feature"]),
        ("part", ["Activations"]), ("head", "L10H2"), ("by", ["Group"]), ("by", ["Score"]),
    ],
    "data": [
        ("label", ["toxic"]), ("label", ["both"]), ("source", "board"), ("source", "all"), ("sample", 9),
        ("sample", 200), ("prompts", "forum-greetings"), ("prompts", "forum-prompts"), ("scorer", "tfidf"),
        ("scorer", "forum"),
    ],
    "hardness": [
        ("attack", ["Relearning"]), ("attack", ["Framed prompts"]), ("attack", ["Long texts"]),
        ("attack", ["Sampling"]), ("attack", ["Capability"]), ("attack", ["Suffixes"]),
    ],
    "toy": [("toy_probe", "Class means"), ("toy_probe", "Balanced probe")],
    "runs": [],
    "steer": [],
    "definitions": [("term", "cost"), ("term", "")],
}  # fmt: skip
"""Page to what a person does on it, in order: a widget's key and its new value."""


@dataclass
class Times:
    """Seconds of the runs of one page."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    points: int = 0

    def line(self, name: str) -> str:
        numbers = [
            f"{statistics.median(values):5.3f} / {percentile(values, 0.95):5.3f}"
            for values in (self.wall, self.processor)
        ]
        return f"{name:<12} {len(self.wall):>4}   {numbers[0]}   {numbers[1]}   {self.points:>7,}"


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least `part` of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def processor_seconds(pid: int) -> float:
    """User and system time of a process, by its clock; to the nanosecond on Linux."""
    return time.clock_gettime((~pid << 3) | 2)


class Session:
    """A viewer and the process that serves it."""

    def __init__(self, viewer: Viewer, pid: int, changes: Engine | None) -> None:
        self.viewer, self._pid, self._changes = viewer, pid, changes
        self.times: dict[str, Times] = {}

    async def measured(self, page: str, step: Step | None) -> Run:
        """Do one thing and note what it took."""
        if self._changes is not None:
            touch(self._changes)
            await asyncio.sleep(1.1)  # the change token is read once a second
        begun = processor_seconds(self._pid)
        if step is None:
            run = await self.viewer.open("" if page == "overview" else page)
        else:
            page_hash = self.viewer.page_hash
            run = await self.viewer.choose(*step)
            if self.viewer.page_hash != page_hash:
                raise RuntimeError(f"{page}, {step}: another page was drawn")
        if run.errors:
            raise RuntimeError(f"{page}, {step}: {run.errors}")
        times = self.times.setdefault(page, Times())
        times.wall.append(run.seconds)
        times.processor.append(processor_seconds(self._pid) - begun)
        times.points = max(times.points, *run.points().values(), 0)
        return run


def touch(changes: Engine) -> None:
    """End a stage of the study anew, as a study does that goes on."""
    with write_session(changes) as session:
        session.execute(update(StageRun).where(StageRun.id == 1).values(finished=datetime.now(UTC)))


@contextmanager
def dashboard(database: str) -> Iterator[tuple[str, int]]:
    """A dashboard without a service: its address and its process."""
    port = free_port("127.0.0.1", 0)
    process = serve(database, None, port)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_open(url, process)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)


async def walk(url: str, pid: int, rounds: int, *, changes: Engine | None) -> dict[str, Times]:
    """Every page and everything on it, in turn; the very first drawing of the process is left out."""
    async with viewing(url) as viewer:
        await viewer.open("")
        session = Session(viewer, pid, changes)
        for _ in range(rounds):
            for page, steps in STEPS.items():
                viewer.forget()
                await session.measured(page, None)
                for step in steps:
                    if step[0] in viewer.widgets:
                        await session.measured(page, step)
                    else:
                        raise RuntimeError(f"{page} has no control '{step[0]}': {sorted(viewer.widgets)}")
        return session.times


def show(title: str, pages: dict[str, Times]) -> None:
    """Print a table; seconds of the whole walk last."""
    print(f"\n{title}\n{'page':<12} runs   wall p50 / p95   processor      points of the largest chart")
    total = Times()
    for page, times in pages.items():
        print(times.line(page))
        total.wall += times.wall
        total.processor += times.processor
        total.points = max(total.points, times.points)
    print(total.line("all"))
    if total.points > MOST_POINTS:
        raise RuntimeError(f"a chart was sent {total.points:,} points, more than {MOST_POINTS:,}")


def first_chart(
    command: list[str], url: str, page: object, *, environment: dict[str, str]
) -> tuple[float, float]:
    """Seconds from the start of a process to its first chart in the browser, and its processor time then."""
    from playwright.sync_api import Error

    begun = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while True:
            try:
                page.goto(url, wait_until="commit")  # type: ignore[attr-defined]
                break
            except Error:
                time.sleep(0.02)
        page.locator(".js-plotly-plot .main-svg").first.wait_for(state="visible", timeout=90_000)  # type: ignore[attr-defined]
        return time.perf_counter() - begun, processor_seconds(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=60)


def starts(database: str, scratch: Path, number: int) -> None:
    """Starts of the dashboard and of the smallest app, in turn, in one open browser."""
    from tests.screenshots import chromium

    smallest = scratch / "smallest.py"
    smallest.write_text(SMALLEST, encoding="utf-8")
    environment = dict(os.environ, HORMESIS_DB=database)
    seconds: dict[str, list[tuple[float, float]]] = {}
    with chromium() as browser:
        for turn in range(number + 1):
            dashboard = ["hormesis.pipeline.cli", "dashboard", "--no-browser", "--port"]
            launcher = ["hormesis.dashboard.launch", "--db", database, "--port"]
            plain = ["streamlit", "run", str(smallest), "--server.headless", "true"]
            plain += ["--browser.gatherUsageStats", "false", "--server.port"]
            for name, module in (
                ("hormesis dashboard", dashboard),
                ("hormesis.dashboard.launch", launcher),
                ("smallest app", plain),
            ):
                # A port of its own: the server before it may take a moment longer to end.
                port = free_port("127.0.0.1", 0)
                url, command = f"http://127.0.0.1:{port}", [sys.executable, "-m", *module, str(port)]
                context = browser.new_context(viewport={"width": 1440, "height": 1000})
                first = first_chart(command, url, context.new_page(), environment=environment)
                context.close()
                if turn:  # the first turn warms the disk's cache
                    seconds.setdefault(name, []).append(first)
    print(f"\nprocess start to first chart in Chromium, median of {number} (least to most); processor time")
    middle = {name: statistics.median(wall for wall, _ in runs) for name, runs in seconds.items()}
    for name, runs in seconds.items():
        walls = [wall for wall, _ in runs]
        used = statistics.median(used for _, used in runs)
        print(
            f"{name:<20} {middle[name]:5.2f} s ({min(walls):.2f} to {max(walls):.2f}); {used:4.2f} s; "
            f"{middle[name] / middle['smallest app']:.2f} x the smallest app"
        )


def pages(database: str) -> None:
    """Server time of everything on every page, unchanged and after a change each time."""
    with dashboard(database) as (url, pid):
        show("nothing changed", asyncio.run(walk(url, pid, ROUNDS, changes=None)))
    changes = open_writer(database)
    try:
        with dashboard(database) as (url, pid):
            show("after a change each time", asyncio.run(walk(url, pid, 1, changes=changes)))
    finally:
        changes.dispose()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--big", type=Path, default=None, help="the big database, built here where it is not")
    parser.add_argument("--only", choices=("start", "pages"), default=None)
    parser.add_argument("--starts", type=int, default=5, help="how many starts the median is of")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        path = options.big or Path(scratch) / "big.sqlite"
        database = f"sqlite:///{path.absolute()}" if path.exists() else build_file(path, BIG)
        if options.only != "pages":
            starts(database, Path(scratch), options.starts)
        if options.only != "start":
            pages(database)


if __name__ == "__main__":
    main()
