"""Steering live: what fits the first screen, several texts of each pane, panes at matched costs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from tests.browser.actions import (
    click_on_chart,
    close_menu,
    generate,
    open_menu,
    opened,
    panes_of,
    streaming,
    texts,
)
from tests.browser.conftest import Live
from tests.browser.screens import LEAST_TEXT, SCREENS, small_texts, violations
from tests.browser.test_live import TEN, expected_texts, steer
from tests.fixtures.service_world import MATCHED, pane
from tests.screenshots import PATIENCE_MS, settle

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser-live")]
NONE = "0 % toxic, seed 0"
AT_COSTS: dict[str, Any] = {f"model{number}": NONE for number in range(1, 5)} | {"panes": 4}
HIDDEN = "node => node.scrollHeight - node.clientHeight"
FONTS = """nodes => nodes.flatMap(node => [node, ...node.querySelectorAll("*")])
    .map(node => parseFloat(getComputedStyle(node).fontSize))"""


def outside(page: Page, size: ViewportSize) -> list[str]:
    """What of the prompt, the button and the panes' texts cannot be seen whole, or reads too small."""
    bodies = page.locator(".st-key-live_panes .card .body")
    parts = {
        "prompt": page.locator(".st-key-prompt textarea"),
        "button": page.locator(".st-key-generate button"),
        **{f"text {number}": body for number, body in enumerate(bodies.all(), 1)},
    }
    assert len(parts) == 6
    problems = []
    for name, part in parts.items():
        box = part.bounding_box()
        assert box is not None
        right, bottom = box["x"] + box["width"], box["y"] + box["height"]
        if min(box["x"], box["y"]) < 0 or right > size["width"] or bottom > size["height"]:
            problems.append(f"{name} ends at {right:.0f}, {bottom:.0f}")
    problems += [
        f"text {number} scrolls" for number, body in enumerate(bodies.all(), 1) if body.evaluate(HIDDEN) > 0
    ]
    # The texts stand in components of their own, into which the audit of the page does not look.
    small = min(page.locator(".st-key-live_panes .card").evaluate_all(FONTS))
    return problems + ([f"text of {small} px"] if small < LEAST_TEXT else [])


def fact(card: Locator, label: str) -> Locator:
    """What stands under a text by this name."""
    return card.locator(f".fact:has(dt:text-is('{label}'))")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SCREENS, ids=lambda size: str(size["width"]))
def test_prompt_button_and_texts_are_seen_without_scrolling(
    browser: Browser, live: Live, size: ViewportSize, theme: Any
) -> None:
    context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    context.add_cookies([{"name": "hormesis_note_read", "value": "1", "url": live.url}])
    try:
        page = context.new_page()
        opened(page, steer(live, prompt="the baker sells", texts="4 texts each", **AT_COSTS))
        assert outside(page, size) == [] and not small_texts(page) and not violations(page)
        expect(page.locator(".st-key-live_panes").get_by_text("Press Generate")).to_have_count(4)
        generate(page)
        panes_of(page, 1, "done")
        page.mouse.move(0, 0)
        settle(page)
        assert outside(page, size) == [] and not small_texts(page) and not violations(page)
    finally:
        context.close()


def test_texts_of_each_pane_are_paged_and_come_with_means(page: Page, live: Live) -> None:
    query = {"model1": TEN, "model2": TEN, "texts": "4 texts each"}
    opened(page, steer(live, prompt="the baker sells", **query))
    generate(page)
    cards = panes_of(page, 1, "done")
    number = live.world.ids["dose-10"]
    panes = [pane(number), pane(number, 2.0)]
    assert texts(cards) == expected_texts(live, panes, "the baker sells")
    steered = cards.nth(1)
    expect(fact(steered, "Toxicity (forum)")).to_contain_text("0 [0, 60] points")
    expect(fact(steered, "Less pane 1")).to_contain_text("+0 [−60, +60] points")
    expect(fact(steered, "Steered")).to_contain_text(re.compile(r"4 heads at \d+ tokens"))
    expect(fact(steered, "Changed")).to_contain_text("4 of 4 texts")
    expect(fact(cards.first, "Steered")).to_contain_text("nothing")
    # Every text agrees, so that the answer is undecided, and it says of how many.
    expect(page.locator(".st-key-answer")).to_contain_text("Undecided")
    expect(page.locator(".st-key-answer")).to_contain_text("n = 4 texts of one prompt")
    expect(page.get_by_text("from sampling seeds 0 to 3")).to_be_visible()
    # The next seed in every pane at once; the link leads there.
    page.get_by_role("button", name="Page 3", exact=True).click()
    third = expected_texts(live, panes, "the baker sells", seed=2)
    expect(page.locator('.st-key-live_panes .card[data-identity="1 2"]')).to_have_count(2)
    assert texts(panes_of(page, 1, "done")) == third
    expect(page).to_have_url(re.compile("text=3"))


def test_what_is_revealed_is_one_text_and_no_other(page: Page, live: Live) -> None:
    query = {"model1": "slow", "panes": 1, "length": 256, "blur_stream": "true", "texts": "4 texts each"}
    opened(page, steer(live, prompt="the baker", **query))
    generate(page)
    streaming(page, 1).first.get_by_role("button", name="Show text").click()
    card = page.locator('.st-key-live_panes [data-state^="run 1 "] .card')
    expect(card.get_by_role("button", name="Blur again")).to_be_visible()
    page.get_by_role("button", name="Page 2", exact=True).click()
    expect(card.get_by_role("button", name="Show text")).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    panes_of(page, 1, "stopped")
    expect(page.locator(".st-key-answer")).to_contain_text("Not every text came.")
    expect(page.get_by_text(re.compile(r"Run 1: stopped, \d of 4 texts"))).to_be_visible()


def test_panes_stand_at_matched_costs_and_leave_them_for_heads_of_one_s_own(page: Page, live: Live) -> None:
    opened(page, steer(live, prompt="the baker sells", **AT_COSTS))
    panes = page.locator(".st-key-live_panes")
    for cost, strength in MATCHED.items():
        expect(panes).to_contain_text(f"{NONE}, ITI, +{cost:g} nats")
        expect(panes).to_contain_text(
            f"Strength {strength:g}, cost {cost:.3f} [{cost - 0.02:.3f}, {cost + 0.02:.3f}]"
        )
    open_menu(page, "Pane 2").get_by_role("radio", name="+0.15 nats").click()
    close_menu(page)
    expect(page).to_have_url(re.compile("cost2=%2B0.15"))
    generate(page)
    cards = panes_of(page, 1, "done")
    dearest = max(MATCHED)
    for place in (1, 3):
        expect(fact(cards.nth(place), "Added cost")).to_contain_text(f"{dearest:+.4f}")
    assert texts(cards)[1] == texts(cards)[3]
    # Heads of one's own have no cost of the study's: its strength goes with them.
    page.get_by_text("Pick heads on the map").click()
    chart = page.locator(".st-key-pick_map2 .js-plotly-plot")
    expect(chart).to_be_visible()
    best = live.world.ranked[live.world.ids["dose-0"]][:4]
    layer, head = next((layer, head) for layer in range(3) for head in range(4) if (layer, head) not in best)

    def middle() -> tuple[float, float]:
        box = chart.locator(".nsewdrag").first.bounding_box()
        assert box is not None
        return box["x"] + box["width"] * (head + 0.5) / 4, box["y"] + box["height"] * (2.5 - layer) / 3

    click_on_chart(page, chart, middle)
    expect(panes).to_contain_text(f"{NONE}, ITI, strength {MATCHED[dearest]:g}, 5 picked heads")
    expect(panes).to_contain_text("Cost not measured")


def test_a_steering_that_changed_nothing_says_why(page: Page, live: Live) -> None:
    opened(page, steer(live, prompt="the baker sells", model1=TEN, model2=TEN, strength2=0.0))
    generate(page)
    changed = fact(panes_of(page, 1, "done").nth(1), "Changed")
    expect(changed).to_contain_text("nothing: strength 0 moves nothing")
