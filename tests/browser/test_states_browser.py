"""What a page says when there is nothing, something broken or something half done; it recovers by itself."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.views import Complaints, no_exception
from tests.screenshots import served

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser-states")]

HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("PRAGMA locking_mode = EXCLUSIVE")
# Committed, so that the log beside the file is not empty: readers must join it, and are turned away.
held.execute("UPDATE study SET name = name || ' '")
held.execute("UPDATE study SET name = trim(name)")
print("held", flush=True)
sys.stdin.read()
"""
AGAIN = "This page looks again"


def put(source: Path, target: Path, change: str = "") -> None:
    """Place a copy, changed by a statement, in one move."""
    copy = target.with_name("copy")
    shutil.copy(source, copy)
    if change:
        with contextlib.closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute(change)
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    copy.replace(target)


def change(path: Path, statement: str, *values: object) -> None:
    """What a study that runs would write."""
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        connection.execute(statement, values)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process holds the database for itself."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline().strip() == "held"
        yield
        process.communicate("")


def says(pages: list[Page], title: str, words: str) -> None:
    """Every page shows the state: its title, one sentence, and that it looks again; no traceback."""
    for page in pages:
        box = page.locator("[data-testid=stAlert]", has_text=title)
        expect(box).to_contain_text(words)
        expect(box).to_contain_text(AGAIN)
        expect(page.locator("[data-testid=stException]")).to_have_count(0)


def shows_the_study(overview: Page, runs: Page) -> None:
    expect(overview.locator(".js-plotly-plot").first).to_be_visible()
    expect(runs.get_by_role("tab", name="Compare")).to_be_visible()
    for page in (overview, runs):
        expect(page.get_by_text(AGAIN)).to_have_count(0)
        no_exception(page)


@pytest.fixture
def context(page: Page) -> BrowserContext:
    return page.context


def test_every_trouble_with_the_database_is_said_and_passes(
    context: BrowserContext, tiny_database: Path, tmp_path: Path
) -> None:
    path = tmp_path / "study.sqlite"
    with served(f"sqlite:///{path}") as url:
        overview, runs = context.new_page(), context.new_page()
        complaints = [Complaints(page) for page in (overview, runs)]
        overview.goto(url)
        runs.goto(f"{url}/runs")
        pages = [overview, runs]
        says(pages, "No study yet", "study.sqlite")
        expect(overview.get_by_text("hormesis demo")).to_be_visible()

        path.write_text("Dear diary, this is not a database. " * 40)
        says(pages, "This is not a study database", "is not a SQLite database")
        put(tiny_database, path, "UPDATE alembic_version SET version_num = 'ffff'")
        says(pages, "This database is from a newer version", "study.sqlite")
        put(tiny_database, path)
        shows_the_study(overview, runs)

        with locked(path):
            says(pages, "The database is busy", "locked")
        shows_the_study(overview, runs)

        path.rename(tmp_path / "away.sqlite")
        says(pages, "No study yet", "study.sqlite")
        (tmp_path / "away.sqlite").rename(path)
        shows_the_study(overview, runs)
        assert not [line for complaint in complaints for line in complaint.messages]


def test_pages_that_need_no_study_stay_open(page: Page, tmp_path: Path) -> None:
    with served(f"sqlite:///{tmp_path / 'none.sqlite'}") as url:
        page.goto(f"{url}/definitions?term=Matched+cost")
        expect(page.get_by_role("heading", name="Matched cost")).to_be_visible()
        page.get_by_role("link", name="Toy experiment").click()
        expect(page.get_by_text("No toy run yet")).to_be_visible()
        for name in ("Trade-offs", "Geometry", "Robustness", "Steer live", "Data"):
            page.get_by_role("link", name=name).click()
            expect(page.get_by_role("link", name=name)).to_have_attribute("aria-current", "page")
            expect(page.locator("[data-testid=stAlert]", has_text="No study yet")).to_be_visible()
            no_exception(page)


def test_a_study_half_done_failed_or_silent_is_called_so_as_it_changes(
    context: BrowserContext, tiny_database: Path, tmp_path: Path
) -> None:
    path = tmp_path / "study.sqlite"
    put(tiny_database, path)
    set_stage = "UPDATE stage_run SET status = ?, heartbeat = ?, done = 40, host = 'elsewhere', error = ?"
    latest = " WHERE id = (SELECT max(id) FROM stage_run)"

    def stage(status: str, heard: datetime, error: str | None = None) -> None:
        change(path, set_stage + latest, status, heard.strftime("%Y-%m-%d %H:%M:%S.%f"), error)

    with served(f"sqlite:///{path}") as url:
        overview, runs = context.new_page(), context.new_page()
        overview.goto(url)
        runs.goto(f"{url}/runs")
        shows_the_study(overview, runs)
        badge = overview.locator(".st-key-study_status")
        expect(badge).to_contain_text("Finished")

        now = datetime.now(UTC)
        stage("running", now)
        for page in (overview, runs):
            expect(page.get_by_text("Running, 9").first).to_be_visible()
            expect(page.get_by_text("19 of 20 stages done, 1 running").first).to_be_visible()
        expect(runs.get_by_text("It runs on elsewhere; stop it there.")).to_be_visible()

        stage("running", now - timedelta(minutes=30))
        for page in (overview, runs):
            expect(page.get_by_text("No sign of life").first).to_be_visible()
        expect(overview.get_by_text("Start it again with the same command")).to_be_visible()
        expect(runs.get_by_text("19 of 20 stages done, 1 interrupted")).to_be_visible()

        stage("failed", now, "the disk is full: 3 MB are missing")
        expect(overview.get_by_text("1 failed").first).to_be_visible()
        expect(runs.get_by_text("1 of 20 stages failed")).to_be_visible()
        expect(runs.get_by_text("the disk is full: 3 MB are missing")).to_be_visible()

        stage("done", now)
        expect(badge).to_contain_text("Finished")
        expect(runs.get_by_text("All 20 stages are done.")).to_be_visible()


def test_what_is_not_there_yet_is_named_with_the_stage_that_brings_it(
    page: Page, tiny_database: Path, tmp_path: Path
) -> None:
    path = tmp_path / "study.sqlite"
    put(tiny_database, path)
    tables = ("arm", "checkpoint", "metric", "summary", "verdict", "dose_fit", "probe_set", "prompt_set")
    tables += ("projection", "head_summary", "attack", "attack_test", "attack_summary")
    for table in (*tables, "capability_score", "capability_summary"):
        change(path, f"DELETE FROM {table}")
    with served(f"sqlite:///{path}") as url:
        for name in ("", "tradeoffs", "geometry", "data", "runs?tab=Loss+curves", "runs?tab=Compare"):
            page.goto(f"{url}/{name}")
            expect(page.locator("[data-testid=stAlert]").first).to_be_visible()
            no_exception(page)
            assert page.locator(".js-plotly-plot").count() == 0, name
        page.goto(f"{url}/hardness")
        expect(page.get_by_text("This study asks for no attacks")).to_be_visible()
