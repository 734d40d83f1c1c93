"""The flows that only a browser can show: clicks on charts, blurring, links, a page that fills by itself."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.actions import choose, click_on_chart, opened
from tests.fixtures.shared_worlds import copy_database
from tests.screenshots import served, settle

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_first_chart_is_there_and_nothing_fails(page: Page, finished_url: str) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    opened(page, finished_url)
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    assert page.locator("[data-testid=stException]").count() == 0
    assert not errors


def test_a_control_writes_the_link_and_the_link_restores_it(page: Page, finished_url: str) -> None:
    opened(page, finished_url)
    choose(page, "Compare at", "Fixed strength")
    expect(page.get_by_text("ITI, strength 2").first).to_be_visible()
    link = page.url
    assert query(page)["view"] == ["Fixed strength"]
    other = page.context.new_page()
    opened(other, link)
    expect(other.get_by_text("ITI, strength 2").first).to_be_visible()


def test_a_claim_opens_its_test_and_the_link_keeps_it(page: Page, finished_url: str) -> None:
    opened(page, finished_url)
    expect(page.get_by_text("Claims and verdicts").first).to_be_visible()
    page.get_by_role("radio", name="Readers' questions").click()
    expect(page.get_by_text("It is the toxicity of the added text").first).to_be_visible()
    choose(page, re.compile("How was it tested"), re.compile("It is the toxicity of the added text"))
    expect(page.get_by_text("Toxicity, or only more text in another style?")).to_be_visible()
    expect(page).to_have_url(re.compile("claims=.*claim=|claim=.*claims="))
    other = page.context.new_page()
    opened(other, page.url)
    expect(other.get_by_text("Toxicity, or only more text in another style?")).to_be_visible()


def test_clicking_a_point_shows_its_texts(page: Page, finished_url: str) -> None:
    # Whatever stands below the chart at the time.
    opened(page, f"{finished_url}/tradeoffs?behind=All+conditions")
    expect(page.get_by_role("combobox", name=re.compile("^Condition"))).to_have_count(0)
    chart = page.locator(".st-key-tradeoff .js-plotly-plot")

    def place() -> tuple[float, float]:
        x, y = chart.evaluate(
            """plot => {
                const at = plot.data.findIndex(found => found.name === "25 % toxic, ITI");
                const point = plot.calcdata[at].at(-1), box = plot.getBoundingClientRect();
                const {xaxis, yaxis} = plot._fullLayout;
                const x = box.x + xaxis._offset + xaxis.c2p(point.x);
                return [x, box.y + yaxis._offset + yaxis.c2p(point.y)];
            }"""
        )
        return x + 1, y

    click_on_chart(page, chart, place)
    condition = page.get_by_role("combobox", name=re.compile("^Condition"))
    expect(condition).to_have_value(re.compile("^25 % toxic"))
    expect(page).to_have_url(re.compile("condition=25"))
    expect(page.locator(".card").first).to_be_visible()


def test_texts_are_blurred_until_asked_for(page: Page, finished_url: str) -> None:
    opened(page, f"{finished_url}/data?show=Labelled+statements")
    veiled = page.locator(".card.veiled")
    expect(veiled.first).to_be_visible()
    # One group of texts is drawn in one go; other groups of the page may still be on their way.
    group = page.locator("#root:has(.card.veiled)").first
    count = group.locator(".card.veiled").count()
    body = group.locator(".card.veiled .body").first
    assert "blur" in body.evaluate("e => getComputedStyle(e).filter")
    group.locator(".card.veiled").first.get_by_role("button", name="Show text").press("Enter")
    expect(group.get_by_role("button", name="Blur again")).to_have_count(1)
    expect(group.locator(".card.veiled")).to_have_count(count - 1)
    page.get_by_text("Show all texts").click()
    expect(veiled).to_have_count(0)
    page.get_by_role("link", name="Trade-offs").click()
    expect(page.get_by_role("heading", level=3).first).to_contain_text("frontier")
    settle(page)
    expect(page.locator(".card").first).to_be_visible()
    expect(veiled).to_have_count(0)


def test_clicking_a_head_chooses_it_everywhere(page: Page, finished_url: str) -> None:
    opened(page, f"{finished_url}/geometry?part=Heads")
    chart = page.locator(".st-key-map_left .js-plotly-plot").first

    def corner() -> tuple[float, float]:
        box = chart.locator(".nsewdrag").first.bounding_box()
        assert box is not None
        # Heads 0 to 7 across, layers 0 to 3 upwards: this is layer 0, head 0.
        return box["x"] + box["width"] / 16, box["y"] + box["height"] * 7 / 8

    click_on_chart(page, chart, corner)
    expect(page).to_have_url(re.compile("head=L0H0"))
    page.get_by_role("radio", name="One head").click()
    expect(page.get_by_text("Accuracy of L0H0").first).to_be_visible()


def test_a_database_that_appears_fills_the_page_by_itself(
    page: Page, tiny_database: Path, tmp_path: Path
) -> None:
    path = tmp_path / "later.sqlite"
    with served(f"sqlite:///{path}") as url:
        page.goto(url)
        expect(page.get_by_text("No study yet")).to_be_visible()
        copy_database(tiny_database, tmp_path / "copy.sqlite")
        (tmp_path / "copy.sqlite").rename(path)
        expect(page.locator(".js-plotly-plot").first).to_be_visible()
