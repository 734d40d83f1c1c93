"""A browser, dashboards on seeded rows and on a true model service; skips where there is no Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Browser, Page, expect

from tests.fixtures.service_world import World
from tests.screenshots import CHROMIUM, PATIENCE_MS, chromium, served

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; set HORMESIS_CHROMIUM")
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    context.close()


@pytest.fixture(scope="session")
def finished_url(browser: Browser, small_database: Path) -> Iterator[str]:
    """A dashboard on a finished, seeded study, without a service."""
    with served(f"sqlite:///{small_database}") as url:
        yield url


@dataclass(frozen=True)
class Live:
    """A dashboard beside a true service."""

    world: World
    url: str


@pytest.fixture(scope="session")
def live(browser: Browser, world: World, address: str) -> Iterator[Live]:
    """A dashboard beside a true service with tiny models."""
    with served(world.url, address) as url:
        yield Live(world, url)
