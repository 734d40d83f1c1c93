"""Worker processes end with the process that asked for them, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hormesis.pipeline.execution.executors import workers

STARTING = """
import os, time
from hormesis.pipeline.execution.executors.workers import Workers, start_server

start_server()
"""
WORKING = """
pool = Workers(2, threads=1)
pool.submit(os.getpid).result()
pool.submit(time.sleep, 600)
"""
WAITING = """
print("ready", flush=True)
time.sleep(600)
"""
PATIENCE_SECONDS = 60
MARK = "HORMESIS_HOME"


def processes(home: Path) -> Iterator[psutil.Process]:
    """Those that were started with this home, whoever is their parent now."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:
            continue


def semaphores(home: Path) -> set[Path]:
    """Files of the semaphores that workers share with the process that asked for them."""
    paths = {Path(mapped.path) for process in processes(home) for mapped in process.memory_maps()}
    return {path for path in paths if path.name.startswith("sem.mp-")}


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["start-up", "mid-work"])
def test_nothing_outlives_a_killed_run(moment: str, tmp_path: Path) -> None:
    code = STARTING + (WORKING if moment == "mid-work" else "") + WAITING
    environment = {**os.environ, MARK: str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    try:
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            line, shared, count = run.stdout.readline(), semaphores(tmp_path), len(list(processes(tmp_path)))
            run.kill()
        assert line == "ready\n" and count > 1 and bool(shared) is (moment == "mid-work")
        until = time.monotonic() + PATIENCE_SECONDS
        while list(processes(tmp_path)) and time.monotonic() < until:
            time.sleep(0.2)
        assert not list(processes(tmp_path))
        assert not [path for path in shared if path.exists()]
    finally:
        for process in processes(tmp_path):
            process.terminate()  # which the tracker of semaphores ignores: it removes them and ends


def test_threads_are_those_that_the_environment_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "cores", lambda: 8)
    for stated, processes, threads in (("3", 1, 3), ("3", 4, 3), ("", 1, 8), ("", 3, 2), ("4,2", 16, 1)):
        monkeypatch.setenv("OMP_NUM_THREADS", stated)
        assert workers.threads_of(processes) == threads
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert (workers.threads_of(), workers.threads_of(parameters=500_000)) == (8, 1)
