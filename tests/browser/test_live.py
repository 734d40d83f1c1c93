"""Steering live in a browser: streaming, stopping, picking heads, history, links, hostile text, crowds."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from hormesis.backend.generation.generation import generate as offline
from tests.browser.actions import (
    click_on_chart,
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
from tests.fixtures.service_world import pane
from tests.screenshots import PATIENCE_MS, settle

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser-live")]
HOSTILE = (
    '<img src=x onerror="window.__hit=1"><script>window.__hit=1</script> '
    "**bold** [x](javascript:1) $x^2$ :red[no] \u202eabc \u05d0\u05d1 \u0627\u0628 😀"
)
TEN = "10 % toxic, seed 0"


def steer(live: Live, **query: Any) -> str:
    """Address of the page with some controls set; lists are repeated."""
    return f"{live.url}/steer?{urlencode({'study': 'forum'} | query, doseq=True)}"


def expected_texts(
    live: Live, panes: list[dict[str, Any]], prompt: str, *, new_tokens: int = 40, seed: int = 0
) -> list[str]:
    """What each pane must say: its own offline generation."""
    loaded = live.world.loaded("dose-10")
    return [
        offline(
            loaded,
            [prompt],
            seeds=[seed],
            rows=[live.world.row(loaded, "dose-10", pane)],
            new_tokens=new_tokens,
            temperature=1.0,
            top_p=0.9,
        )[0].text
        for pane in panes
    ]


def test_panes_stream_side_by_side_and_the_seed_decides(page: Page, live: Live) -> None:
    opened(page, steer(live, prompt="the baker sells", model1=TEN, model2=TEN))
    generate(page)
    cards = panes_of(page, 1, "done")
    expect(cards).to_have_count(2)
    number = live.world.ids["dose-10"]
    first = texts(cards)
    assert first == expected_texts(live, [pane(number), pane(number, 2.0)], "the baker sells")
    for card in cards.all():
        for fact in ("Toxicity (forum)", "Fluency (forum)", "Distinct bigrams", "Added cost"):
            expect(card.locator("dt", has_text=fact)).to_have_count(1)
    # Measured for this very steering; the unsteered pane says what it is.
    expect(cards.nth(1).locator(".fact", has_text="Added cost")).to_contain_text("0.07")
    expect(cards.nth(0).locator(".fact", has_text="Added cost")).to_contain_text("unsteered")
    generate(page)
    assert texts(panes_of(page, 2, "done")) == first


def test_clicks_elsewhere_leave_the_stream_alone(page: Page, live: Live) -> None:
    opened(page, steer(live, prompt="the baker", model1="slow", panes=1, length=256, blur_stream="false"))
    generate(page)
    streaming(page, 1)
    open_menu(page, "Display").get_by_text("Colour tokens").click()
    close_menu(page)
    page.get_by_text("Show all texts").click()
    page.get_by_role("link", name="Glossary").click()
    expect(page.get_by_role("heading", level=3)).not_to_contain_text("steering do")
    page.get_by_role("link", name="Steer live").click()
    cards = panes_of(page, 1, "done")
    expect(cards).to_have_count(1)
    assert len(texts(cards)[0]) > 20


def test_a_text_can_be_revealed_while_it_streams(page: Page, live: Live) -> None:
    query = {"model1": "slow", "model2": "slow", "method2": "Unsteered", "length": 256, "blur_stream": "true"}
    opened(page, steer(live, prompt="the baker", **query))
    generate(page)
    cards = streaming(page, 1)
    cards.first.get_by_role("button", name="Show text").click()
    # The stream may end at any moment after the click; what was revealed stays so.
    card = page.locator('.st-key-live_panes [data-state^="run 1 "] .card')
    expect(card.first.get_by_role("button", name="Blur again")).to_be_visible()
    expect(card.nth(1).get_by_role("button", name="Show text")).to_be_visible()
    # Once it is scored it stays readable: revealed, or found harmless.
    expect(panes_of(page, 1, "done").first).not_to_have_class(re.compile("veiled"))


def test_stop_ends_a_long_stream_and_frees_the_model(page: Page, live: Live) -> None:
    slow = {f"model{number}": "slow" for number in range(1, 5)}
    plain = {f"method{number}": "Unsteered" for number in range(1, 5)}
    opened(page, steer(live, prompt="the baker sells", panes=4, length=256, **slow, **plain))
    generate(page)
    page.get_by_role("button", name="Stop", exact=True).click()
    panes_of(page, 1, "stopped")
    open_menu(page, "Display").get_by_role("radio", name="1", exact=True).click()
    close_menu(page)
    generate(page)
    streaming(page, 2)
    page.get_by_role("button", name="Stop", exact=True).click()
    panes_of(page, 2, "stopped")


def test_heads_are_picked_on_the_map(page: Page, live: Live) -> None:
    opened(page, steer(live, prompt="the baker sells", model1=TEN, model2=TEN))
    page.get_by_text("Pick heads on the map").click()
    chart = page.locator(".st-key-pick_map2 .js-plotly-plot")
    expect(chart).to_be_visible()
    number = live.world.ids["dose-10"]
    best = live.world.ranked[number][:4]
    inside, outside = best[-1], next((0, head) for head in range(4) if (0, head) not in best)

    def middle(layer: int, head: int) -> tuple[float, float]:
        box = chart.locator(".nsewdrag").first.bounding_box()
        assert box is not None
        # Four heads across, three layers upwards.
        return box["x"] + box["width"] * (head + 0.5) / 4, box["y"] + box["height"] * (2.5 - layer) / 3

    click_on_chart(page, chart, lambda: middle(*outside))
    title = page.locator(".st-key-pick_map2_head")
    expect(title).to_contain_text("5 picked heads")
    click_on_chart(page, chart, lambda: middle(*inside))
    expect(title).to_contain_text("4 picked heads")
    left = sorted([place for place in best if place != inside] + [outside])
    query = "&".join(f"picked2=L{layer}H{head}" for layer, head in left)
    expect(page).to_have_url(re.compile(query))
    generate(page)
    cards = panes_of(page, 1, "done")
    expect(page.locator(".st-key-live_panes")).to_contain_text(f"{TEN}, ITI, strength 2, 4 picked heads")
    heads = [{"layer": layer, "head": head} for layer, head in left]
    assert texts(cards) == expected_texts(
        live, [pane(number), pane(number, 2.0, heads=heads)], "the baker sells"
    )
    expect(cards.nth(1).locator(".fact", has_text="Added cost")).to_contain_text("not measured")
    page.get_by_role("button", name="Back to the best").click()
    expect(title).to_contain_text("the 4 best heads by probe")
    # A lasso over everything takes every head in. While a chart is drawn anew it stands twice.
    settle(page)
    chart.hover()
    chart.get_by_role("button", name="Lasso Select").click()
    box = chart.locator(".nsewdrag").first.bounding_box()
    assert box is not None
    right, bottom = box["x"] + box["width"] - 2, box["y"] + box["height"] - 2
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    for x, y in (
        (right, box["y"] + 2),
        (right, bottom),
        (box["x"] + 2, bottom),
        (box["x"] + 2, box["y"] + 4),
    ):
        page.mouse.move(x, y, steps=8)
    page.mouse.up()
    expect(title).to_contain_text("12 picked heads")


def test_an_earlier_run_opens_again_with_its_controls(page: Page, live: Live) -> None:
    opened(page, steer(live, prompt="the baker sells", model1=TEN, model2=TEN))
    generate(page)
    first = texts(panes_of(page, 1, "done"))
    seed = open_menu(page, "Sampling").get_by_role("spinbutton", name="Sampling seed")
    seed.fill("5")
    seed.press("Enter")
    close_menu(page)
    generate(page)
    assert texts(panes_of(page, 2, "done")) != first
    page.get_by_text("Runs of this session (2)").click()
    settle(page)  # a click on what is just being drawn is lost
    page.locator(".st-key-open_run_1 button").click()
    assert texts(panes_of(page, 1, "done")) == first
    expect(open_menu(page, "Sampling").get_by_role("spinbutton", name="Sampling seed")).to_have_value("0")
    close_menu(page)
    page.locator(".st-key-open_run_2 button").click()
    panes_of(page, 2, "done")
    expect(open_menu(page, "Sampling").get_by_role("spinbutton", name="Sampling seed")).to_have_value("5")


def test_a_link_restores_everything_in_another_browser(page: Page, live: Live, browser: Browser) -> None:
    query = {
        "prompt": "rain falls & 100 % = <b>",
        "panes": 3,
        "model1": TEN,
        "model2": TEN,
        "model3": TEN,
        "method3": "Random direction",
        "strength2": 3.5,
        "direction2": "Probe weights",
        "strength3": 1.0,
        "picked2": ["L0H1", "L2H3"],
        "control3": 1,
        "scope3": "All positions",
        "heads3": 7,
        "length": 24,
        "seed": 11,
    }
    opened(page, steer(live, **query))
    generate(page)
    first = texts(panes_of(page, 1, "done"))
    number = live.world.ids["dose-10"]
    heads = [{"layer": 0, "head": 1}, {"layer": 2, "head": 3}]
    panes = [
        pane(number),
        pane(number, 3.5, heads=heads, direction="probe"),
        pane(number, 1.0, method="random-direction", control=1, scope="all", heads=7),
    ]
    assert first == expected_texts(live, panes, query["prompt"], new_tokens=24, seed=11)
    page.get_by_text("Copy this run").click()
    link = page.locator(".st-key-copies code").first.inner_text()
    page.get_by_role("tab", name="JSON").click()
    code = page.locator(".st-key-copies code:visible").first
    expect(code).to_contain_text('"panes"')
    request = json.loads(code.inner_text())
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    try:
        other = context.new_page()
        opened(other, link)
        expect(prompt_box(other)).to_have_value(query["prompt"])
        generate(other)
        assert texts(panes_of(other, 1, "done")) == first
        # The same request as JSON, put into a page that shows something else.
        opened(other, steer(live))
        other.get_by_role("button", name="Load").click()
        box = other.get_by_role("textbox", name="Link or JSON")
        box.fill('{"panes": [{"checkpoint_id": 999}]}')
        other.get_by_role("button", name="Set the controls").click()
        expect(other.get_by_text("offers no checkpoint 999")).to_be_visible()
        box.fill(json.dumps(request))
        other.get_by_role("button", name="Set the controls").click()
        expect(prompt_box(other)).to_have_value(query["prompt"])
        other.keyboard.press("Escape")
        generate(other)
        assert texts(panes_of(other, 1, "done")) == first
    finally:
        context.close()


def test_hostile_text_is_only_text(page: Page, live: Live) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    opened(page, steer(live))
    prompt_box(page).fill(HOSTILE)
    generate(page)
    cards = panes_of(page, 1, "done")
    assert HOSTILE in str(cards.first.locator(".prompt").text_content())
    # A control character is refused in a sentence; nothing breaks.
    prompt_box(page).fill("bell \x07 and escape \x1b[31m")
    generate(page)
    expect(page.get_by_text("control character U+0007")).to_be_visible()
    # As much as the box takes, all of it emoji and right-to-left text.
    longest = "😀\u202e\u05d0\u0627" * 400
    prompt_box(page).fill(longest)
    generate(page)
    assert longest in str(panes_of(page, 2, "done").first.locator(".prompt").text_content())
    assert page.evaluate("window.__hit") is None
    assert page.locator(".st-key-live_panes .card img").count() == 0
    assert not errors


def test_a_hundred_kilobytes_of_emoji_are_refused_in_one_line(page: Page, live: Live) -> None:
    opened(page, steer(live, prompt="the baker"))
    prompt_box(page).fill("😀" * 25_000)
    generate(page)
    expect(
        page.get_by_text("The prompt has 25,000 characters; this page takes at most 2,000.")
    ).to_be_visible()
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
    # The page can still be opened by its link, and takes a prompt that fits.
    assert len(page.url) < 2_000
    page.reload()
    settle(page)
    prompt_box(page).fill("rain falls")
    generate(page)
    expect(panes_of(page, 1, "done")).to_have_count(2)
    expect(page).to_have_url(re.compile("prompt=rain"))


@pytest.mark.quiet
def test_twenty_panes_in_five_browsers_are_all_right(browser: Browser, live: Live) -> None:
    number = live.world.ids["dose-10"]
    query = {f"model{place}": TEN for place in range(1, 5)}
    query |= {"method1": "Unsteered", "method2": "ITI", "method3": "ITI", "method4": "Random direction"}
    query |= {"strength2": "1.0", "strength3": "3.0", "strength4": "2.0", "control4": "1"}
    panes = [
        pane(number),
        pane(number, 1.0),
        pane(number, 3.0),
        pane(number, 2.0, method="random-direction", control=1),
    ]
    contexts = [browser.new_context(viewport={"width": 1440, "height": 1000}) for _ in range(5)]
    try:
        pages = [context.new_page() for context in contexts]
        for seed, tab in enumerate(pages):
            tab.set_default_timeout(PATIENCE_MS)
            opened(tab, steer(live, prompt="rain falls", panes=4, length=24, seed=seed, **query))
        for tab in pages:
            generate(tab)
        for seed, tab in enumerate(pages):
            assert texts(panes_of(tab, 1, "done")) == expected_texts(
                live, panes, "rain falls", new_tokens=24, seed=seed
            )
    finally:
        for context in contexts:
            context.close()
