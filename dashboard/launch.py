"""Starting the dashboard, and the model service beside it, as processes of their own.

Knows ports and processes, nothing of pages or models. `python -m dashboard.launch --db URL` serves until it
is interrupted or one of its children ends, then ends the other.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from typing import NoReturn

from db.location import database_url

APP = Path(__file__).parent / "app.py"
LAST_PORT = 65_535
HEAD_START = 4.0
"""Seconds the first page has for itself before the service begins to load its libraries."""


class LaunchError(ValueError):
    """The dashboard cannot be started as asked; one line for the person."""


def free_port(host: str, wanted: int) -> int:
    """The wanted port, or the next free one up to twenty further; 0 means any.

    Raises LaunchError where the host is not ours or no port is free.
    """
    if not 0 <= wanted <= LAST_PORT:
        raise LaunchError(f"port {wanted} is outside 0 to {LAST_PORT}")
    for port in range(wanted, min(wanted + 20, LAST_PORT) + 1) if wanted else (0,):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except socket.gaierror:
                raise LaunchError(f"'{host}' is not an address of this machine") from None
            except OSError as error:
                if error.errno == 99:  # address not available
                    raise LaunchError(f"'{host}' is not an address of this machine") from None
                continue
            return int(probe.getsockname()[1])
    raise LaunchError(f"no free port from {wanted} to {wanted + 20} on {host}; choose another with --port")


def serve(
    database_url: str, service_url: str | None, port: int, host: str = "127.0.0.1", open_browser: bool = False
) -> subprocess.Popen[bytes]:
    """Start Streamlit on a port that is free. Returns its process at once; the page opens within seconds.

    `service_url` is where the model service answers, or will answer; None shows live steering as absent.
    """
    environment = dict(os.environ, HORMESIS_DB=database_url)
    environment.pop("HORMESIS_SERVICE", None)
    if service_url:
        environment["HORMESIS_SERVICE"] = service_url
    options = {
        "server.port": str(port),
        "server.address": host,
        "server.headless": "false" if open_browser else "true",
        "server.fileWatcherType": "none",
        "server.scriptHealthCheckEnabled": "true",
        "browser.gatherUsageStats": "false",
        "browser.serverAddress": host,
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "streamlit", "run", str(APP), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def wait_until_open(url: str, process: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
    """Return once the dashboard answers. Raises LaunchError where it ends or stays silent."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise LaunchError(f"the dashboard ended with code {process.returncode} before it answered")
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
            return
        time.sleep(0.1)
    raise LaunchError(f"the dashboard did not answer at {url} within {seconds:.0f} seconds")


def warm(url: str) -> None:
    """Have the page run once, so that its libraries are loaded before the first visitor comes."""
    with contextlib.suppress(urllib.error.URLError, OSError):
        urllib.request.urlopen(f"{url}/_stcore/script-health-check", timeout=20).close()


def start_service(database_url: str, port: int) -> subprocess.Popen[bytes]:
    """Start the model service on a port of this machine, at low priority so a study keeps its speed."""
    command = [sys.executable, "-m", "backend.service", "--db", database_url, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    if hasattr(os, "setpriority"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, 5)
    return process


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _parent_alive(parent: int | None) -> bool:
    if parent is None:
        return True
    try:
        os.kill(parent, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _watch(page: subprocess.Popen[bytes], service: tuple[str, int] | None, parent: int | None) -> int:
    """Hold until the page ends; start the service after the head start; say once if it ends early."""
    running = [page]
    begin = time.monotonic()
    try:
        while page.poll() is None and _parent_alive(parent):
            if service and len(running) == 1 and time.monotonic() - begin > HEAD_START:
                running.append(start_service(*service))
            if service and len(running) == 2 and running[1].poll() is not None:
                print("the model service ended; everything but live steering goes on", file=sys.stderr)
                service = None
            time.sleep(0.3)
    except KeyboardInterrupt:
        return 0
    finally:
        _end(running)
    return page.returncode or 0


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted. Prints the address. Returns 2 for what the person asked wrongly."""
    parser = argparse.ArgumentParser(prog="python -m dashboard.launch", description="Serve the dashboard.")
    parser.add_argument("--db", default=database_url(), help="SQLAlchemy URL of the database")
    parser.add_argument(
        "--service",
        default=os.environ.get("HORMESIS_SERVICE") or None,
        help="address of a model service (default: HORMESIS_SERVICE); without one it is started here",
    )
    parser.add_argument("--no-service", action="store_true", help="serve without live steering")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("--parent", type=int, default=None, help="end when the process of this id ends")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    page: subprocess.Popen[bytes] | None = None
    try:
        port = free_port(asked.host, asked.port)
        if asked.port and port != asked.port:
            print(f"port {asked.port} is in use; taking {port}", flush=True)
        own = asked.service is None and not asked.no_service
        service_port = free_port("127.0.0.1", 0) if own else 0
        service_url = f"http://127.0.0.1:{service_port}" if own else asked.service
        if own and os.environ.get("HORMESIS_TOKEN"):
            # The service started here inherits the token it is to ask for; the page must send the same.
            os.environ["HORMESIS_SERVICE_TOKEN"] = os.environ["HORMESIS_TOKEN"]
        page = serve(asked.db, service_url, port, asked.host, asked.open)
        url = f"http://{asked.host}:{port}"
        wait_until_open(url, page)
    except (LaunchError, KeyboardInterrupt) as error:
        if page is not None:
            _end([page])
        if isinstance(error, KeyboardInterrupt):
            return 0
        print(error, file=sys.stderr)
        return 2
    print(f"dashboard on {url}", flush=True)
    warm(url)
    return _watch(page, (asked.db, service_port) if own else None, asked.parent)


if __name__ == "__main__":
    raise SystemExit(main())
