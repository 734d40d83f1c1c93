"""Bounded job queue with one worker thread: clients take turns, each is served first come, first served.

One job runs at a time: two passes on the same cores would each take twice as long.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from hormesis.backend.service.settings import ServiceError

CLIENTS = 4
"""Clients that may wait, as a multiple of the queue's length."""
Emit = Callable[[str, dict[str, Any]], None]
log = logging.getLogger(__name__)


class QueueFull(ServiceError):
    """As many requests wait as the service accepts of this client."""


class Stopped(Exception):
    """Raised inside the work when its request was cancelled."""


class Job:
    """One request: its work, where its events go, and the flag that ends it."""

    def __init__(self, work: Callable[[Job], None], emit: Emit, client: str = "") -> None:
        self.id = uuid.uuid4().hex
        self.client = client
        self.work = work
        self.emit = emit
        self._cancelled = threading.Event()
        self._position = -1

    def cancel(self) -> None:
        """Ask the work to end at its next token."""
        self._cancelled.set()

    def cancelled(self) -> bool:
        """True once the request was cancelled, by its reader or because the reader is gone."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raise Stopped if the request was cancelled."""
        if self.cancelled():
            raise Stopped

    def tell_position(self, position: int) -> None:
        """Send `queued` where the number of requests ahead has changed."""
        if position != self._position:
            self._position = position
            self.emit("queued", {"request_id": self.id, "position": position})


class JobQueue:
    """Clients take turns on one daemon thread; bounded, and every waiting job knows its position.

    Who asks for much waits behind itself alone: of each client one job is taken before a second of any other
    (round robin; Nagle 1985, RFC 970), and one with nothing waiting finds a place however many others have.
    """

    def __init__(
        self,
        length: int,
        explain: Callable[[BaseException], str | None],
        prepare: Callable[[], None] = lambda: None,
        *,
        name: str = "decode",
    ) -> None:
        """Share `length` waiting places among the clients that wait, at least one each.

        `explain` words expected errors and gives None for others. `prepare` runs once on the thread, before
        any job: slow imports that the first job would wait for.
        """
        self._length = length
        self._explain = explain
        self._prepare = prepare
        self._waiting: OrderedDict[str, deque[Job]] = OrderedDict()
        """Client to its jobs; whose turn is next stands first."""
        self._running: Job | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Requests waiting or running."""
        with self._changed:
            return self._n_waiting() + (self._running is not None)

    def submit(self, job: Job) -> None:
        """Add a job and tell it its position. Raises QueueFull when too many wait."""
        with self._changed:
            if self._closed:
                raise QueueFull("the service is stopping")
            ahead = len(self._waiting.get(job.client, ()))
            n_clients = len(self._waiting.keys() | {job.client})
            if ahead and (ahead >= self._length // n_clients or self._n_waiting() >= self._length):
                raise QueueFull(f"{ahead} requests are waiting already; try again in a moment")
            if n_clients > CLIENTS * self._length:
                raise QueueFull(f"{n_clients - 1} clients are waiting already; try again in a moment")
            self._waiting.setdefault(job.client, deque()).append(job)
            self._tell_positions()
            self._changed.notify()

    def cancel(self, request_id: str) -> bool:
        """End a waiting job at once, the running one at its next token. False where there is no such job."""
        with self._changed:
            if self._running is not None and self._running.id == request_id:
                self._running.cancel()
                return True
            for job in self._in_order():
                if job.id == request_id:
                    job.cancel()
                    self._take(job)
                    self._tell_positions()
                    break
            else:
                return False
        job.emit("error", {"message": "the request was cancelled"})
        return True

    def close(self) -> None:
        """Cancel everything and wait for the thread to be done with the running job."""
        with self._changed:
            self._closed = True
            jobs = [*self._in_order(), *([self._running] if self._running else [])]
            self._waiting.clear()
            self._changed.notify()
        for job in jobs:
            job.cancel()
            job.emit("error", {"message": "the service is stopping"})
        self._thread.join(timeout=10.0)

    def _tell_positions(self) -> None:
        ahead = int(self._running is not None)
        for index, job in enumerate(self._in_order()):
            job.tell_position(ahead + index)

    def _n_waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _in_order(self) -> list[Job]:
        """Waiting jobs as they will be taken: the first of each client, the second of each, and so on."""
        rounds = zip_longest(*self._waiting.values())
        return [job for turn in rounds for job in turn if job is not None]

    def _take(self, job: Job) -> None:
        """Take a job out; its client keeps its turn, or waits no more."""
        self._waiting[job.client].remove(job)
        if not self._waiting[job.client]:
            del self._waiting[job.client]

    def _serve(self) -> None:
        try:
            self._prepare()
        except Exception as error:
            log.error("the service could not prepare itself", exc_info=error)
        while (job := self._next()) is not None:
            try:
                job.check()
                job.work(job)
                job.check()
            except Stopped:
                last_event = ("error", {"message": "the request was cancelled"})
            except Exception as error:
                last_event = ("error", {"message": self._message(error)})
            else:
                last_event = ("end", {})
            # The queue is free before the reader hears the last event, so what it asks next is not refused.
            with self._changed:
                self._running = None
                self._tell_positions()
            job.emit(*last_event)

    def _next(self) -> Job | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            self._running = next(iter(self._waiting.values()))[0]
            self._take(self._running)
            if self._running.client in self._waiting:
                self._waiting.move_to_end(self._running.client)
            return self._running

    def _message(self, error: Exception) -> str:
        text = self._explain(error)
        if text is None:
            log.error("a request failed", exc_info=error)
            text = f"the service failed on this request ({type(error).__name__}); its log says where"
        return " ".join(text.split())
