"""Study processes: plan, start, stop, resume, and what became of them. Knows the command line, no pages.

A study runs as `hormesis run` in a session of its own, so it outlives the dashboard; its output goes to a log
file in the home. A stop is the interrupt that Ctrl-C would send: the study ends at the next batch.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from hormesis.dashboard.running.permission import Home
from hormesis.db.files import atomic_file
from hormesis.db.origin import origin_of, studies_folder
from hormesis.db.processes import is_running
from hormesis.db.run_lock import Holder, holder_of, noted

PLAN_SECONDS = 180
LONGEST_STUDY = 256_000
"""Characters of a study file that are taken from the page."""
PRESETS = ("forum", "forum-full", "wikipedia", "wikipedia-full", "real", "real-mini", "paper")


class RunProblem(ValueError):
    """Something asked of a run cannot be done; one sentence for the person."""


@dataclass
class Started:
    """A run begun from this dashboard."""

    process: subprocess.Popen[bytes]
    log: Path
    began: float = field(default_factory=time.time)

    @property
    def code(self) -> int | None:
        """Exit code; None while it runs."""
        return self.process.poll()

    def last_words(self) -> str:
        """The last line of its log that says something."""
        try:
            with self.log.open("rb") as handle:
                handle.seek(max(0, self.log.stat().st_size - 8_000))
                lines = handle.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return "its log cannot be read"
        words = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip() for line in lines]
        return next(
            (line for line in reversed(words) if line and not line.startswith("#")), "it said nothing"
        )


_lock = threading.Lock()
_started: dict[tuple[Path, str], Started] = {}
_stopping: dict[tuple[Path, str], Holder] = {}


def _environment(home: Home) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")}
    environment.pop("HORMESIS_SERVICE", None)
    return environment | {"HORMESIS_HOME": str(home.folder), "HORMESIS_DB": home.url}


def _command(*arguments: str, data: str | None) -> list[str]:
    more = ["--data", data] if data else []
    return [sys.executable, "-m", "hormesis.pipeline.cli", *arguments, *more]


def keep_study(home: Home, text: str) -> str:
    """Write a study file given to the page into the home; gives its path. The same text, the same file.

    Raises RunProblem for an empty or very long one.
    """
    if not text.strip():
        raise RunProblem("the study is empty; paste a TOML file or choose a preset")
    if len(text) > LONGEST_STUDY:
        raise RunProblem(f"the study is longer than {LONGEST_STUDY:,} characters; that is not a study file")
    match = re.search(r'^\s*name\s*=\s*"([a-z0-9._-]{1,61})"', text, re.MULTILINE)
    stem = f"{match[1] if match else 'study'}-{sha256(text.encode()).hexdigest()[:10]}"
    path = studies_folder(home.folder) / f"{stem}.toml"
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return str(path)


def plan(home: Home, study: str, data: str | None = None) -> dict[str, Any]:
    """What `hormesis plan --json` says of a study (a preset or a file's path): arms, tokens, time, disk.

    `data`: the data folder. Raises RunProblem, its one line, for a study that cannot be run.
    """
    try:
        completed = subprocess.run(
            _command("plan", study, "--json", data=data),
            env=_environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PLAN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RunProblem(
            f"looking at the study took longer than {PLAN_SECONDS} s; its sources may hang"
        ) from None
    if completed.returncode:
        lines = [line.strip() for line in completed.stderr.splitlines() if line.strip()]
        raise RunProblem((lines[-1] if lines else "the study cannot be read").removeprefix("hormesis: "))
    answer: dict[str, Any] = json.loads(completed.stdout)
    return answer


def start(home: Home, study: str, study_hash: str, *, data: str | None = None) -> Started:
    """Begin or go on with a study (a preset or a file). Raises RunProblem where it runs already."""
    run_key = (home.folder, study_hash)
    with _lock:
        if holder_of(home.folder, study_hash) or is_starting(home, study_hash):
            raise RunProblem("this study is running already")
        logs = home.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        log_path = logs / f"{study_hash}.log"
        with log_path.open("ab") as log_file:
            log_file.write(f"# {time.strftime('%Y-%m-%d %H:%M:%S')} hormesis run {study}\n".encode())
            log_file.flush()
            process = subprocess.Popen(
                _command("run", study, data=data),
                env=_environment(home),
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _stopping.pop(run_key, None)
        _started[run_key] = Started(process, log_path)
        return _started[run_key]


def resume(home: Home, study_hash: str) -> Started:
    """Go on with a study of this home. Raises RunProblem where its file is gone or describes another."""
    origin = origin_of(home.folder, study_hash)
    if origin is None:
        raise RunProblem("how this study was started is not known; run its file again with `hormesis run`")
    study_plan = plan(home, origin.study, origin.data)
    if study_plan["hash"] != study_hash:
        raise RunProblem(
            f"{Path(origin.study).name} now describes another study ({study_plan['hash']}): the file, or the "
            "program, has changed since"
        )
    return start(home, origin.study, study_hash, data=origin.data)


def stop(home: Home, study_hash: str) -> Holder:
    """Ask the process that runs a study to stop at the next batch. Raises RunProblem where there is none."""
    holder = holder_of(home.folder, study_hash)
    if holder is None:
        notes = noted(home.folder, study_hash)
        where = f"; its lock names the machine {notes[-1][1]}" if notes else ""
        raise RunProblem(f"no process on this machine runs this study{where}")
    try:
        process = psutil.Process(holder.pid)
        if not is_running(holder.pid, holder.started):
            raise psutil.NoSuchProcess(holder.pid)
        process.send_signal(signal.SIGINT)
    except psutil.AccessDenied:
        raise RunProblem(
            f"process {holder.pid} belongs to another user and cannot be stopped from here"
        ) from None
    except psutil.NoSuchProcess:
        raise RunProblem("the process that ran this study has just ended") from None
    _stopping[home.folder, study_hash] = holder
    return holder


def is_starting(home: Home, study_hash: str) -> bool:
    """Whether a run begun here lives but has not taken the study's lock yet."""
    run = _started.get((home.folder, study_hash))
    return run is not None and run.code is None and holder_of(home.folder, study_hash) is None


def is_stopping(home: Home, study_hash: str) -> bool:
    """Whether the process that runs the study was asked from here to stop."""
    moment = _stopping.get((home.folder, study_hash))
    return moment is not None and moment == holder_of(home.folder, study_hash)


def killed_by(home: Home, study_hash: str) -> str | None:
    """The signal that ended the run begun here, e.g. `SIGKILL`; None where none did."""
    run = _started.get((home.folder, study_hash))
    code = run.code if run is not None else None
    if code is None or code >= 0 or code == -signal.SIGINT:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def ended_badly(home: Home, study_hash: str) -> str | None:
    """The last words of a run begun here that failed; None where none did, and where it was killed."""
    run = _started.get((home.folder, study_hash))
    if run is None or run.code in (None, 0, 130) or run.code < 0:
        return None
    return f"{run.last_words()} (exit code {run.code})"
