"""Files from the pages in a browser: every chart's and table's download opens and holds the rows shown."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from hormesis.dashboard.base import exports as files
from hormesis.dashboard.report.study import open_study, study_report
from tests.browser.views import Complaints, exports, fetched, row_count, saved, views
from tests.fixtures.pages import assert_same_rows, comments
from tests.screenshots import PATIENCE_MS, served, settle

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHOWN = (
    "?more=Fluency",
    "tradeoffs?behind=All+conditions",
    "geometry",
    "geometry?part=Heads&heads=Maps",
    "hardness?attack=Capability",
    "toy",
    "runs?tab=Where+numbers+come+from",
    "data?show=Generations",
)
"""A view of each kind: points, intervals, maps, tables; `tests/dashboard/test_files.py` has all files."""


@pytest.fixture(scope="module")
def small_url(browser: Browser, tiny_database: Path) -> Iterator[str]:
    """A dashboard on a small seeded study."""
    with served(f"sqlite:///{tiny_database}") as url:
        yield url


@pytest.fixture(scope="module")
def offline(browser: Browser) -> Iterator[Page]:
    """A page of a browser without a network."""
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def rows_shown(page: Page, key: str) -> int | None:
    """How many rows a view says that it is made of: its folded rows, or its table; None for a plain one."""
    fold = page.locator(f".st-key-{key}_rows")
    if fold.count():
        count = re.search(r"\(([\d,]+)\)", fold.inner_text())
        assert count is not None
        return int(count[1].replace(",", ""))
    # The table drawn in the same frame as the button.
    frame = page.locator(f"[data-testid=stVerticalBlock]:has(> * .st-key-{key}_head)").last
    frame.scroll_into_view_if_needed()
    grids = frame.locator("[data-testid=stDataFrame]")
    return row_count(grids.last.locator("table[role=grid]")) if grids.count() else None


def opened_file(offline: Page, path: Path, complaints: Complaints) -> None:
    """A downloaded page opens without a network and without a complaint."""
    offline.goto(path.as_uri())
    expect(offline.locator("h1").first).to_be_visible()
    assert not complaints.messages, (path.name, complaints.messages)


@pytest.mark.parametrize("name", SHOWN)
def test_every_file_opens_and_holds_the_rows_shown(
    page: Page, offline: Page, small_url: str, tmp_path: Path, name: str
) -> None:
    page.goto(f"{small_url}/{name}")
    settle(page)
    keys = views(page)
    assert keys
    complaints = Complaints(offline)
    for key in keys:
        count = rows_shown(page, key)
        exports(page, key)
        table = fetched(page, key, "csv", folder=tmp_path)
        parquet = fetched(page, key, "parquet", folder=tmp_path)
        document = fetched(page, key, "html", folder=tmp_path)
        page.keyboard.press("Escape")
        notes = comments(table.read_text(encoding="utf-8"))
        rows = pd.read_csv(table, comment="#", dtype=str, keep_default_na=False)
        assert len(rows) == int(notes["rows"]) and count in (None, len(rows)), key
        assert json.loads(pq.read_schema(parquet).metadata[files.METADATA]).keys() == notes.keys()
        assert_same_rows(rows, pd.read_parquet(parquet))
        if not name.startswith("toy"):
            assert notes["study hash"] == "0" * 16 and "forum-1" in notes["data forum-clean"], key
        opened_file(offline, document, complaints)
        if page.locator(f".st-key-{key} .js-plotly-plot").count():
            expect(offline.locator(".js-plotly-plot .main-svg").first).to_be_attached()
        assert offline.locator("tbody tr").count() >= min(len(rows), 500), key


def test_a_tables_file_holds_what_the_table_says(page: Page, small_url: str, tmp_path: Path) -> None:
    page.goto(f"{small_url}/data?show=Scores+and+scorers")
    settle(page)
    grid = page.get_by_role("region", name=re.compile("^Scorers with")).locator("table[role=grid]")
    exports(page, "scorers_table")
    lines = fetched(page, "scorers_table", "csv", folder=tmp_path).read_text(encoding="utf-8").splitlines()
    body = list(csv.reader(io.StringIO("\n".join(line for line in lines if not line.startswith("# ")))))
    assert [cell for row in body[1:] for cell in row] == grid.locator("[role=gridcell]").all_text_contents()


def test_a_picture_is_made_by_the_server(page: Page, small_url: str, tmp_path: Path) -> None:
    if not files.can_draw_png():
        pytest.skip("the package kaleido or a browser is missing: pip install 'hormesis[png]'")
    page.goto(f"{small_url}/runs?tab=Loss+curves")
    settle(page)
    exports(page, "runs_loss")
    picture = Image.open(fetched(page, "runs_loss", "png", folder=tmp_path))
    assert (
        picture.format == "PNG" and picture.width == 2000 and len(picture.convert("RGB").getcolors(10**6)) > 5
    )


def test_a_picture_is_made_in_the_persons_own_browser(page: Page, small_url: str, tmp_path: Path) -> None:
    page.goto(f"{small_url}/runs?tab=Loss+curves")
    settle(page)
    exports(page, "runs_loss")
    expect(page.get_by_text("The camera above the chart")).to_be_visible()
    page.keyboard.press("Escape")
    chart = page.locator(".st-key-runs_loss .js-plotly-plot")
    width = chart.evaluate("plot => plot.clientWidth")
    chart.hover()
    with page.expect_download() as waiting:
        chart.locator('.modebar-btn[data-title*="PNG"], .modebar-btn[data-title*="png"]').click()
    picture = Image.open(saved(waiting.value, tmp_path))
    assert picture.format == "PNG" and abs(picture.width - 2 * width) <= 2
    assert waiting.value.suggested_filename == "runs_loss.png"


def test_the_report_of_a_study_opens_without_a_network(
    page: Page, offline: Page, small_url: str, tmp_path: Path
) -> None:
    page.goto(f"{small_url}/runs")
    settle(page)
    with page.expect_download(timeout=120_000) as waiting:
        page.get_by_role("button", name="Report (HTML)").click()
    report = saved(waiting.value, tmp_path)
    complaints = Complaints(offline)
    offline.goto(report.as_uri())
    charts = offline.locator(".chart")
    assert charts.count() >= 9
    expect(
        offline.locator(".chart.js-plotly-plot .main-svg, .chart .js-plotly-plot .main-svg").last
    ).to_be_attached()
    plots = offline.locator(".js-plotly-plot")
    expect(plots).to_have_count(charts.count())
    for part in ("0" * 16, "seeded-1", "torch 2.13.0", "95 % intervals"):
        expect(offline.get_by_text(part).first).to_be_attached()
    assert offline.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    offline.emulate_media(color_scheme="dark")
    ground = offline.evaluate("getComputedStyle(document.body).backgroundColor")
    offline.emulate_media(color_scheme="light")
    assert ground != offline.evaluate("getComputedStyle(document.body).backgroundColor")
    assert not complaints.messages


def test_texts_in_a_report_stay_closed_until_they_are_opened(
    offline: Page, tiny_database: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tiny_database}"
    out = tmp_path / "report.html"
    command = [sys.executable, "-m", "hormesis.dashboard.report", "--db", url, "--study", "seeded test data"]
    subprocess.run([*command, "--out", str(out), "--texts"], check=True, capture_output=True)
    offline.goto(out.as_uri())
    closed = offline.locator("details.text")
    assert closed.count() > 0
    body = closed.first.locator("> :not(summary)").first
    expect(body).not_to_be_visible()
    closed.first.locator("summary").click()
    expect(body).to_be_visible()
    expect(closed.nth(1).locator("> :not(summary)").first).not_to_be_visible()


def test_a_printed_report_opens_its_tables_and_breaks_long_cards(
    offline: Page, tiny_database: Path, tmp_path: Path
) -> None:
    """Texts that may hurt stay closed on paper too."""
    study = open_study(f"sqlite:///{tiny_database}", "seeded test data")
    path = tmp_path / "report.html"
    path.write_bytes(study_report(study, with_texts=True))
    offline.goto(path.as_uri())
    cell = offline.locator("details:not(.text) td").first
    expect(cell).to_be_hidden()
    offline.emulate_media(media="print")
    expect(cell).to_be_visible()
    expect(offline.locator("details.text .written").first).to_be_hidden()
    assert (
        offline.locator("section.card").first.evaluate("card => getComputedStyle(card).breakInside") == "auto"
    )
    offline.emulate_media(media="screen")
    expect(cell).to_be_hidden()
