"""Clients take turns: whoever asks for much waits behind itself, and reading goes on while others work."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from hormesis.backend.service import authentication
from hormesis.backend.service.job_queue import CLIENTS, Job, JobQueue, QueueFull
from hormesis.db.contract.messages import VIEWER_HEADER
from tests.fixtures.service_world import World, ask, pane, request_body, server


class Turns:
    """A queue whose first job holds it, so that what is put behind it is taken in the queue's own order."""

    def __init__(self, length: int) -> None:
        self.queue = JobQueue(length, str)
        self.order: list[str] = []
        self.positions: dict[str, int] = {}
        self._free, self._begun = threading.Event(), threading.Event()
        self.queue.submit(Job(self._hold, lambda *_: None, "first"))
        assert self._begun.wait(10)

    def _hold(self, job: Job) -> None:
        self._begun.set()
        assert self._free.wait(10)

    def put(self, client: str, name: str) -> Job:
        def emit(event: str, data: dict[str, object]) -> None:
            if event == "queued":
                self.positions[name] = int(str(data["position"]))

        job = Job(lambda _: self.order.append(name), emit, client)
        self.queue.submit(job)
        return job

    def finish(self) -> list[str]:
        self._free.set()
        until = time.monotonic() + 10
        while len(self.queue) and time.monotonic() < until:
            time.sleep(0.01)
        self.queue.close()
        return self.order


def test_clients_take_turns_and_know_their_place() -> None:
    turns = Turns(8)
    for name in ("a1", "a2", "a3"):
        turns.put("a", name)
    turns.put("b", "b1")
    turns.put("c", "c1")
    dropped = turns.put("b", "b2")
    assert turns.positions == {"a1": 1, "b1": 2, "c1": 3, "a2": 4, "b2": 5, "a3": 6}
    assert turns.queue.cancel(dropped.id)
    assert turns.positions["a3"] == 5
    assert turns.finish() == ["a1", "b1", "c1", "a2", "a3"]


def test_a_full_queue_still_takes_who_has_nothing_waiting() -> None:
    turns = Turns(4)
    for number in range(4):
        turns.put("greedy", f"g{number}")
    with pytest.raises(QueueFull, match="4 requests"):
        turns.put("greedy", "g4")
    turns.put("other", "o0")
    with pytest.raises(QueueFull):
        turns.put("other", "o1")
    for number in range(4 * CLIENTS - 2):
        turns.put(f"client {number}", f"c{number}")
    with pytest.raises(QueueFull, match="clients are waiting"):
        turns.put("one too many", "x")
    assert turns.finish()[:2] == ["g0", "o0"]


@pytest.mark.slow
def test_thirty_looping_clients_do_not_keep_a_viewer_out(world: World) -> None:
    body = request_body([pane(world.ids["dose-0"])], new_tokens=8)
    with server(world) as address, ThreadPoolExecutor(30) as others:
        ask(address, body)
        over = threading.Event()

        def loop() -> int:
            n_refused = 0
            while not over.is_set():
                answer = httpx.post(f"{address}/generate", json=body, timeout=60)
                assert answer.status_code in (200, 503)
                if answer.status_code == 503:
                    assert int(answer.headers["retry-after"]) > 0
                    n_refused += 1
            return n_refused

        loops = [others.submit(loop) for _ in range(30)]
        try:
            time.sleep(1)
            statuses = [
                httpx.post(
                    f"{address}/generate", json=body, headers={VIEWER_HEADER: "somebody"}, timeout=60
                ).status_code
                for _ in range(5)
            ]
        finally:
            over.set()
        assert statuses == [200] * 5
        assert sum(future.result() for future in loops) > 0, "the others were never too many"


@pytest.mark.slow
def test_reading_goes_on_while_many_texts_are_scored(world: World) -> None:
    texts = ["the baker sells bread to the miller " * 200] * 32

    def score(viewer: str) -> int:
        body, headers = {"texts": texts}, {VIEWER_HEADER: viewer}
        return httpx.post(f"{address}/score", json=body, headers=headers, timeout=120).status_code

    with server(world) as address, ThreadPoolExecutor(60) as others:
        httpx.post(f"{address}/score", json={"texts": ["a"]}, timeout=60)
        scorings = [others.submit(score, str(number)) for number in range(60)]
        time.sleep(0.5)
        seconds = []
        while len(seconds) < 5:
            began = time.perf_counter()
            assert httpx.get(f"{address}/models", timeout=30).status_code == 200
            seconds.append(time.perf_counter() - began)
        assert not all(scoring.done() for scoring in scorings), "the scorings were over too soon to say"
        assert sorted(seconds)[2] < 2
        assert {scoring.result() for scoring in scorings} <= {200, 503}


def test_a_request_that_never_ends_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import uvicorn

    from hormesis.backend.service import __main__ as service
    from hormesis.backend.service.app import create_app
    from hormesis.backend.service.settings import Settings

    monkeypatch.setattr(authentication, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(service, "HEADER_SECONDS", 0.3)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        app = create_app(Settings(world.url))
        served = uvicorn.Server(uvicorn.Config(app, http=service.HeaderDeadline, log_level="error"))
        thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        with socket.create_connection(listener.getsockname(), timeout=20) as slow:
            slow.sendall(
                b"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b'Content-Length: 1000\r\n\r\n{"texts"'
            )
            answer = b"".join(iter(lambda: slow.recv(4096), b""))
        with socket.create_connection(listener.getsockname(), timeout=20) as slow:
            slow.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            health = b""
            while not health.endswith(b"}"):
                health += slow.recv(4096)
            assert health.startswith(b"HTTP/1.1 200 ")
            time.sleep(0.5)  # kept alive
            slow.sendall(b"GET /health HTTP/1.1\r\nHost: ")
            assert slow.recv(4096) == b""
        with socket.create_connection(listener.getsockname(), timeout=20) as silent:
            assert silent.recv(4096) == b""
        served.should_exit = True
        thread.join(20)
    assert answer.startswith(b"HTTP/1.1 408 ") and b"took longer" in answer
