"""A toy run begun from the page: the command, its process, its log. Knows the command line, no pages.

One at a time from each dashboard; it runs at low priority in a session of its own, so it outlives the page.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from hormesis.dashboard.running.permission import Home
from hormesis.dashboard.running.process import RunProblem, Started

NICE = 10
_lock = threading.Lock()
_started: dict[Path, Started] = {}


def arguments(setting: str, options: dict[str, float | int | None], *, shares: str, seeds: str) -> list[str]:
    """Arguments of `hormesis`; options that are None keep the setting's default."""
    words = ["toy", "--setting", setting, "--shares", shares, "--seeds", seeds]
    for name, value in options.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    return words


def start(home: Home, arguments: list[str]) -> Started:
    """Begin `hormesis` with these arguments; its output goes to a log. Raises RunProblem where one runs."""
    with _lock:
        before = _started.get(home.folder)
        if before is not None and before.code is None:
            raise RunProblem("a toy run begun from this page is still running; wait for it or stop it")
        logs = home.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        log = logs / "toy.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")}
        environment |= {"HORMESIS_HOME": str(home.folder), "HORMESIS_DB": home.url}
        with log.open("ab") as out:
            out.write(f"# {time.strftime('%Y-%m-%d %H:%M:%S')} hormesis {' '.join(arguments)}\n".encode())
            out.flush()
            process = subprocess.Popen(
                [sys.executable, "-m", "hormesis.pipeline.cli", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        _started[home.folder] = Started(process, log)
        return _started[home.folder]


def running(home: Home) -> Started | None:
    """The run begun here that has not ended."""
    run = _started.get(home.folder)
    return run if run is not None and run.code is None else None


def stop(home: Home) -> None:
    """Ask the run begun here to stop: finished chunks are kept. Does nothing where none runs."""
    run = running(home)
    if run is not None:
        run.process.send_signal(signal.SIGINT)


def ended_badly(home: Home) -> str | None:
    """The last words of the run begun here last, where it failed."""
    run = _started.get(home.folder)
    if run is None or run.code in (None, 0, 130, -signal.SIGINT):
        return None
    return f"{run.last_words().removeprefix('hormesis: ')} (exit code {run.code})"
