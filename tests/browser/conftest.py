"""A browser, dashboards on seeded rows and on a true model service; skips where there is no Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.fixtures.service_world import World
from tests.screenshots import CHROMIUM, PATIENCE_MS, chromium, served

expect.set_options(timeout=PATIENCE_MS)
SIZE: ViewportSize = {"width": 1440, "height": 1000}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"no Chromium at {CHROMIUM}; set HORMESIS_CHROMIUM")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def kept_pages(browser: Browser) -> list[Page]:
    """The page that tests take in turn: its compiled scripts are half the processor time of a first one."""
    return []


@pytest.fixture
def page(browser: Browser, kept_pages: list[Page], request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page without cookies, storage or neighbours, at its usual size."""
    if not kept_pages:
        context = browser.new_context(viewport=SIZE, reduced_motion="reduce")
        context.set_default_timeout(PATIENCE_MS)
        kept_pages.append(context.new_page())
    page = kept_pages[0]
    failures = request.session.testsfailed
    yield page
    if request.session.testsfailed > failures:  # whatever state it is in, the next test has a new one
        kept_pages.clear()
        page.context.close()
        return
    for used in page.context.pages:
        if used.url.startswith("http"):
            used.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        if used != page:
            used.close()
    page.unroute_all()
    page.goto("about:blank")
    page.context.clear_cookies()
    page.set_viewport_size(SIZE)


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
