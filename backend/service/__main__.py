"""`python -m hormesis.backend.service`: command line of the live service; binds a socket, says where,
serves.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import socket
import sys
from collections.abc import Callable

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hormesis.backend.service.settings import ServiceError, Settings, require_token
from hormesis.db.contract.hosts import server_url
from hormesis.db.contract.tokens import token_from_environment
from hormesis.db.location import database_url, require_openable
from hormesis.db.problems import DatabaseProblem

HEADER_SECONDS = 10.0
"""For all headers of a request to arrive."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped; returns the exit code: 2 where the service must not or cannot listen."""
    try:
        settings, port = _parse(arguments)
        serve(settings, port, lambda address: print(f"listening on {address}", flush=True))
    except (ServiceError, DatabaseProblem) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def serve(settings: Settings, port: int, announce: Callable[[str], None]) -> None:
    """Serve until a signal; `announce` hears the address once requests are answered there.

    Raises ServiceError where the service must not or cannot listen, KeyboardInterrupt after Ctrl-C.
    """
    require_token(settings)
    listener = _bind(settings.host, port)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    from hormesis.backend.service.app import create_app

    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http=HeaderDeadline,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    _Server(config, app.state.live.close, announce).run(sockets=[listener])


class HeaderDeadline(H11Protocol):
    """Closes a connection where a request's headers take too long: how many are open is bounded."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take in what has arrived."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        self._cancel()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._cancel()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    """Says where it listens once it does, for whoever started it with port 0; ends in good order."""

    def __init__(
        self, config: uvicorn.Config, close: Callable[[], None], announce: Callable[[str], None]
    ) -> None:
        super().__init__(config)
        self._close, self._announce = close, announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            self._announce(server_url(host, port))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # First, so that readers of running streams are told why they end; uvicorn itself would cut them off.
        await asyncio.to_thread(self._close)
        await super().shutdown(sockets)


def _parse(arguments: list[str] | None) -> tuple[Settings, int]:
    parser = argparse.ArgumentParser(prog="python -m hormesis.backend.service", description=__doc__)
    parser.add_argument(
        "--db",
        default=None,
        help="SQLAlchemy URL or SQLite file of the study database (default: HORMESIS_DB)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=0, help="0 takes a free one")
    parser.add_argument("--queue", type=_positive, default=16, help="requests that may wait")
    parser.add_argument(
        "--memory-mib",
        type=_positive,
        default=None,
        help="weights kept loaded (default: half of free memory)",
    )
    options = parser.parse_args(arguments)
    database = database_url(options.db)
    require_openable(database)
    settings = Settings(
        database=database,
        host=options.host,
        token=token_from_environment(),
        queue_length=options.queue,
        memory_budget=None if options.memory_mib is None else options.memory_mib * 2**20,
    )
    return settings, options.port


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket. Raises ServiceError where the address is unknown, taken or not allowed."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ServiceError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listener


if __name__ == "__main__":
    sys.exit(main())
