"""What a person sees on the terminal while a study runs: one bar per stage at work, rates and time left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from sqlalchemy import Connection, select

from hormesis.db.contract.sources import in_words
from hormesis.db.engine import open_writer
from hormesis.db.schema import SourceUse, StageRun
from hormesis.db.write import read_session
from hormesis.pipeline.commands.console.terminal import Terminal, Words


@dataclass(frozen=True)
class StageLine:
    """One stage as the display needs it."""

    stage: str
    subject: str
    status: str
    done: float
    total: float
    unit: str
    message: str
    error: str | None
    seconds: float
    host: str
    pid: int | None
    started: datetime | None
    heartbeat: datetime | None


def stage_lines(connection: Connection, study_id: int) -> list[StageLine]:
    """All stages of a study, in the order they were announced."""
    columns = (
        StageRun.stage,
        StageRun.subject,
        StageRun.status,
        StageRun.done,
        StageRun.total,
        StageRun.unit,
        StageRun.message,
        StageRun.error,
        StageRun.seconds,
        StageRun.host,
        StageRun.pid,
        StageRun.started,
        StageRun.heartbeat,
    )
    rows = connection.execute(select(*columns).where(StageRun.study_id == study_id).order_by(StageRun.id))
    return [StageLine(**row._asdict()) for row in rows]


def source_lines(connection: Connection, study_id: int) -> list[str]:
    """One line for each source of a study in each of its roles: what became of its rows."""
    rows = connection.execute(
        select(
            SourceUse.role,
            SourceUse.name,
            SourceUse.rows_read,
            SourceUse.rows_used,
            SourceUse.dropped,
            SourceUse.stopped,
            SourceUse.note,
        )
        .where(SourceUse.study_id == study_id)
        .order_by(SourceUse.id)
    )
    return [
        f"{role} {name}: {in_words(read=read, used=used, dropped=dropped, stopped=stopped, note=note)}"
        for role, name, read, used, dropped, stopped, note in rows
    ]


class Rate(ProgressColumn):
    """Units per second since the bar appeared."""

    def render(self, task: Task) -> Text:
        """One cell."""
        unit, speed = task.fields.get("unit", ""), task.speed or 0.0
        if not unit or not speed:
            return Text("")
        amount = f"{speed / 1000:,.1f}k" if speed >= 10_000 else f"{speed:,.1f}"
        return Text(f"{amount} {unit}/s", style="dim")


class StudyDisplay:
    """Reads the study's stage rows and keeps a bar for each stage at work."""

    def __init__(self, database_url: str, study_id: int, console: Terminal) -> None:
        self._engine, self._study_id = open_writer(database_url), study_id
        self._console = console
        self._bars: dict[tuple[str, str], TaskID] = {}
        self._ahead: set[tuple[str, str]] = set()
        """Stages that were not at their end when last looked at."""
        self._sources: set[str] = set()
        """Lines about sources that need not be printed any more."""
        self._overall: TaskID | None = None
        self._progress = Progress(
            SpinnerColumn(),
            Words(),
            Words("subject", "cyan"),
            Words("message", "dim"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )

    def start(self) -> None:
        """Begin to draw."""
        self._progress.start()

    def stop(self) -> None:
        """Stop drawing and give the terminal back."""
        self._progress.stop()

    def watch(self) -> None:
        """Take a look at the rows and redraw."""
        with read_session(self._engine) as session:
            lines = stage_lines(session.connection(), self._study_id)
            sources = source_lines(session.connection(), self._study_id)
        n_done = sum(line.status == "done" for line in lines)
        if self._overall is None:
            is_read = any((line.stage, line.status) == ("text", "done") for line in lines)
            self._sources = set(sources) if is_read else set()
            self._overall = self._progress.add_task(
                "stages", total=len(lines), unit="", subject="", message=""
            )
        self._progress.update(self._overall, completed=n_done, total=len(lines))
        for line in lines:
            self._update_bar(line)
        for source in sources:
            if source not in self._sources:
                self._console.say((source, "dim"))
        self._sources.update(sources)

    def _update_bar(self, line: StageLine) -> None:
        """Show a stage at work by a bar, and tell once of one that ended; `line` is the stage's row."""
        key = (line.stage, line.subject)
        if line.status == "running":
            if key not in self._bars:
                self._bars[key] = self._add_bar(line.stage, None)
            self._progress.update(
                self._bars[key],
                subject=line.subject,
                message=line.message,
                completed=line.done,
                total=line.total or None,
                unit=line.unit,
            )
        elif key in self._bars:
            self._progress.remove_task(self._bars.pop(key))
        if line.status not in ("done", "failed"):
            self._ahead.add(key)
        elif key in self._ahead:
            self._ahead.remove(key)
            self._tell(line)

    def _add_bar(self, title: str, total: int | None) -> TaskID:
        return self._progress.add_task(title, total=total, unit="", subject="", message="")

    def _tell(self, line: StageLine) -> None:
        """Print that a stage is done (seconds of work) or failed."""
        if line.status == "done":
            self._console.say(
                ("done", "green"), f" {line.stage} {line.subject} ", (f"{line.seconds:.1f} s", "dim")
            )
        elif line.status == "failed":
            self._console.say(("failed", "red"), f" {line.stage} {line.subject}: {line.error or ''}")
