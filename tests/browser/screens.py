"""What must stand on the first screen of a page, and what no page may have: measured in the browser."""

from __future__ import annotations

import time
from pathlib import Path

import axe_playwright_python
from playwright.sync_api import Page, ViewportSize

SCREENS: tuple[ViewportSize, ...] = ({"width": 1440, "height": 900}, {"width": 800, "height": 1100})
FIRST: dict[str, tuple[str, ...]] = {
    "": (".st-key-answer h4", ".st-key-figures", ".st-key-dose .js-plotly-plot"),
    "tradeoffs": (".st-key-answer h4", ".st-key-tradeoff .js-plotly-plot"),
    "hardness": (".st-key-answer h4", ".st-key-undone .js-plotly-plot"),
    "toy": (".st-key-answer h4", ".st-key-toy_trained .js-plotly-plot"),
    "geometry": (".st-key-answer h4", ".st-key-verdict", ".st-key-directions .js-plotly-plot"),
    "data": ("h3", ".st-key-mixes .js-plotly-plot"),
    "runs": ("h3", "[data-testid=stDataFrame]"),
    "definitions": ("h3", "h5"),
}
"""Page to the elements (the first each) that are wholly visible without scrolling, on both SCREENS."""
TALLEST = {"tradeoffs": 480}
"""Page to the least height in pixels of its chart."""
LEAST_TEXT = 12
"""Pixels of the smallest text."""
_BOX = """selector => {
    const element = document.querySelector(`[data-testid=stMain] ${selector}`);
    if (!element) return null;
    const box = element.getBoundingClientRect();
    const scrolls = [];
    for (let at = element.parentElement; at && at.dataset.testid !== "stMain"; at = at.parentElement)
        if (/auto|scroll/.test(getComputedStyle(at).overflowY) && at.scrollHeight > at.clientHeight + 2)
            scrolls.push(at.className);
    return {top: box.top, bottom: box.bottom, left: box.left, right: box.right, scrolls};
}"""
_SMALL_TEXTS = """least => [...document.querySelectorAll("body *")].filter(element =>
    [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())
    && parseFloat(getComputedStyle(element).fontSize) < least
    && element.getBoundingClientRect().width > 1
    && !element.closest(".katex, [aria-hidden=true]")
).map(element => `${getComputedStyle(element).fontSize} ${element.textContent.slice(0, 40)}`)"""
_AXE = """() => axe.run(document, {resultTypes: ["violations"]}).then(({violations}) =>
    violations.flatMap(({id, nodes}) => nodes.map(({html}) => `${id}: ${html.slice(0, 160)}`)))"""
_PALE_TEXTS = """least => {
    const rgba = text => [...text.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = element => {
        for (let at = element; at; at = at.parentElement) {
            const colour = rgba(getComputedStyle(at).backgroundColor);
            if (colour[3] > 0.99) return colour;
        }
        return [255, 255, 255, 1];
    };
    const texts = [...document.querySelectorAll(".js-plotly-plot text")].filter(text =>
        text.matches("[class$=title], [class$=tick] text, .legendtext, .annotation-text")
        && text.textContent.trim());
    return texts.map(text => {
        const style = getComputedStyle(text), below = ground(text.closest(".js-plotly-plot"));
        const [r, g, b, alpha] = rgba(style.fill), opaque = alpha * style.fillOpacity * style.opacity;
        const seen = [r, g, b].map((v, i) => v * opaque + below[i] * (1 - opaque));
        const [dim, bright] = [light(seen), light(below)].sort((a, b) => a - b);
        return [(bright + 0.05) / (dim + 0.05), text.textContent];
    }).filter(([contrast]) => contrast < least)
      .map(([contrast, words]) => `contrast ${contrast.toFixed(2)} in a chart: ${words.slice(0, 60)}`);
}"""
LEAST_CONTRAST = 4.5
"""WCAG 2.2, 1.4.3: of small text to what lies behind it."""


def boxes(page: Page, name: str) -> dict[str, tuple[float, float]]:
    """Top and bottom in pixels of each element of FIRST on the page of that name, scrolled to its top.

    Raises AssertionError for one that is missing, outside the window, or in a scrolling region.
    """
    size = page.viewport_size or SCREENS[0]
    measured = {}
    for selector in FIRST.get(name, ()):
        page.locator(f"[data-testid=stMain] {selector}").first.wait_for(state="visible")
        box = page.evaluate(_BOX, selector)
        assert box, f"{name}: no {selector}"
        assert not box["scrolls"], f"{name}: {selector} is in a scrolling region"
        inside = box["top"] >= 0 and box["bottom"] <= size["height"] and box["right"] <= size["width"]
        assert inside, f"{name} at {size['width']}: {selector} ends at {box['bottom']:.0f}"
        measured[selector] = (box["top"], box["bottom"])
    return measured


def small_texts(page: Page) -> list[str]:
    """Size and beginning of every text smaller than LEAST_TEXT."""
    texts: list[str] = page.evaluate(_SMALL_TEXTS, LEAST_TEXT)
    return texts


def violations(page: Page) -> list[str]:
    """What axe finds (rule and element), and pale text of charts, which axe does not judge; one line each.

    What stands for 20 seconds: texts fade in, and out where they are drawn anew.
    """
    script = Path(axe_playwright_python.__file__).parent / "axe.min.js"
    page.evaluate(script.read_text(encoding="utf-8"))
    until = time.monotonic() + 20
    while True:
        lines: list[str] = page.evaluate(_AXE) + page.evaluate(_PALE_TEXTS, LEAST_CONTRAST)
        if not lines or time.monotonic() > until:
            return lines
