"""Following studies in the database: a display while one runs, a table of all for `status`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, select

from hormesis.db.engine import DatabaseProblem, open_reader, reading
from hormesis.db.schema import Study
from hormesis.pipeline.commands.console.display import StageLine, StudyDisplay, stage_lines
from hormesis.pipeline.commands.console.terminal import Terminal
from hormesis.pipeline.execution.lease import is_at_work
from hormesis.pipeline.execution.progress import Pace


@contextmanager
def watching(database_url: str, console: Terminal, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """A callable that redraws the display; does nothing where output is to be JSON alone.

    The display is made at the first call: before that the database may not exist yet.
    """
    if quiet:
        yield lambda study_id: None
        return
    displays, pace = list[StudyDisplay](), Pace()

    def watch(study_id: int) -> None:
        if not displays:
            displays.append(StudyDisplay(database_url, study_id, console))
            displays[0].start()
        pace.run(displays[0].watch)

    try:
        yield watch
        for display in displays:
            with suppress(DatabaseProblem):  # all is done by now
                display.watch()
    finally:
        for display in displays:
            display.stop()


def status_rows(database_url: str) -> list[dict[str, Any]]:
    """One row per study: how many stages are done, what runs, what failed. Empty without a database.

    A stage that is marked as running by a process that is no more was cut (killed, a power cut). Raises
    DatabaseProblem for a database that cannot be read.
    """
    query = select(Study.id, Study.name, Study.hash).order_by(Study.id)

    def stages_by_study(connection: Connection) -> list[tuple[str, str, list[StageLine]]]:
        studies = connection.execute(query).all()
        return [(name, study_hash, stage_lines(connection, number)) for number, name, study_hash in studies]

    try:
        studies = reading(open_reader(database_url), stages_by_study)
    except DatabaseProblem as problem:
        if problem.kind in ("missing", "empty"):
            return []
        raise
    rows = []
    for name, study_hash, lines in studies:
        unfinished = [line for line in lines if line.status == "running"]
        running = [line for line in unfinished if _is_at_work(line)]
        failed = [line for line in lines if line.status == "failed"]
        notes = [f"{line.stage} {line.subject} {_share(line.done, line.total)}" for line in running]
        notes += [
            f"{line.stage} {line.subject} was cut; run again" for line in unfinished if line not in running
        ]
        notes += [f"{line.stage} {line.subject}: {line.error}" for line in failed]
        rows.append(
            {
                "name": name,
                "hash": study_hash,
                "stages": len(lines),
                "done": sum(line.status == "done" for line in lines),
                "running": len(running),
                "failed": len(failed),
                "what": "; ".join(notes),
            }
        )
    return rows


def _is_at_work(line: StageLine) -> bool:
    return is_at_work(line.host, line.pid, line.started, line.heartbeat)


def _share(done: float, total: float) -> str:
    return f"{done / total:.0%}" if total else ""
