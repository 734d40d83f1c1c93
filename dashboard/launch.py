"""Starting the dashboard, and the model service beside it.

Knows ports and processes, nothing of pages or models. `python -m hormesis.dashboard.launch --db URL` serves
the pages in this very process until it is interrupted, and ends the service that it started. While the
browser loads the frame of the page, the libraries that draw it are loaded here.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import webbrowser
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from hormesis.dashboard.access.audience import (
    ALLOW,
    AccessProblem,
    Audience,
    audience_of_server,
    base_path_of,
    log_in_of,
    names_of,
)
from hormesis.dashboard.running.service_process import ServiceProcess, keep
from hormesis.db.contract.hosts import server_url
from hormesis.db.contract.tokens import SERVICE_TOKEN, TOKEN_VARIABLE
from hormesis.db.location import READ_ONLY, database_url, require_openable, with_database
from hormesis.db.problems import DatabaseProblem
from hormesis.db.processes import is_running

APP = Path(__file__).parent / "app.py"
APPLICATION = "hormesis.dashboard.app:app"
LAST_PORT = 65_535
HEAD_START = 4.0
"""Seconds the first page has for itself before the service begins to load its libraries."""
LOOK_S = 1.0
"""Seconds between two looks at the parent, and at what the service has loaded."""
TRIES = 60
"""The service is asked so often whether what may be steered first is loaded."""
LIBRARIES = (
    "hormesis.dashboard.rows",
    "hormesis.dashboard.parts.card",
    "hormesis.dashboard.charts.dose",
    "hormesis.dashboard.app_pages.overview.verdict_view",
    "hormesis.dashboard.parts.texts",
    "hormesis.dashboard.app_pages.tradeoffs.comparison",
    "hormesis.dashboard.app_pages.geometry.directions_view",
)
"""What pages need, the first page first."""


class LaunchError(ValueError):
    """The dashboard cannot be started as asked; one line for the person."""


def free_port(host: str, port: int) -> int:
    """The wanted port, or the next free one up to twenty further; 0 means any.

    Raises LaunchError where the host is not ours or no port is free.
    """
    if not 0 <= port <= LAST_PORT:
        raise LaunchError(f"port {port} is outside 0 to {LAST_PORT}")
    for candidate in range(port, min(port + 20, LAST_PORT) + 1) if port else (0,):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except socket.gaierror:
                raise LaunchError(f"'{host}' is not an address of this machine") from None
            except OSError as error:
                if error.errno == 99:  # address not available
                    raise LaunchError(f"'{host}' is not an address of this machine") from None
                continue
            return int(probe.getsockname()[1])
    raise LaunchError(f"no free port from {port} to {port + 20} on {host}; choose another with --port")


def _options(port: int, audience: Audience) -> dict[str, Any]:
    """Streamlit's options that are not in the file beside the page."""
    return {
        "server.port": port,
        "server.address": audience.address,
        "server.baseUrlPath": audience.base_path,
        # Where a proxy passes on a name without its port, Streamlit would take the page for another site's.
        "server.corsAllowedOrigins": [f"https://{name}" for name in audience.names],
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.scriptHealthCheckEnabled": True,
        "browser.gatherUsageStats": False,
        "browser.serverAddress": audience.address,
        "logger.hideWelcomeMessage": True,
        "logger.level": "warning",
    }


def serve(
    database_url: str,
    service_url: str | None,
    port: int,
    *,
    host: str = "127.0.0.1",
    open_browser: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a process that serves the pages, without a service of its own. The page opens within seconds.

    `service_url` is where a model service answers, or will answer; None shows live steering as absent.
    """
    command = [sys.executable, "-m", "hormesis.dashboard.launch", "--port", str(port)]
    command += ["--host", host, "--service", service_url] if service_url else ["--host", host, "--no-service"]
    command += ["--open"] if open_browser else []
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=with_database(database_url))


def _serve_here(options: dict[str, Any]) -> None:
    """Serve the pages in this process until it is told to end, as `streamlit run` does."""
    # Imported here: the ports and processes of this module are also used where no page is served.
    from streamlit.web import bootstrap

    bootstrap.run_asgi_app(str(APP), APPLICATION, [], options)


def _require_log_in(options: dict[str, Any]) -> None:
    """Have Streamlit read its options. Raises AccessProblem where others could come in without a log-in."""
    from streamlit import config
    from streamlit.web import bootstrap

    config._main_script_path = str(APP)
    bootstrap.load_config_options(flag_options=options)
    log_in_of(audience_of_server())


def _answers(url: str) -> bool:
    with contextlib.suppress(urllib.error.URLError, OSError):
        urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
        return True
    return False


def wait_until_open(url: str, process: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
    """Return once the dashboard answers. Raises LaunchError where it ends or stays silent."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise LaunchError(f"the dashboard ended with code {process.returncode} before it answered")
        if _answers(url):
            return
        time.sleep(0.1)
    raise LaunchError(f"the dashboard did not answer at {url} within {seconds:.0f} seconds")


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


class _Beside:
    """What goes on beside the pages: loading their libraries, the service, and a look at the parent."""

    def __init__(
        self,
        url: str,
        service: ServiceProcess | None,
        parent: int | None,
        *,
        open_browser: bool,
        study: str | None = None,
        loaded_fd: int | None = None,
    ) -> None:
        self._url, self._service, self._parent, self._loaded_fd = url, service, parent, loaded_fd
        self._first_page = f"{url}/?{urllib.parse.urlencode({'study': study})}" if study else url
        self._open_browser, self._study = open_browser, study
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beside the pages", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=10)
        if self._service is not None:
            self._service.end()

    def _run(self) -> None:
        while not _answers(self._url):
            if self._over.wait(0.05):
                return
        print(f"dashboard on {self._first_page}", flush=True)
        if self._open_browser:
            webbrowser.open(self._first_page)
        begin = time.monotonic()
        for name in LIBRARIES:
            importlib.import_module(name)
        # What is loaded now stays, so the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        self._over.wait(HEAD_START - (time.monotonic() - begin))
        self._hold()

    def _hold(self) -> None:
        """Start the service, and end with the parent."""
        if self._service is not None and not self._over.is_set():
            self._service.begin()
        tries = 0 if self._service is None or self._study is None else TRIES
        while not self._over.wait(LOOK_S):
            if self._service is not None and tries:
                tries = 0 if self._service.has_loaded() else tries - 1
            if self._loaded_fd is not None and not tries:
                with contextlib.suppress(OSError):  # nobody waits any more
                    os.write(self._loaded_fd, b"1")
                self._loaded_fd = None
            if self._parent is not None and not is_running(self._parent):
                os.kill(os.getpid(), signal.SIGTERM)
                return


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted. Prints the address. Returns 2 for what the person asked wrongly."""
    parser = argparse.ArgumentParser(
        prog="python -m hormesis.dashboard.launch", description="Serve the dashboard."
    )
    parser.add_argument("--db", help="SQLAlchemy URL or SQLite file of the database")
    parser.add_argument(
        "--service",
        default=os.environ.get("HORMESIS_SERVICE") or None,
        help="address of a model service (default: HORMESIS_SERVICE); without one it is started here",
    )
    parser.add_argument("--no-service", action="store_true", help="serve without live steering")
    parser.add_argument("--read-only", action="store_true", help="neither start nor stop studies")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--base-path", default=None, help="path that a proxy serves the pages under")
    parser.add_argument("--allow", action="append", default=[], help="name that a proxy passes on as Host")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("--study", default=None, help="the study that the page opens on")
    parser.add_argument("--parent", type=int, default=None, help="end when the process of this id ends")
    parser.add_argument(
        "--loaded-fd", type=int, default=None, help="where to write a byte once a model can be steered"
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    try:
        audience = Audience(options.host, names_of(options.allow), base_path_of(options.base_path))
        port = free_port(options.host, options.port)
        if options.port and port != options.port:
            print(f"port {options.port} is in use; taking {port}", flush=True)
        starts_service = options.service is None and not options.no_service
        service_port = free_port("127.0.0.1", 0) if starts_service else 0
        service_url = f"http://127.0.0.1:{service_port}" if starts_service else options.service
        if options.read_only:
            os.environ[READ_ONLY] = "1"
        url_of_rows = database_url(options.db)
        require_openable(url_of_rows)
        _tell_pages(url_of_rows, None if options.no_service else service_url, starts_service)
        os.environ[ALLOW] = ",".join(audience.names)
        _require_log_in(_options(port, audience))
        service = ServiceProcess(url_of_rows, service_port) if starts_service else None
        if service is not None:
            keep(service)
        url = server_url(options.host, port) + audience.base_path
        beside = _Beside(
            url,
            service,
            options.parent,
            open_browser=options.open,
            study=options.study,
            loaded_fd=options.loaded_fd,
        )
        with beside:
            _serve_here(_options(port, audience))
    except (LaunchError, AccessProblem, DatabaseProblem) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def _tell_pages(database_url: str, service_url: str | None, starts_service: bool) -> None:
    """Set what the pages read from the environment."""
    os.environ["HORMESIS_DB"] = database_url
    os.environ.pop("HORMESIS_SERVICE", None)
    if service_url:
        os.environ["HORMESIS_SERVICE"] = service_url
    if starts_service and os.environ.get(TOKEN_VARIABLE):
        # The service started here inherits the token it is to ask for; the page must send the same.
        os.environ[SERVICE_TOKEN] = os.environ[TOKEN_VARIABLE]


if __name__ == "__main__":
    raise SystemExit(main())
