"""The Runs page in a browser, on studies that really run: started, watched, stopped, resumed, compared."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from hormesis.db.run_lock import holder_of
from tests.browser.actions import choose, opened, tick_row, visit
from tests.browser.views import PAGES, TABS, Complaints, cells, no_exception, row_count, table
from tests.fixtures.tiny_study import STUDY, finished_study, rows
from tests.pipeline.test_bad_input import REAL
from tests.screenshots import served, settle

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.xdist_group("browser-runs"),
    pytest.mark.timeout(900),
]
LIGHT = STUDY.replace('"clean-forum"', "").replace('"forum", "tfidf"', '"forum"')
"""Two arms and one scorer."""
LONG = 300_000
"""Milliseconds that a study may take on a busy machine."""
RUNNING_NOW = "Stages running now"


@dataclass(frozen=True)
class Place:
    """A home in which studies are run from the dashboard at `url`."""

    home: Path
    url: str

    def holder(self) -> int | None:
        """The process that runs a study of this home."""
        locks = (self.home / "locks").glob("*") if (self.home / "locks").is_dir() else ()
        holders = [holder_of(self.home, path.stem) for path in locks]
        return next((holder.pid for holder in holders if holder is not None), None)


@contextlib.contextmanager
def served_home(home: Path) -> Iterator[Place]:
    """A dashboard on a home; a study that still runs there is ended with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HORMESIS_HOME", str(home))
        patch.setenv("OMP_NUM_THREADS", "1")
        with served(f"sqlite:///{home / 'hormesis.sqlite'}") as url:
            place = Place(home, url)
            yield place
            if pid := place.holder():
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def place(browser: Browser, tmp_path: Path) -> Iterator[Place]:
    """An empty home."""
    with served_home(tmp_path / "home") as place:
        yield place


@pytest.fixture(scope="module")
def finished(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A home with a finished study."""
    _, home = finished_study(tmp_path_factory)
    with served_home(home) as place:
        yield place


@pytest.fixture
def context(page: Page) -> BrowserContext:
    return page.context


def until(holds: Callable[[], bool], event: str, seconds: float = 900) -> None:
    """Wait for a state that no single element shows."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"never {event}"
        time.sleep(0.2)


def texts_of(region: Locator) -> list[str]:
    """Cells of a table that may be redrawn or gone at any moment."""
    return [text.strip() for text in region.locator("[role=gridcell]").all_text_contents()]


def give(page: Page, study: str | Path) -> None:
    """Paste or upload a study, and have it checked."""
    if isinstance(study, Path):
        page.get_by_role("radio", name="Upload").click()
        page.locator("input[type=file]").set_input_files(study)
        expect(page.get_by_text(study.name)).to_be_visible()
    else:
        page.get_by_role("radio", name="Paste").click()
        box = page.get_by_role("textbox", name="Study file (TOML)")
        box.fill(study)
        box.press("Control+Enter")
    settle(page)
    page.get_by_role("button", name="Check", exact=True).click()


def test_a_study_is_started_watched_stopped_and_resumed_from_the_page(
    context: BrowserContext, place: Place
) -> None:
    runs = context.new_page()
    complaints = [Complaints(runs)]
    runs.goto(f"{place.url}/runs")
    expect(runs.get_by_text("No study yet")).to_be_visible()
    give(runs, LIGHT.replace("shares =", "sharess ="))
    expect(runs.get_by_text("This study cannot be run")).to_be_visible()
    expect(runs.get_by_text("unknown key 'sharess'")).to_be_visible()
    give(runs, LIGHT)
    expect(runs.get_by_text("n = 2 arms, scale nano. Estimates; nothing has been started.")).to_be_visible()
    assert "toxic-25-s0" in cells(table(runs, re.compile("Arms of the planned study")))
    assert not (place.home / "hormesis.sqlite").exists()
    runs.get_by_role("button", name="Start", exact=True).click()

    # Opened while there is little or nothing to see; none of them is touched again.
    charts = {
        "": ".js-plotly-plot",
        "tradeoffs": ".st-key-tradeoff",
        "geometry?part=Heads": ".st-key-map_left",
    }
    watching = {name: context.new_page() for name in charts}
    for name, page in watching.items():
        complaints.append(Complaints(page))
        page.goto(f"{place.url}/{name}")
        page.evaluate("window.untouched = true")
        assert page.locator(charts[name]).count() == 0

    control = runs.locator(".st-key-control")
    expect(control.get_by_text("Running", exact=False).first).to_be_visible(timeout=LONG)
    expect(control).to_contain_text(re.compile(r"Process \d+ on this machine runs it"))
    expect(runs.get_by_text(re.compile(r"\d+ of \d+ stages done, \d+ running")).first).to_be_visible()
    expect(watching[""].get_by_text(re.compile(r"\d+ of \d+ stages done")).first).to_be_visible(timeout=LONG)
    now = runs.get_by_role("region", name=RUNNING_NOW)
    until(lambda: any(re.search(r"\d \w.*/s$", cell) for cell in texts_of(now)), "a rate was shown")
    until(lambda: any(re.fullmatch(r"\d+ (s|min \d\d s)", cell) for cell in texts_of(now)), "time left shown")

    running = place.holder()
    assert running is not None
    runs.get_by_role("button", name="Stop run").click()
    expect(control.get_by_role("button", name="Resume run")).to_be_visible(timeout=LONG)
    expect(control).to_contain_text(re.compile(r"Stopped; \d+ of \d+ stages are done"))
    until(lambda: not psutil.pid_exists(running), "the process ended")
    assert place.holder() is None

    control.get_by_role("button", name="Resume run").click()
    expect(control).to_contain_text("runs it", timeout=LONG)
    assert place.holder() != running
    expect(control).to_contain_text(re.compile(r"All \d+ stages are done"), timeout=LONG)
    for name, page in watching.items():
        expect(page.locator(charts[name]).first).to_be_visible(timeout=LONG)
        assert page.evaluate("window.untouched"), "the page was loaded anew"
        no_exception(page)
    expect(watching[""].locator(".st-key-study_status")).to_contain_text("Finished")
    tables = rows(place.home)
    assert set(tables["stage"]["status"]) == {"done"} and all(len(frame) for frame in tables.values())
    assert not [line for complaint in complaints for line in complaint.messages]


def test_every_page_shows_the_finished_study(page: Page, finished: Place) -> None:
    complaints = Complaints(page)
    for name in (*PAGES, *(f"runs?tab={tab}" for tab in TABS[1:])):
        if name in PAGES:
            visit(page, finished.url, name)
        else:
            opened(page, f"{finished.url}/{name}")
        no_exception(page)
        expect(page.get_by_role("heading", level=3).first).to_be_visible()
        if name in ("", "tradeoffs", "geometry", "data", "runs?tab=Loss curves", "runs?tab=Compare"):
            expect(page.locator(".js-plotly-plot").first).to_be_visible()
    assert not complaints.messages


def test_stages_and_losses_of_every_arm(page: Page, finished: Place) -> None:
    page.goto(f"{finished.url}/runs")
    stages = rows(finished.home)["stage"]
    grid = table(page, "Stages with state, progress, rate and time left")
    assert row_count(grid) == len(stages) and "tokens/s" in " ".join(cells(grid))
    arms = table(page, "Arms of the study with their token counts")
    assert {"toxic-0-s0", "toxic-25-s0", "clean-forum-25-s0"} <= set(cells(arms))
    page.get_by_role("tab", name="Loss curves").click()
    chart = page.locator(".st-key-runs_loss .js-plotly-plot")
    expect(chart).to_be_visible()
    ends = "plot => Object.fromEntries(plot._fullData.map(one => [one.name, [...one.y].at(-1)]))"
    last_points = chart.evaluate(ends)
    assert set(last_points) == {"0 % toxic", "25 % toxic", "control, 25 % informal"}
    points = rows(finished.home)["train_point"].sort_values("step")
    last = points.groupby("name").last()
    assert last_points["0 % toxic"] == pytest.approx(last.loc["toxic-0-s0", "clean_loss"])
    page.get_by_role("radio", name="Held-out toxic text").click()
    expect(page).to_have_url(re.compile("loss=Held-out"))
    expect(chart).to_be_visible()


def test_a_number_leads_back_to_its_study_its_data_and_its_software(page: Page, finished: Place) -> None:
    page.goto(f"{finished.url}/runs?tab=Where+numbers+come+from")
    numbers = table(page, re.compile("Numbers of a checkpoint"))
    values = cells(numbers)[-7:] if row_count(numbers) < 8 else cells(numbers)[7:14]
    tick_row(page, re.compile("Numbers of a checkpoint"), 1)
    chain = page.get_by_role("region", name=re.compile("Chain from the number"))
    expect(page).to_have_url(re.compile("number="))
    assert values[1] in page.get_by_role("combobox", name="Number").input_value()
    chain_rows = _downloaded(page, "chain").rename(columns=str.lower)
    expect(chain).to_be_visible()
    steps = chain_rows.groupby("step")["value"].apply(list).to_dict()
    study = pd.concat([chain_rows[chain_rows["step"] == step] for step in steps if "tudy" in step])
    assert study["value"].astype(str).str.fullmatch("[0-9a-f]{16}").any(), "no study hash"
    assert {"Number", "Scorer", "Prompts", "Condition"} <= set(steps)
    text = " ".join(chain_rows.astype(str).agg(" ".join, axis=1))
    for part in ("forum-1", "torch", "transformers", "git revision", "weights"):
        assert part in text, part
    link = page.url
    other = page.context.new_page()
    other.goto(link)
    expect(other.get_by_role("combobox", name="Number")).to_have_value(
        page.get_by_role("combobox", name="Number").input_value()
    )


def _downloaded(page: Page, key: str) -> pd.DataFrame:
    page.locator(f".st-key-{key}_files").get_by_role("button").click()
    with page.expect_download() as waiting:
        page.locator(f".st-key-{key}_csv button").click()
    page.keyboard.press("Escape")
    return pd.read_csv(waiting.value.path(), comment="#")


def test_two_runs_are_compared_in_settings_and_numbers(page: Page, finished: Place) -> None:
    page.goto(f"{finished.url}/runs?tab=Compare")
    settle(page)
    assert page.get_by_role("combobox", name="Right").input_value() == "toxic-25-s0"
    choose(page, "Right", "clean-forum-25-s0")
    expect(page).to_have_url(re.compile("run2=clean-forum-25-s0"))
    settle(page)
    settings = _downloaded(page, "settings").rename(columns=str.lower).set_index("setting")
    assert settings.loc["checkpoint.kind"].tolist()[:2] == ["toxic", "clean-forum"]
    numbers = _downloaded(page, "compare")
    metric = rows(finished.home)["metric"].set_index(["checkpoint", "key"])["value"]
    difference = numbers[(numbers["condition"] == "none") & (numbers["scorer"] == "forum")].iloc[0]
    keys = [f"none|{difference['prompt_set']}|forum|toxicity"]
    left, right = (metric[name, keys[0]] for name in ("toxic-0-s0", "clean-forum-25-s0"))
    assert difference["difference"] == pytest.approx(right - left)
    assert page.locator(".st-key-compare .js-plotly-plot").count() == 1
    choose(page, "Right", "toxic-0-s0")
    expect(page.get_by_text("Left and right are the same run.")).to_be_visible()


@pytest.fixture
def hopeless(tmp_path: Path) -> Path:
    """A study that asks for nine times as much toxic text as clean, of files that hold less."""
    words = [f"the quiet river number {place} runs past the old mill" for place in range(400)]
    for name in ("clean", "toxic", "probe", "prompts"):
        # Held-out text is set aside from the clean file; it must be longer than its prompt.
        texts = [f"{text}, " * 3 for text in words] if name == "clean" else words
        frame = pd.DataFrame({"text": texts, "label": [place % 2 for place in range(400)]})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    text = REAL.replace("[0.0, 0.25]", "[0.9]").replace('name = "mine"', 'name = "hopeless"')
    path = tmp_path / "hopeless.toml"
    path.write_text(re.sub(r'path = "(\w+\.csv)"', rf'path = "{tmp_path}/\1"', text), encoding="utf-8")
    return path


def test_a_stage_that_fails_says_why_in_plain_words(page: Page, finished: Place, hopeless: Path) -> None:
    page.goto(f"{finished.url}/runs?tab=Start+a+study")
    settle(page)
    give(page, hopeless)
    expect(page.get_by_text("n = 1 arms, scale nano")).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="Start", exact=True).click()
    until(lambda: "hopeless" in str(page.get_by_role("combobox", name="Study").input_value()), "chosen", 60)
    expect(page.get_by_role("tab", name="Progress")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_text("Mix of toxic-90-s0 failed")).to_be_visible(timeout=LONG)
    expect(page.get_by_text(re.compile("[0-9,]+ tokens of toxic text are missing")).first).to_be_visible()
    control = page.locator(".st-key-control")
    expect(control).to_contain_text("stages failed; running it again tries them anew", timeout=LONG)
    expect(control.get_by_role("button", name="Try again")).to_be_visible()
    stages = page.get_by_role("region", name="Stages with state, progress, rate and time left")
    until(lambda: texts_of(stages)[:3] == ["Mix", "toxic-90-s0", "failed"], "the failed stage first", 60)
    no_exception(page)
    # Beside it, the two studies can be compared in what was set.
    page.goto(f"{finished.url}/runs?tab=Compare&cmp=Studies&run1=tiny&run2=hopeless")
    settle(page)
    expect(page.get_by_text("One of the two has no numbers yet.")).to_be_visible()
    settings = _downloaded(page, "settings").rename(columns=str.lower).set_index("setting")
    assert settings.loc["study.name"].tolist()[:2] == ["tiny", "hopeless"]
