"""Screenshots of every page, light and dark, 1440 and 800 pixels wide.

`python -m tests.screenshots FOLDER [--db URL] [--service URL]`; without a database one is seeded.
Needs playwright and Chromium: `HORMESIS_CHROMIUM`, else the headless shell, else /usr/bin/chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, sync_playwright

from hormesis.dashboard.launch import free_port, serve, wait_until_open

PATIENCE_MS = 180_000
"""A state is waited for this long: a busy machine is slow, and nothing else is."""
CHROMIUM = (
    os.environ.get("HORMESIS_CHROMIUM") or shutil.which("chromium-headless-shell") or "/usr/bin/chromium"
)
"""The headless shell is the same engine without a window: a page takes a third less processor time in it."""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-gpu-compositing",
    "--disable-software-rasterizer",
    "--disable-threaded-animation",
    "--disable-checker-imaging",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page lives for seconds: compiling its scripts well takes a sixth of its processor time and never pays.
    "--js-flags=--no-opt --no-maglev",
]
PAGES = ("overview", "tradeoffs", "geometry", "hardness", "steer", "toy", "runs", "data", "definitions")
WIDTHS = (1440, 800)
BUSY = "[data-testid=stApp]:not([data-test-script-state=notRunning]), [data-testid=stSkeleton]"
CALM = """async ([busy, milliseconds]) => {
    let last = -1, calm = 0;
    for (const until = Date.now() + milliseconds; Date.now() < until && calm < 5;) {
        await new Promise(resume => setTimeout(resume, 100));
        const height = document.querySelector("[data-testid=stMain]")?.scrollHeight;
        calm = height === last && !document.querySelector(busy) ? calm + 1 : 0;
        last = height;
    }
}"""
"""Ends once the page has had one height, and no script at work, for half a second."""
THEMES = ("light", "dark")


@contextlib.contextmanager
def served(database_url: str, service_url: str | None = None) -> Iterator[str]:
    """A dashboard on a free port; yields its address and ends it afterwards."""
    port = free_port("127.0.0.1", 0)
    process = serve(database_url, service_url, port)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_open(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium; ended afterwards."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def settle(page: Page, seconds: float = 40.0) -> None:
    """Wait until the page has run and nothing moves: no script at work, no skeleton, a stable height."""
    page.wait_for_selector("[data-testid=stMain] h3, [data-testid=stAlert]", timeout=seconds * 1000)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(Error):  # another document came in between
            page.evaluate(CALM, [BUSY, 1000 * (until - time.monotonic())])
            return


def save_in_full(page: Page, path: Path) -> None:
    """Save the page in its full height."""
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    width = page.viewport_size["width"] if page.viewport_size else WIDTHS[0]
    page.set_viewport_size({"width": width, "height": min(max(int(height) + 80, 600), 6000)})
    page.wait_for_timeout(700)
    page.screenshot(path=path)


def capture(url: str, folder: Path, pages: Sequence[str] = PAGES) -> list[Path]:
    """Write PAGE-THEME-WIDTH.png for every combination; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with chromium() as browser:
        for theme in THEMES:
            for width in WIDTHS:
                scheme = "dark" if theme == "dark" else "light"
                context = browser.new_context(
                    color_scheme=scheme, viewport={"width": width, "height": 1000}, reduced_motion="reduce"
                )
                for name in pages:
                    page = context.new_page()
                    page.goto(f"{url}/{'' if name == 'overview' else name}")
                    settle(page)
                    path = folder / f"{name}-{theme}-{width}.png"
                    save_in_full(page, path)
                    paths.append(path)
                    page.close()
                context.close()
    return paths


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--db", default=None)
    parser.add_argument("--service", default=None)
    parser.add_argument("--pages", nargs="*", default=list(PAGES), choices=PAGES)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        address = options.db
        if address is None:
            from tests.fixtures.seeded_database import build_file

            address = build_file(Path(scratch) / "seeded.sqlite")
        with served(address, options.service) as url:
            for path in capture(url, options.folder, options.pages):
                print(path)


if __name__ == "__main__":
    main()
