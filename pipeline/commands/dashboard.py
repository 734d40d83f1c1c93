"""Starting the dashboard as a process of its own, known here by its command line alone."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType

from hormesis.db.location import with_database

LOADING_S = 30.0
"""Seconds that a study waits at most for the model that is steered first."""


class DashboardProcess:
    """The dashboard's launcher, which starts the model service too; ended with the block it is used in."""

    def __init__(self, process: subprocess.Popen[bytes], loaded_fd: int) -> None:
        self._process = process
        self._loaded_fd: int | None = loaded_fd

    def wait_until_loaded(self) -> bool:
        """Wait until the service has a model in memory, or none to load, at most LOADING_S.

        False where the dashboard has ended.
        """
        if self._loaded_fd is None:
            return False
        is_told, _, _ = select.select([self._loaded_fd], [], [], LOADING_S)
        return not is_told or os.read(self._loaded_fd, 1) != b""

    def wait_for_end(self) -> int:
        """Wait until the dashboard ends or Ctrl-C is pressed; gives an exit code."""
        try:
            return self._process.wait()
        except KeyboardInterrupt:
            self.end()
            return 0

    def end(self) -> None:
        """End it and what it started."""
        if self._loaded_fd is not None:
            os.close(self._loaded_fd)
            self._loaded_fd = None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> DashboardProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def dashboard_process(
    database_url: str,
    *,
    port: int,
    service: str | None,
    browser: bool,
    read_only: bool = False,
    study: str | None = None,
    audience: Sequence[str] = (),
) -> DashboardProcess:
    """Start `python -m hormesis.dashboard.launch`; it prints the address when the page answers.

    `read_only`: without start and stop of studies, and without a model service of its own; `study`: what the
    page calls the study that it opens on; `audience`: the launcher's options on whom the pages are served to.
    """
    command = [sys.executable, "-m", "hormesis.dashboard.launch", "--port", str(port)]
    command += ["--parent", str(os.getpid())]
    command += audience
    if service is not None:
        command += ["--service", service]
    if read_only:
        command += ["--read-only"] if service is not None else ["--read-only", "--no-service"]
    if study is not None:
        command += ["--study", study]
    if browser:
        command.append("--open")
    # The launcher writes a byte into the other end, or closes it by its own end.
    loaded_fd, closed_fd = os.pipe()
    command += ["--loaded-fd", str(closed_fd)]
    # Its own session: a Ctrl-C meant for the study must not end the dashboard that shows it.
    process = subprocess.Popen(
        command, start_new_session=True, env=with_database(database_url), pass_fds=(closed_fd,)
    )
    os.close(closed_fd)
    return DashboardProcess(process, loaded_fd)
