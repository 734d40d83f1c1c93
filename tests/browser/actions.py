"""What a person does in the browser, each step waiting for what it needs to see, never for a time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from playwright.sync_api import Error, Locator, Page

from tests.screenshots import settle


def opened(page: Page, url: str) -> None:
    """Go to an address and wait until the page has run."""
    page.goto(url)
    settle(page)


def visit(page: Page, base: str, name: str) -> None:
    """Go to one of PAGES by its link in the navigation; by its address where no page of `base` is open."""
    if page.url.startswith(base):
        page.locator(f"nav a[href='{base}/{name}']").click()
        page.wait_for_url(lambda url: urlsplit(url).path == f"/{name}")
        settle(page)
    else:
        opened(page, f"{base}/{name}")


def click_on_chart(page: Page, chart: Locator, place: Callable[[], tuple[float, float]]) -> None:
    """Click a point of a Plotly chart. `place` gives its position in the window, asked anew for each try.

    Plotly answers a click only where it has seen the pointer hover, so the pointer moves until the label
    is there.
    """
    until = time.monotonic() + 60
    while True:
        try:
            # Inside the loop, since a chart may be drawn anew at any moment.
            chart.scroll_into_view_if_needed()
            x, y = place()
            page.mouse.move(x + 3, y + 2)
            page.mouse.move(x, y, steps=3)
            chart.locator(".hoverlayer .hovertext").first.wait_for(state="visible", timeout=2_000)
            break
        except Error:
            assert time.monotonic() < until, "the chart never saw the pointer"
    page.mouse.click(x, y)


def tick_row(page: Page, alt: str | re.Pattern[str], row: int) -> None:
    """Tick the box before a row of a table (0: the first below its header), in sight without scrolling.

    Rows are painted: a click that comes before they are, or while the table moves, hits nothing, so it is
    given again until the row says that it is selected.
    """
    settle(page)
    region = page.get_by_role("region", name=alt).first
    # Rows are counted from 1 with the header; header and rows are 35 pixels high.
    selected = region.locator(f"[role=row][aria-rowindex='{row + 2}'][aria-selected=true]")
    until = time.monotonic() + 60
    while True:
        try:
            region.locator("canvas").first.click(position={"x": 16, "y": 35 * (row + 1) + 17}, force=True)
            selected.wait_for(state="attached", timeout=5_000)
            return
        except Error:
            assert time.monotonic() < until, "the table never saw the click"


def choose(page: Page, box: str | re.Pattern[str], option: str | re.Pattern[str]) -> None:
    """Pick an option of a select box by typing it, since a long list holds only the options in sight.

    The list closes where the page scrolls, also where it scrolls to bring the box into sight; so the text is
    typed again until the option is there.
    """
    typed, choice = page.get_by_role("combobox", name=box), page.get_by_role("option", name=option)
    until = time.monotonic() + 60
    while True:
        typed.scroll_into_view_if_needed()
        typed.fill("")
        typed.fill(option if isinstance(option, str) else option.pattern)
        try:
            choice.click(timeout=3_000)
            return
        except Error:
            assert time.monotonic() < until, f"the list never offered {option}"


def prompt_box(page: Page) -> Locator:
    """Where the prompt is written."""
    return page.get_by_role("textbox", name="Prompt", exact=True)


def generate(page: Page) -> None:
    """Press the button."""
    page.get_by_role("button", name="Generate", exact=True).click()


def open_menu(page: Page, name: str) -> Locator:
    """Press a button that opens settings, of a pane (`Pane 2`) or of all (`Sampling`); gives what opens."""
    page.get_by_test_id("stMain").get_by_role("button", name=name, exact=True).click()
    menu = page.get_by_test_id("stPopoverBody")
    menu.wait_for()
    return menu


def close_menu(page: Page) -> None:
    """Close the opened settings."""
    page.keyboard.press("Escape")
    page.get_by_test_id("stPopoverBody").wait_for(state="detached")


def panes_of(page: Page, run: int, status: str) -> Locator:
    """Cards of the run of that number, once each is in that state; the texts are those of this very run."""
    state = f'[data-state="run {run} {status}"]'
    # Panes are drawn one by one, and those that came later have no part in the run.
    behind = f'[class*="st-key-live_text"]:not(:has({state}, [data-state="not in run {run}"]))'
    panes = page.locator(f".st-key-live_panes:has({state}):not(:has({behind}))")
    # Looks at every frame, where an expectation looks once a second: a state may be over before that.
    panes.wait_for(state="attached")
    return panes.locator(".card")


def streaming(page: Page, run: int) -> Locator:
    """Cards of the run of that number, once it streams and words stand in one: a first token may be empty."""
    cards = panes_of(page, run, "streaming")
    cards.locator(".text, .token").filter(has_text=re.compile(r"\S")).first.wait_for(state="attached")
    return cards


def texts(cards: Locator) -> list[str]:
    """What the model said in each card, without the prompt; waits where they are just being drawn again."""
    cards.first.wait_for(state="attached")
    return ["".join(card.locator(".text, .token").all_text_contents()) for card in cards.all()]
