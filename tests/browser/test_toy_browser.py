"""The toy page in a real browser: from an empty database to a run started there, its chart and its link."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.screenshots import served

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_run_started_on_the_page_fills_it(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HORMESIS_HOME", str(tmp_path))
    form = "new_setting=Softmax+bottleneck&new_shares=.01,1&new_seeds=2&new_steps=40"
    with served(f"sqlite:///{tmp_path / 'hormesis.sqlite'}") as url:
        page.goto(f"{url}/toy?{form}")
        expect(page.get_by_text("No toy run yet")).to_be_visible()
        expect(page.get_by_text("hormesis toy --setting bottleneck --shares .01,1")).to_be_visible()
        page.get_by_role("button", name="Run", exact=True).click()
        # The page looks for new rows by itself.
        expect(page.locator(".st-key-toy_trained .js-plotly-plot")).to_be_visible(timeout=120_000)
        expect(page.get_by_text("n = 2 seeds, 4 runs").first).to_be_visible()
        page.locator(".st-key-toy_trained_options button").click()
        page.get_by_text("Signed", exact=True).click()
        expect(page.get_by_text("Softmax bottleneck, signed cosine")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_text("Directions", exact=True).click()
        page.get_by_text("3-D", exact=True).click()
        expect(page.locator(".st-key-toy_directions .gl-container").first).to_be_attached()
        assert parse_qs(urlsplit(page.url).query)["toy_cosine"] == ["Signed"]
        link = page.url
        other = page.context.new_page()
        other.goto(link)
        expect(other.get_by_text("Softmax bottleneck, signed cosine")).to_be_visible()
        assert page.locator("[data-testid=stException]").count() == 0
