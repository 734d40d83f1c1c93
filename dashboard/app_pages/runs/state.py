"""How a study stands, in one word and one sentence, from its stage rows and its process. Draws nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pandas as pd

from hormesis.dashboard.base.progress import gone_stages, summarise
from hormesis.dashboard.base.records import records
from hormesis.dashboard.running import process
from hormesis.dashboard.running.permission import Home
from hormesis.db.contract.stages import stage_title
from hormesis.db.run_lock import holder_of

Kind = Literal[
    "running", "starting", "stopping", "gone", "stopped", "failed", "finished", "elsewhere", "silent"
]


@dataclass(frozen=True)
class Standing:
    """How a study stands. `pid` is the process that runs it, where that is known."""

    kind: Kind
    sentence: str
    pid: int | None = None

    @property
    def alive(self) -> bool:
        """Whether something runs."""
        return self.kind in ("running", "starting", "stopping", "elsewhere")

    @property
    def can_resume(self) -> bool:
        """Whether running it again would go on with it."""
        return self.kind in ("gone", "stopped", "failed", "silent")


def standing(stages: pd.DataFrame, study_hash: str, home: Home | None, *, now: datetime) -> Standing:
    """How a study stands; `stages`: its stage rows. Without a home only they and the processes are asked."""
    if home is not None:
        holder = holder_of(home.folder, study_hash)
        if holder is not None:
            if process.is_stopping(home, study_hash):
                sentence = f"Process {holder.pid} ends at its next batch; what it has done is kept."
                return Standing("stopping", sentence, holder.pid)
            return Standing("running", f"Process {holder.pid} on this machine runs it.", holder.pid)
        signal = process.killed_by(home, study_hash)
        if signal is not None and not summarise(stages, now).finished:
            return _gone_standing(stages[stages["status"] == "running"], f" ({signal})")
        if process.is_starting(home, study_hash):
            return Standing("starting", "The process has begun; it is reading the study's sources.")
    return _from_rows(stages, now=now)


def _from_rows(stages: pd.DataFrame, *, now: datetime) -> Standing:
    """How a study stands by the processes that its stages name, e.g. of arms that run apart."""
    state = summarise(stages, now)
    dead_stages = gone_stages(stages)
    if state.running and len(dead_stages) == state.running:
        return _gone_standing(dead_stages)
    if state.active:
        hosts = ", ".join(sorted(set(stages[stages["status"] == "running"]["host"])))
        return Standing("elsewhere", f"It runs on {hosts or 'another machine'}; stop it there.")
    if state.running:
        return Standing("silent", "It has given no sign of life for over a minute; it may have been cut.")
    if state.failed:
        return Standing(
            "failed", f"{state.failed} of {state.stages} stages failed; running it again tries them anew."
        )
    if state.finished:
        return Standing("finished", f"All {state.stages} stages are done.")
    if not state.stages:
        return Standing("stopped", "It is on the books; no stage has begun.")
    return Standing("stopped", f"Stopped; {state.done} of {state.stages} stages are done.")


def _gone_standing(stages: pd.DataFrame, advice: str = "") -> Standing:
    names = ", ".join(
        f"{stage_title(str(row.stage)).lower()} of {row.subject}" for row in records(stages.head(3))
    )
    more = f" and {len(stages) - 3} more" if len(stages) > 3 else ""
    where = f"; it was at {names}{more}" if names else ""
    return Standing("gone", f"Stopped: its process is gone{advice}{where}. Resuming goes on from there.")
