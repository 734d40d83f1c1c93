"""The page's own reader of streams, against true services that refuse, stop and die."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest

from hormesis.dashboard.app_pages.steer.run import LiveRun, Snapshot
from hormesis.db.contract.messages import GenerateRequest, Pane
from tests.fixtures.service_world import World, server


@pytest.fixture
def address(world: World) -> Iterator[str]:
    with server(world) as url:
        yield url


def long(world: World) -> GenerateRequest:
    """A request that streams for many seconds."""
    return GenerateRequest(panes=[Pane(checkpoint_id=world.ids["slow"])], prompt="the baker", new_tokens=500)


def until(run: LiveRun, holds: Callable[[Snapshot], bool]) -> Snapshot:
    """The first picture of a run for which something holds."""
    end = time.monotonic() + 60
    while not holds(state := run.snapshot()):
        assert time.monotonic() < end, state
        time.sleep(0.01)
    return state


def killed(address: str) -> None:
    """Kill the service that listens there, without a word to anybody."""
    port = int(address.rsplit(":", 1)[1])
    listening = [
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    ]
    psutil.Process(listening[0]).kill()


def test_a_service_that_is_killed_ends_the_run_in_one_line(world: World, address: str) -> None:
    run = LiveRun(address, long(world)).start()
    until(run, lambda state: len(state.panes[0].texts[0].tokens) > 3)
    killed(address)
    run.join(30)
    state = run.snapshot()
    assert (state.status, state.error) == ("failed", f"The model service at {address} broke off.")
    assert len(state.panes[0].texts[0].tokens) > 3


def test_stop_keeps_what_has_come_and_frees_the_service(world: World, address: str) -> None:
    run = LiveRun(address, long(world)).start()
    until(run, lambda state: len(state.panes[0].texts[0].tokens) > 3)
    run.stop()
    state = run.snapshot()
    assert state.status == "stopped" and len(state.panes[0].texts[0].tokens) > 3
    run.join(30)
    end = time.monotonic() + 30
    while httpx.get(f"{address}/health").json()["queue"]:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_waiting_run_knows_its_place_and_stops_before_it_began(world: World, address: str) -> None:
    first = LiveRun(address, long(world)).start()
    until(first, lambda state: state.status == "streaming")
    second = LiveRun(address, long(world)).start()
    assert until(second, lambda state: state.position is not None).position == 1
    second.stop()
    second.join(30)
    state = second.snapshot()
    assert (state.status, state.first_token) == ("stopped", None)
    assert first.snapshot().status == "streaming"
    first.stop()


def test_refusals_are_one_line(world: World, address: str) -> None:
    number = world.ids["dose-10"]
    fine = Pane(checkpoint_id=number)
    for prompt, pane, part in (
        ("x" * 8001, fine, "at most 8000 characters"),
        ("a\x07", fine, "control character U+0007"),
        (
            "a",
            Pane(checkpoint_id=number, method="sft"),
            "did not put checkpoint dose-10 under the method 'sft'",
        ),
        ("a", Pane(checkpoint_id=999), "no checkpoint 999"),
    ):
        # As another client may send it: unchecked.
        request = GenerateRequest(panes=[pane], prompt="").model_copy(update={"prompt": prompt})
        run = LiveRun(address, request).start()
        run.join(60)
        state = run.snapshot()
        assert state.status == "failed" and part in state.error and "\n" not in state.error
    run = LiveRun("http://127.0.0.1:9", long(world)).start()
    run.join(60)
    assert run.snapshot().error == "No model service answers at http://127.0.0.1:9."
