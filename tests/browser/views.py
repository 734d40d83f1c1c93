"""What stands on a page as a person finds it: tables, exports, the state of every control, complaints."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Download, Error, Locator, Page, expect

from tests.screenshots import BUSY, settle

PAGES = ("", "tradeoffs", "geometry", "hardness", "steer", "toy", "runs", "data", "definitions")
TABS = ("Progress", "Loss curves", "Compare", "Where numbers come from", "Start a study")


class Complaints:
    """Errors in a page's console, failed scripts and requests to anywhere but the dashboard."""

    def __init__(self, page: Page) -> None:
        self.messages: list[str] = []
        page.on("pageerror", lambda error: self.messages.append(f"script: {error}"))
        page.on("console", lambda message: self._console(message.type, message.text, message.location))
        page.on("request", lambda request: self._request(request.url))

    def _console(self, kind: str, text: str, location: object) -> None:
        # On a page's own address Streamlit first asks for its health below that address, then at the root.
        expected = re.search(r"/_stcore/(health|host-config)", str(location))
        if kind == "error" and not expected:
            self.messages.append(f"console: {text}")

    def _request(self, url: str) -> None:
        if urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname != "127.0.0.1":
            self.messages.append(f"request: {url}")


def no_exception(page: Page) -> None:
    """No box with a traceback stands on the page."""
    boxes = page.locator("[data-testid=stException]")
    assert boxes.count() == 0, boxes.first.inner_text()


def table(page: Page, alt: str | re.Pattern[str]) -> Locator:
    """The rows of a table that a screen reader is given; those out of sight are counted, not there."""
    region = page.get_by_role("region", name=alt).first
    region.scroll_into_view_if_needed()
    region.locator("[role=gridcell]").first.wait_for(state="attached")
    return region.locator("table[role=grid]")


def cells(grid: Locator) -> list[str]:
    """Every cell in sight, row by row."""
    return [text.strip() for text in grid.locator("[role=gridcell]").all_text_contents()]


def row_count(grid: Locator) -> int:
    """Rows of a table, in sight or not, without its header."""
    return int(grid.get_attribute("aria-rowcount") or 0) - 1


def views(page: Page) -> list[str]:
    """Keys of everything on the page that offers files."""
    files = page.locator('[class*="_files"][class*="st-key-"]')
    names = [re.search(r"st-key-(\S+)_files", str(view.get_attribute("class"))) for view in files.all()]
    return [name[1] for name in names if name]


def exports(page: Page, key: str) -> Locator:
    """The opened menu of files of a view."""
    page.locator(f".st-key-{key}_files").get_by_role("button").click()
    return page.locator("[data-testid=stPopoverBody]")


def fetched(page: Page, key: str, form: str, *, folder: Path) -> Path:
    """Press one button of an opened menu; gives the file."""
    with page.expect_download() as waiting:
        page.locator(f".st-key-{key}_{form} button").click()
    return saved(waiting.value, folder)


def saved(download: Download, folder: Path) -> Path:
    """A download under the name that was offered."""
    path = folder / download.suggested_filename
    download.save_as(path)
    return path


def controls(page: Page) -> dict[str, str]:
    """The state of every control once the page is calm, by its key: chosen, written or switched on."""
    settle(page)
    return states(page)


def states(page: Page) -> dict[str, str]:
    """The state of every control as it is this moment."""
    colours: dict[str, str] = page.evaluate(
        """() => {
            const found = {};
            const parts = "[data-testid=stMain], [data-testid=stSidebar]";
            for (const box of document.querySelectorAll(`:is(${parts}) [class*='st-key-']`)) {
                const key = [...box.classList].find(name => name.startsWith("st-key-")).slice(7);
                if (box.querySelector("[class*='st-key-']")) continue;
                const parts = [];
                const inner = "input, [role=radio], [role=slider], [aria-current]";
                for (const one of box.querySelectorAll(inner)) {
                    const role = one.getAttribute("role");
                    if (role === "radio") parts.push(one.getAttribute("aria-checked") ?? one.checked);
                    else if (role === "slider") parts.push(one.getAttribute("aria-valuenow"));
                    else if (one.matches("[aria-current]")) parts.push(one.innerText);
                    else if (one.type === "checkbox" || one.type === "radio") parts.push(one.checked);
                    else parts.push(one.value);
                }
                if (parts.length) found[key] = parts.join("|");
            }
            const tabs = [...document.querySelectorAll("[role=tab][aria-selected=true]")];
            return {...found, tabs: tabs.map(tab => tab.innerText).join("|")};
        }"""
    )
    return colours


PATIENCE = 3_000
"""Milliseconds for one step of a change; then it is tried again."""
FREE = ("study", "reveal_all")
"""Controls that are set for every page at once; texts are never revealed by a link."""


def quiet(page: Page) -> None:
    """Wait until no script is at work, and still none a moment later."""
    for _ in range(2):
        page.wait_for_timeout(120)
        expect(page.locator(BUSY)).to_have_count(0)


def change_every_control(page: Page) -> list[str]:
    """Set every control of the page to something else where there is a choice; gives their keys."""
    changed = []
    for key in [key for key in controls(page) if key not in (*FREE, "tabs")]:
        before = states(page).get(key)
        if before is not None and _changed(page, key, before):
            changed.append(key)
    return changed


def _changed(page: Page, key: str, before: str) -> bool:
    """Change a control and wait until it shows that; where a redraw came in between, do it again."""
    until = time.monotonic() + 60
    while True:
        quiet(page)
        box = page.locator(f".st-key-{key}")
        with contextlib.suppress(Error):
            if box.count() == 0 or not _change(page, box):
                return False
            quiet(page)
        if states(page).get(key) != before:
            return True
        assert time.monotonic() < until, f"{key} stays as it is"


def _change(page: Page, box: Locator) -> bool:
    """One other choice in a control, whatever its kind; False where there is no other."""
    if box.get_by_role("combobox").count():
        box.get_by_role("combobox").press("ArrowDown", timeout=PATIENCE)
        page.get_by_role("option").first.wait_for(timeout=PATIENCE)
        others = page.locator("[role=option]:not([aria-selected=true])")
        if others.count() == 0:
            page.keyboard.press("Escape")
            return False
        others.last.click(timeout=PATIENCE)
    elif box.get_by_role("radio").count():
        others = box.locator("[role=radio]:not([aria-checked=true])")
        if others.count() == 0:
            return False
        others.last.click(timeout=PATIENCE)
    elif box.get_by_role("slider").count():
        box.get_by_role("slider").first.press("ArrowRight")
    elif box.get_by_role("switch").or_(box.get_by_role("checkbox")).count():
        box.locator("label").first.click()
    elif box.get_by_role("spinbutton").count():
        number = box.get_by_role("spinbutton")
        number.fill(str(int(number.input_value() or 4) + 1))
        number.press("Enter")
    elif box.get_by_role("textbox").count():
        text = box.get_by_role("textbox")
        text.fill(f"{text.input_value()},.9".lstrip(","))
        text.press("Enter")
    elif box.get_by_role("button", name="2", exact=True).count():
        box.get_by_role("button", name="2", exact=True).click()
    else:
        return False
    return True
