"""The model service that a dashboard has started itself: begun beside the pages, and again where it died.

Knows the command line of the service, no page. One for each dashboard; none where it was told of another.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from hormesis.db.location import with_database

QUICK = 10.0
"""Seconds; a service that lives shorter will end again."""
MOST = 3
"""Quick ends in a row after which it is left alone."""


class ServiceProcess:
    """A model service and what became of it. Safe in threads: every viewer's page may ask."""

    def __init__(self, database_url: str, port: int) -> None:
        """Nothing is started yet; `port` is one of this machine."""
        self._command = [sys.executable, "-m", "hormesis.backend.service", "--port", str(port)]
        self._address = f"http://127.0.0.1:{port}"
        self._environment = with_database(database_url)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._quick_ends = 0
        self._sentence = ""
        self._is_over = False
        self._is_loading = False

    def begin(self) -> None:
        """Start it."""
        with self._lock:
            self._begin()

    def _begin(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, env=self._environment)
        self._began = time.monotonic()

    def has_loaded(self) -> bool:
        """Whether its first imported checkpoint is in memory, or it has none; asks for it once.

        False until the service answers.
        """
        import httpx  # the launcher has no other use for it

        token = self._environment.get("HORMESIS_TOKEN", "").strip()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with httpx.Client(base_url=self._address, headers=headers, timeout=2.0) as client:
            try:
                models = client.get("/models").raise_for_status().json()
                offers = (row for row in models if row["kind"] == "imported" and not row["problem"])
                first = next(offers, None)
                if first is None or first["loaded"]:
                    return True
                if not self._is_loading:
                    answer = client.post(f"/models/{first['checkpoint_id']}/load").raise_for_status()
                    self._is_loading = answer.json()["loading"]
                    return not self._is_loading
            except (httpx.HTTPError, ValueError, KeyError):
                pass
        return False

    def start_again(self) -> str:
        """Start it where it has ended; a sentence where it had, until it answers, else nothing."""
        with self._lock:
            code = None if self._process is None else self._process.poll()
            if code is None or self._is_over or self._quick_ends > MOST:
                return self._sentence
            is_quick = time.monotonic() - self._began < QUICK
            self._quick_ends = self._quick_ends + 1 if is_quick else 0
            ending = f"The model service had ended ({f'signal {-code}' if code < 0 else f'exit code {code}'})"
            if self._quick_ends > MOST:
                self._sentence = f"{ending}, {MOST + 1} times right after its start; the terminal says why."
                return self._sentence
            self._sentence = f"{ending} and was started again."
            self._begin()
            return self._sentence

    def end(self) -> None:
        """End it, and start it no more."""
        with self._lock:
            self._is_over = True
            if self._process is None:
                return
            if self._process.poll() is None:
                self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


_services: list[ServiceProcess] = []


def keep(service: ServiceProcess) -> None:
    """Make it the one that pages start again."""
    _services[:] = [service]


def start_again() -> str:
    """As `ServiceProcess.start_again`, of this dashboard's own service; empty where it has none."""
    return _services[0].start_again() if _services else ""
