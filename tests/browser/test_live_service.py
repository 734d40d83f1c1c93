"""Steering live on services that are elsewhere, want a token, are busy, or end; and copies that run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from hormesis.dashboard.launch import free_port
from tests.browser.actions import (
    close_menu,
    generate,
    open_menu,
    opened,
    panes_of,
    prompt_box,
    streaming,
    texts,
)
from tests.browser.conftest import Live
from tests.browser.test_live import TEN, expected_texts, steer
from tests.fixtures.service_world import pane, server
from tests.screenshots import served

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser-live")]
SECRET = "correct horse battery staple"
SLOW: dict[str, Any] = {"model1": "slow", "panes": 1, "length": 256}


def outer_address() -> str:
    """An address of this machine that is not the loopback's usual one; another of the loopback's without."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.2"


def test_a_dashboard_points_to_a_service_on_another_address(
    page: Page, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = live.world
    with server(world, "--host", "0.0.0.0", HORMESIS_TOKEN=SECRET) as everywhere:
        address = everywhere.replace("0.0.0.0", outer_address())
        with served(world.url, address) as url:
            page.goto(f"{url}/steer")
            expect(page.get_by_text("The model service wants a token")).to_be_visible()
        monkeypatch.setenv("HORMESIS_SERVICE_TOKEN", SECRET)
        with served(world.url, address) as url:
            other_live = Live(world, url)
            opened(page, steer(other_live, prompt="the baker sells", model1=TEN, model2=TEN))
            generate(page)
            number = world.ids["dose-10"]
            expected = expected_texts(other_live, [pane(number), pane(number, 2.0)], "the baker sells")
            assert texts(panes_of(page, 1, "done")) == expected
            page.get_by_text("Copy this run").click()
            page.get_by_role("tab", name="curl").click()
            expect(page.locator(".st-key-copies code:visible").first).to_contain_text(address)
            assert SECRET not in page.content()


def test_the_place_in_the_queue_is_shown(page: Page, live: Live) -> None:
    """Behind two that stream for long, the page says so; when they go, it comes next and is right."""
    number = live.world.ids["slow"]
    long = {"panes": [pane(number)] * 4, "prompt": "the baker", "new_tokens": 512}
    with server(live.world) as address, served(live.world.url, address) as url:
        queued_live = Live(live.world, url)
        opened(page, steer(queued_live, prompt="rain falls", model1=TEN, panes=1, method1="Unsteered"))
        with httpx.Client(timeout=120) as others, ExitStack() as before:
            for _ in range(2):
                before.enter_context(others.stream("POST", f"{address}/generate", json=long))
            generate(page)
            expect(page.get_by_text("number 2 in the queue").first).to_be_visible()
        expected = expected_texts(queued_live, [pane(live.world.ids["dose-10"])], "rain falls")
        assert texts(panes_of(page, 1, "done")) == expected


def test_a_service_that_ends_is_said_and_comes_back_by_itself(page: Page, live: Live) -> None:
    port = str(free_port("127.0.0.1", 0))
    with served(live.world.url, f"http://127.0.0.1:{port}") as url:
        ending_live = Live(live.world, url)
        page.goto(steer(ending_live, prompt="the baker", **SLOW))
        expect(page.get_by_text("Waiting for the model service")).to_be_visible()
        with server(live.world, "--port", port):
            # The page looks again by itself.
            expect(prompt_box(page)).to_have_value("the baker")
            generate(page)
            streaming(page, 1)
        # What had come is still there, and why no more comes.
        assert len(texts(panes_of(page, 1, "failed"))[0]) > 0
        expect(page.get_by_text("the service is stopping")).to_be_visible()
        expect(page.locator("[data-testid=stException]")).to_have_count(0)
        page.reload()
        expect(page.get_by_text("Waiting for the model service")).to_be_visible()
        with server(live.world, "--port", port):
            expect(prompt_box(page)).to_have_value("the baker")


def test_stop_frees_the_model_for_the_next(page: Page, live: Live) -> None:
    """Seen from outside: the service has nothing left to do at once after the button."""
    with server(live.world) as address, served(live.world.url, address) as url:
        opened(page, steer(Live(live.world, url), prompt="the baker", **SLOW))
        generate(page)
        streaming(page, 1)
        page.get_by_role("button", name="Stop", exact=True).click()
        panes_of(page, 1, "stopped")
        done = httpx.post(
            f"{address}/generate",
            json={"panes": [{"checkpoint_id": live.world.ids["dose-0"]}], "prompt": "a", "new_tokens": 2},
            timeout=60,
        )
        assert "event: end" in done.text
        assert httpx.get(f"{address}/health").json()["queue"] == 0


def test_the_python_copy_runs_as_it_stands_on_the_page(page: Page, live: Live) -> None:
    query = {"prompt": "rain falls & 100 % = <b>", "model1": TEN, "model2": TEN, "picked2": ["L0H1", "L2H3"]}
    opened(page, steer(live, **query, seed=3))
    generate(page)
    streamed = texts(panes_of(page, 1, "done"))
    page.get_by_text("Copy this run").click()
    page.get_by_role("tab", name="Python").click()
    code = page.locator(".st-key-copies code:visible").first
    expect(code).to_contain_text("import httpx")
    done = subprocess.run(
        [sys.executable, "-c", code.inner_text()],
        capture_output=True, encoding="utf-8", timeout=120, check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all(text in done.stdout for text in streamed)


def test_methods_of_the_study_stream_beside_each_other(page: Page, live: Live) -> None:
    """A prompt before the text, tuned weights, and both with ITI; each says what it cost."""
    methods = ("Prompt", "DPO", "Prompt + ITI", "DPO + ITI")
    query = {f"model{place}": TEN for place in range(1, 5)}
    query |= {f"method{place}": method for place, method in enumerate(methods, 1)}
    query |= {"strength3": "2.0", "strength4": "2.0"}
    opened(page, steer(live, prompt="rain falls", panes=4, length=24, **query))
    expect(open_menu(page, "Pane 3").get_by_text("zorbs are kind ;")).to_be_visible()
    close_menu(page)
    generate(page)
    cards = panes_of(page, 1, "done")
    for place, (method, cost) in enumerate(
        zip(methods, ("+0.0100", "+0.0400", "+0.0800", "+0.0900"), strict=True)
    ):
        expect(page.locator(".st-key-live_panes")).to_contain_text(f"{TEN}, {method}")
        expect(cards.nth(place).locator(".fact", has_text="Added cost")).to_contain_text(cost)
    assert len(set(texts(cards))) == 4
