"""Every page in a browser: its first screen, light and dark, every control in the link, keys, terms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, Page, expect

from hormesis.dashboard.base.terms import TERMS
from tests.browser.actions import opened, visit
from tests.browser.conftest import SIZE
from tests.browser.screens import SCREENS, TALLEST, boxes, small_texts, violations
from tests.browser.views import PAGES, Complaints, change_every_control, controls, no_exception
from tests.screenshots import PATIENCE_MS, settle

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WIDTHS = (SIZE["width"], 1920, 800)
LEAST_CONTRAST = 3.0
"""Of the smallest text of a chart against the page."""
FITS = """() => {
    const main = document.querySelector("[data-testid=stMain]");
    return main.scrollWidth <= main.clientWidth && document.documentElement.scrollWidth <= window.innerWidth;
}"""
COVERED = """() => [...document.querySelectorAll(".js-plotly-plot:has(.legend .traces)")].filter(plot =>
    plot.querySelector(".legend").getBoundingClientRect().top
        < plot.querySelector(".modebar").getBoundingClientRect().bottom
).map(plot => plot.querySelector(".legend").textContent)"""
"""Legends of charts that the toolbar covers while the pointer is on them."""
GROUND = "() => getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
CONTRASTS = """() => {
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = ([red, green, blue]) => [red, green, blue].map(value => value / 255)
        .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
    const app = document.querySelector("[data-testid=stApp]");
    const ground = light(numbers(getComputedStyle(app).backgroundColor));
    const small = document.querySelectorAll(".js-plotly-plot .xtick text, .js-plotly-plot .legendtext");
    return [...small].map(text => {
        const ink = light(numbers(getComputedStyle(text).fill));
        return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    });
}"""


@pytest.fixture(scope="module")
def themed(browser: Browser) -> Iterator[Page]:
    """A page that follows the system from light to dark."""
    context = browser.new_context(color_scheme="light", viewport=SIZE, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(
    ("alias", "name"), [("overview", ""), ("robustness", "hardness"), ("glossary", "definitions")]
)
def test_a_page_by_another_name_keeps_what_the_link_says(
    themed: Page, finished_url: str, alias: str, name: str
) -> None:
    themed.goto(f"{finished_url}/{alias}?scorer=tfidf&prompts=a&prompts=b")
    themed.wait_for_url(re.compile(rf"{finished_url}/{name}\?.*scorer=tfidf.*"))


@pytest.mark.parametrize("name", PAGES, ids=lambda name: name or "overview")
def test_a_page_is_sound_at_every_width(themed: Page, finished_url: str, name: str) -> None:
    page = themed
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(SIZE)
    complaints = Complaints(page)
    visit(page, finished_url, name)
    expect(page.get_by_role("heading", level=3).first).to_be_visible()
    no_exception(page)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_function(FITS)
    assert_sound(page, name)
    light = page.evaluate(GROUND)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"light => ({GROUND})() !== light", arg=light)
    settle(page)
    assert_sound(page, name)
    assert not complaints.messages


def assert_sound(page: Page, name: str) -> None:
    """The page has its first screen, no small or pale text and no violation, whatever the theme."""
    page.set_viewport_size(SIZE)
    assert not violations(page)
    for screen in SCREENS:
        page.set_viewport_size(screen)
        settle(page)
        page.wait_for_function(FITS)
        tops = boxes(page, name)
        assert not small_texts(page)
        chart = list(tops.values())[-1] if name in TALLEST else None
        assert chart is None or chart[1] - chart[0] >= TALLEST[name]
    page.set_viewport_size(SIZE)
    charts = page.locator(".js-plotly-plot")
    figures = page.locator("[role=figure]:has(.js-plotly-plot)")
    assert figures.count() == charts.count()
    assert all(len(str(figure.get_attribute("aria-label"))) > 15 for figure in figures.all())
    assert page.evaluate(COVERED) == []
    contrasts = page.evaluate(CONTRASTS)
    assert all(contrast >= LEAST_CONTRAST for contrast in contrasts), min(contrasts)


LINKED = ("runs?tab=Compare", "hardness?attack=Suffixes", "data?show=Generations", "toy")
"""Pages with a control of every kind; `tests/dashboard/test_links.py` has all controls of all pages."""


@pytest.fixture(scope="module")
def elsewhere(browser: Browser) -> Iterator[Page]:
    """Another person's browser."""
    context = browser.new_context(viewport=SIZE, reduced_motion="reduce")
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", LINKED)
def test_every_control_lives_in_the_link(page: Page, elsewhere: Page, finished_url: str, name: str) -> None:
    page.goto(f"{finished_url}/{name}")
    changed = change_every_control(page)
    assert changed, "the page has nothing to choose"
    settings = controls(page)
    elsewhere.goto(page.url)
    assert controls(elsewhere) == settings
    no_exception(elsewhere)


def test_the_note_is_read_once_and_the_browser_remembers(page: Page, finished_url: str) -> None:
    page.goto(f"{finished_url}/definitions")
    note = page.get_by_text("Some texts of models and data sets here are toxic")
    expect(note).to_be_visible()
    page.get_by_role("button", name="Where to look").click()
    expect(page.get_by_text("Sets toxicity against what detoxification costs")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Understood").click()
    expect(note).to_have_count(0)
    page.wait_for_function("document.cookie.includes('hormesis_note_read=1')")
    again = page.context.new_page()
    again.goto(f"{finished_url}/definitions")
    expect(again.get_by_role("heading", name="What do the words mean?")).to_be_visible()
    settle(again)
    expect(again.get_by_text("Some texts of models")).to_have_count(0)


def focused(page: Page) -> str:
    """What the keyboard is on: its role and its name."""
    return str(
        page.evaluate(
            """() => {
                const at = document.activeElement;
                const name = at.getAttribute("aria-label") || at.closest("label")?.innerText || at.innerText
                    || document.querySelector(`label[for="${at.id}"]`)?.innerText || "";
                return `${at.getAttribute("role") || at.tagName.toLowerCase()} ${name.trim()}`;
            }"""
        )
    )


def tab_to(page: Page, name: str, most: int = 80) -> None:
    """Press Tab until something is focused that is called so."""
    names = []
    for _ in range(most):
        page.keyboard.press("Tab")
        names.append(focused(page))
        if re.search(name, names[-1], re.IGNORECASE):
            return
    raise AssertionError(f"Tab never comes to {name!r}: {names}")


def test_everything_is_reached_and_used_by_keyboard(page: Page, finished_url: str) -> None:
    page.goto(f"{finished_url}/data")
    settle(page)
    tab_to(page, "trade-offs")
    tab_to(page, "runs")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What has been run?")).to_be_visible()
    settle(page)
    tab_to(page, "study")
    tab_to(page, "show all texts")
    tab_to(page, "button understood")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Understood")).to_have_count(0)
    tab_to(page, "report")
    tab_to(page, "tab progress")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"tab=Loss"))
    settle(page)
    tab_to(page, "held-out clean|radio")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile(r"loss=Held-out\+toxic"))
    settle(page)
    tab_to(page, "export")
    page.keyboard.press("Enter")
    tab_to(page, "csv")
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    assert waiting.value.suggested_filename.endswith("runs-loss.csv")


def test_every_term_has_its_formula_drawn_its_code_and_source(page: Page, finished_url: str) -> None:
    page.goto(f"{finished_url}/definitions")
    settle(page)
    assert page.locator("h5").count() == len(TERMS)
    formulas = page.locator(".katex-display, [data-testid=stMarkdownContainer] .katex-html")
    expect(page.locator(".katex-error")).to_have_count(0)
    assert formulas.count() >= sum(bool(term.formula) for term in TERMS)
    text = page.locator("[data-testid=stMain]").inner_text()
    for term in TERMS:
        assert term.code in text and (not term.source or term.source in text), term.name
    box = page.get_by_role("textbox", name="Find a term")
    box.fill("kappa")
    expect(page.locator("h5")).to_have_count(1)
    expect(page).to_have_url(re.compile("term=kappa"))
    box.fill("no such word")
    expect(page.get_by_text("No term matches")).to_be_visible()


def test_terms_elsewhere_lead_to_their_definition(page: Page, finished_url: str) -> None:
    names = {term.name for term in TERMS}
    linked: set[str] = set()
    opened(page, f"{finished_url}/runs?tab=Compare")
    for name in (None, "", "geometry", "hardness", "toy", "data", "tradeoffs"):
        if name is not None:
            visit(page, finished_url, name)
        hrefs = page.locator('a[href*="definitions?term="]').evaluate_all("all => all.map(a => a.href)")
        terms = {unquote(href.split("term=")[1]) for href in hrefs}
        assert terms and terms <= names, name
        linked |= terms
    assert {"Toxicity", "Cost", "Condition", "Entanglement", "GCG"} <= linked
    with page.context.expect_page() as opening:
        page.get_by_role("link", name="Cost", exact=True).first.click()
    definition = opening.value
    expect(definition.get_by_role("heading", name="Cost", exact=True)).to_be_visible()
    expect(definition.locator("h5")).to_have_count(1)
