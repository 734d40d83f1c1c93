"""A browser, dashboards on seeded rows and on a true model service; skips where there is no Chromium."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Browser, Page, expect

from tests.screenshots import CHROMIUM, chromium, served
from tests.seeded_database import build_file
from tests.service_world import World, build_world, server

expect.set_options(timeout=60_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; set HORMESIS_CHROMIUM")
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    made = context.new_page()
    made.set_default_timeout(60_000)
    yield made
    context.close()


@pytest.fixture(scope="session")
def finished_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard on a finished, seeded study, without a service."""
    path = tmp_path_factory.mktemp("finished") / "study.sqlite"
    with served(build_file(path)) as url:
        yield url


@dataclass(frozen=True)
class Live:
    """A dashboard beside a true service."""

    world: World
    url: str


@pytest.fixture(scope="session")
def live(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A dashboard beside a true service with tiny models."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    world = build_world(tmp_path_factory.mktemp("world"))
    with server(world) as service, served(world.url, service) as url:
        yield Live(world, url)
