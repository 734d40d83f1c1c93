"""The flows that only a browser can show: clicks on charts, blurring, streaming, links, hostile text."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.screenshots import served, settle
from tests.seeded_database import TINY, build_file

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HOSTILE = (
    '<img src=x onerror="window.__hit=1"><script>window.__hit=1</script> '
    "**bold** [x](javascript:1) \u202eabc 😀"
)


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def opened(page: Page, url: str) -> None:
    page.goto(url)
    settle(page)


def test_first_chart_is_there_and_nothing_fails(page: Page, finished_url: str) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    opened(page, finished_url)
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    assert page.locator("[data-testid=stException]").count() == 0
    assert not errors


def test_a_control_writes_the_link_and_the_link_restores_it(page: Page, finished_url: str) -> None:
    opened(page, finished_url)
    page.get_by_role("radio", name="Fixed strength").click()
    expect(page.get_by_text("ITI, strength 2").first).to_be_visible()
    link = page.url
    assert query(page)["view"] == ["Fixed strength"]
    other = page.context.new_page()
    opened(other, link)
    expect(other.get_by_text("ITI, strength 2").first).to_be_visible()


def test_clicking_a_point_shows_its_texts(page: Page, finished_url: str) -> None:
    opened(page, f"{finished_url}/tradeoffs")
    before = page.get_by_role("combobox", name=re.compile("Condition")).input_value()
    chart = page.locator(".st-key-tradeoff .js-plotly-plot")
    chart.scroll_into_view_if_needed()
    place = chart.evaluate(
        """plot => {
            const at = plot.data.findIndex(found => found.name === "25 % toxic");
            const point = plot.calcdata[at].at(-1), box = plot.getBoundingClientRect();
            const {xaxis, yaxis} = plot._fullLayout;
            const x = box.x + xaxis._offset + xaxis.c2p(point.x);
            return [x, box.y + yaxis._offset + yaxis.c2p(point.y)];
        }"""
    )
    page.mouse.move(place[0] + 1, place[1])
    page.wait_for_timeout(400)  # Plotly answers a click only where it has seen the pointer hover
    page.mouse.click(place[0], place[1])
    expect(page.get_by_role("combobox", name=re.compile("Condition"))).not_to_have_value(before)
    settle(page)
    assert "condition" in query(page)


def test_texts_are_blurred_until_asked_for(page: Page, finished_url: str) -> None:
    opened(page, f"{finished_url}/data")
    veiled = page.locator(".card.veiled")
    expect(veiled.first).to_be_visible()
    count = veiled.count()
    body = veiled.first.locator(".body")
    assert "blur" in body.evaluate("e => getComputedStyle(e).filter")
    veiled.first.get_by_role("button", name="Show text").press("Enter")
    expect(veiled).to_have_count(count - 1)
    page.get_by_text("Show all texts").click()
    expect(veiled).to_have_count(0)
    page.get_by_role("link", name="Trade-offs").click()
    settle(page)
    expect(page.locator(".card").first).to_be_visible()
    expect(veiled).to_have_count(0)


def test_clicking_a_head_chooses_it_everywhere(page: Page, finished_url: str) -> None:
    opened(page, f"{finished_url}/geometry")
    area = page.locator(".st-key-map_left .js-plotly-plot .nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box is not None
    # Heads 0 to 7 across, layers 0 to 3 upwards: this is layer 0, head 0.
    page.mouse.move(box["x"] + box["width"] / 16, box["y"] + box["height"] * 7 / 8)
    page.wait_for_timeout(400)
    page.mouse.click(box["x"] + box["width"] / 16, box["y"] + box["height"] * 7 / 8)
    expect(page.get_by_text("L0H0 in every arm").first).to_be_visible()
    assert query(page)["head"] == ["L0H0"]


def texts_of(cards: Locator) -> list[str]:
    return ["".join(card.locator(".text, .token").all_inner_texts()) for card in cards.all()]


def test_panes_stream_side_by_side_and_survive_clicks(page: Page, live_url: str) -> None:
    opened(page, f"{live_url}/steer?study=forum")
    page.get_by_label("Prompt").fill("the baker sells")
    page.get_by_label("Prompt").blur()
    page.get_by_role("button", name="Generate").click()
    cards = page.locator(".st-key-live_panes .card")
    expect(cards).to_have_count(2)
    page.get_by_text("Colour tokens").click()  # a click elsewhere must not end the stream
    expect(page.get_by_text(re.compile("^Done,"))).to_be_visible()
    assert all(len(text) > 20 for text in cards.all_inner_texts())
    for card in cards.all():
        expect(card).to_contain_text("cost")  # stands under a pane once its whole text is there
    # The same request again gives the same texts: the seed decides. A run joins the history when it has
    # ended, so the heading tells the end of the second run from that of the first.
    first = texts_of(cards)
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_text("History (1)")).to_be_visible()
    until = time.monotonic() + 30
    while texts_of(cards) != first and time.monotonic() < until:
        page.wait_for_timeout(100)
    assert texts_of(cards) == first


def test_stop_ends_a_long_stream(page: Page, live_url: str) -> None:
    opened(
        page,
        f"{live_url}/steer?study=forum&model1=slow&model2=slow&method2=Unsteered&length=120&blur_stream=false",
    )
    page.get_by_label("Prompt").fill("the baker sells")
    page.get_by_label("Prompt").blur()
    page.get_by_role("button", name="Generate").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text(re.compile("^Stopped,"))).to_be_visible()


def test_hostile_text_is_only_text(page: Page, live_url: str) -> None:
    opened(page, f"{live_url}/steer?study=forum")
    page.get_by_label("Prompt").fill(HOSTILE)
    page.get_by_label("Prompt").blur()
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_text(re.compile("^(Done|Failed),"))).to_be_visible()
    assert HOSTILE in str(page.locator(".st-key-live_panes .card .prompt").first.text_content())
    assert page.evaluate("window.__hit") is None
    assert page.locator(".st-key-live_panes .card img").count() == 0


def test_a_database_that_appears_fills_the_page_by_itself(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "later.sqlite"
    with served(f"sqlite:///{path}") as url:
        page.goto(url)
        expect(page.get_by_text("No study yet")).to_be_visible()
        made = tmp_path / "made.sqlite"
        build_file(made, TINY)
        made.rename(path)
        began = time.monotonic()
        expect(page.locator(".js-plotly-plot").first).to_be_visible()
        assert time.monotonic() - began < 30
