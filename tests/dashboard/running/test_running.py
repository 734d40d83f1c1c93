"""Runs from the dashboard: where that is allowed, whose process it is, how a study stands, comparisons."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from hormesis.dashboard.access.audience import Audience
from hormesis.dashboard.app_pages.runs.compare import (
    expected_by_chance,
    flatten,
    number_difference,
    settings_difference,
)
from hormesis.dashboard.app_pages.runs.state import standing
from hormesis.dashboard.app_pages.runs.tables import in_order
from hormesis.dashboard.running import process
from hormesis.dashboard.running.permission import Home, Refusal, control
from hormesis.db.contract.hosts import is_loopback
from hormesis.db.gates.intervals import interval_of_difference
from hormesis.db.origin import Origin, origin_of, remember
from hormesis.db.processes import is_running
from hormesis.db.run_lock import holder_of, lock_path
from hormesis.pipeline.execution.lock import AlreadyRunning, study_lock
from hormesis.pipeline.study.config import PRESETS, load_study, origin
from tests.fixtures.tiny_study import STUDY, write_study

HASH = "a" * 16
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOLD = """
import signal, sys, time
from pathlib import Path
from hormesis.pipeline.execution.lock import study_lock
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may have been told to ignore it
with study_lock(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(600)
"""


def until(true: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for a condition, never for a time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := true():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come true")


@contextmanager
def holding(home: Path, study_hash: str = HASH) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a study's lock."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home), study_hash], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.8.0.1", True), ("0.0.0.0", False),
     ("10.0.0.5", False), ("lab.example", False), ("", False)],
)  # fmt: skip
def test_only_a_loopback_dashboard_may_start_runs(own_home: Path, address: str, allowed: bool) -> None:
    assert is_loopback(address) is allowed
    url = f"sqlite:///{own_home / 'hormesis.sqlite'}"
    for audience in (Audience(address, ("lab.example",)), Audience(address, base_path="/hormesis")):
        assert isinstance(control(url, audience), Refusal), "a proxy brings others here"
    permission = control(url, Audience(address))
    assert isinstance(permission, Home) is allowed
    if isinstance(permission, Refusal):
        assert "where others could reach it" in permission.reason


def test_only_a_database_inside_a_home_may_be_written(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = control(f"sqlite:///{own_home / 'hormesis.sqlite'}", Audience("127.0.0.1"))
    assert inside == Home(own_home, f"sqlite:///{own_home / 'hormesis.sqlite'}")
    for url, part in (
        (f"sqlite:///{tmp_path / 'copy.sqlite'}", "outside the home"),
        ("postgresql://host/study", "the database is not a local file"),
        ("sqlite://", "in memory"),
        ("no url", "not a database URL"),
    ):
        permission = control(url, Audience("127.0.0.1"))
        assert isinstance(permission, Refusal) and part in permission.reason, url
    monkeypatch.delenv("HORMESIS_HOME")
    usual = control(f"sqlite:///{tmp_path / 'elsewhere' / 'hormesis.sqlite'}", Audience("127.0.0.1"))
    assert isinstance(usual, Home) and usual.folder == tmp_path / "elsewhere"


def test_a_holder_is_the_process_that_has_the_lock_open(tmp_path: Path) -> None:
    assert holder_of(tmp_path, HASH) is None
    with holding(tmp_path) as child:
        holder = holder_of(tmp_path, HASH)
        assert holder is not None and holder.pid == child.pid
        with pytest.raises(AlreadyRunning, match=f"process {child.pid};"), study_lock(tmp_path, HASH):
            pass
    until(lambda: holder_of(tmp_path, HASH) is None)  # the note names a process that is gone
    lock_path(tmp_path, HASH).write_text(f"{os.getpid()} {platform.node()}")
    assert holder_of(tmp_path, HASH) is None, "this process has the id, but not the lock"
    lock_path(tmp_path, HASH).write_text(f"{os.getpid()} another-machine")
    assert holder_of(tmp_path, HASH) is None
    for broken in ("", "no number", "-5 x", "99999999999999 vm"):
        lock_path(tmp_path, HASH).write_text(broken)
        assert holder_of(tmp_path, HASH) is None


def test_looking_at_a_holder_never_turns_a_run_away(tmp_path: Path) -> None:
    for _ in range(50):
        holder_of(tmp_path, HASH)
        with study_lock(tmp_path, HASH):
            holder = holder_of(tmp_path, HASH)
            assert holder is not None and holder.pid == os.getpid()


def test_a_process_is_told_from_a_later_one_of_its_id() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        assert is_running(child.pid, time.time())
        assert not is_running(child.pid, time.time() - 3600), "it began after that moment"
    finally:
        child.kill()
    until(lambda: not is_running(child.pid, time.time()), 30)
    child.wait()


def test_stop_interrupts_the_holder_and_nobody_else(tmp_path: Path) -> None:
    home = Home(tmp_path, f"sqlite:///{tmp_path / 'hormesis.sqlite'}")
    with pytest.raises(process.RunProblem, match="no process on this machine"):
        process.stop(home, HASH)
    with holding(tmp_path) as child, holding(tmp_path, "b" * 16) as other:
        process.stop(home, HASH)
        assert child.wait(timeout=60) in (1, -signal.SIGINT)
        assert other.poll() is None
    assert not process.is_stopping(home, HASH)


def stage(status: str, name: str = "train", **more: object) -> dict[str, object]:
    row: dict[str, object] = {
        "stage": name, "subject": "toxic-0-s0", "status": status, "done": 1.0, "total": 4.0, "seconds": 2.0,
        "unit": "tokens", "heartbeat": NOW, "started": NOW - timedelta(seconds=5), "host": platform.node(),
        "pid": 2**22 + 5, "error": None,
    }  # fmt: skip
    return row | more


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([stage("done"), stage("running")], "gone"),
        ([stage("done"), stage("running", host="far")], "elsewhere"),
        ([stage("running", host="far", heartbeat=NOW - timedelta(minutes=5))], "silent"),
        ([stage("done"), stage("failed")], "failed"),
        ([stage("done"), stage("done")], "finished"),
        ([stage("done"), stage("stopped")], "stopped"),
        ([stage("done"), stage("waiting")], "stopped"),
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
def test_how_a_study_stands(tmp_path: Path, rows: list[dict[str, object]], kind: str, is_known: bool) -> None:
    home = Home(tmp_path, "") if is_known else None
    state = standing(pd.DataFrame(rows), HASH, home, now=NOW)
    assert state.kind == kind and state.sentence.endswith(".")
    assert state.can_resume == (kind in ("gone", "silent", "failed", "stopped"))
    if kind == "gone":
        assert "its process is gone" in state.sentence and "training of toxic-0-s0" in state.sentence


def test_a_held_study_runs_whatever_its_rows_say(tmp_path: Path) -> None:
    with holding(tmp_path) as child:
        state = standing(pd.DataFrame([stage("failed")]), HASH, Home(tmp_path, ""), now=NOW)
        assert state.kind == "running" and state.pid == child.pid and not state.can_resume


def test_what_needs_a_look_stands_first() -> None:
    places = ["train b waiting", "score a done", "train a running", "probe a failed", "text study done"]
    table = pd.DataFrame([place.split() for place in places], columns=["stage", "subject", "status"])
    order = [f"{row.stage} {row.subject}" for row in in_order(table).itertuples()]
    assert order == ["probe a", "train a", "text study", "train b", "score a"]


def test_origins_are_kept_and_damaged_ones_are_unknown(tmp_path: Path) -> None:
    assert origin_of(tmp_path, HASH) is None
    remember(tmp_path, HASH, Origin("forum", "data"))
    remember(tmp_path, HASH, Origin("study.toml"))
    assert origin_of(tmp_path, HASH) == Origin("study.toml", None)
    for broken in ("", "[]", '{"study"', "null"):
        (tmp_path / "studies" / f"{HASH}.json").write_text(broken)
        assert origin_of(tmp_path, HASH) is None
    assert origin("forum").study == "forum"
    assert origin("some/study.toml", Path("data")) == Origin(
        str(Path("some/study.toml").absolute()), str(Path("data").absolute())
    )


def test_the_presets_offered_exist() -> None:
    assert {path.stem for path in PRESETS.glob("*.toml")} >= set(process.PRESETS)


def test_a_study_given_to_the_page_is_kept_once_and_planned(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", f"sqlite:///{tmp_path / 'home' / 'hormesis.sqlite'}")
    path = process.keep_study(home, STUDY)
    assert process.keep_study(home, STUDY) == path and Path(path).name.startswith("tiny-")
    planned = process.plan(home, path)
    assert planned["hash"] == load_study(path).hash and len(planned["arms"]) == 3
    assert not (tmp_path / "home" / "hormesis.sqlite").exists(), "a plan writes nothing"
    for text, part in (
        (STUDY.replace("clean_tokens", "cleen_tokens"), "unknown key 'cleen_tokens'"),
        ("name = ", "is not valid TOML"),
        (STUDY + '\n[[sources]]\nrole = "clean"\nkind = "file"\npath = "absent.txt"\n', "no source plays"),
    ):
        with pytest.raises(process.RunProblem, match=part) as raised:
            process.plan(home, process.keep_study(home, text))
        assert "\n" not in str(raised.value)
    with pytest.raises(process.RunProblem, match="empty"):
        process.keep_study(home, " \n")
    with pytest.raises(process.RunProblem, match="not a study file"):
        process.keep_study(home, "x" * 300_000)


def test_a_resumed_study_must_still_be_the_same(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", f"sqlite:///{tmp_path / 'home' / 'hormesis.sqlite'}")
    with pytest.raises(process.RunProblem, match="not known"):
        process.resume(home, HASH)
    study = write_study(tmp_path)
    remember(home.folder, HASH, Origin(str(study)))
    with pytest.raises(process.RunProblem, match=r"tiny\.toml now describes another study"):
        process.resume(home, HASH)
    study.unlink()
    with pytest.raises(process.RunProblem, match="no study file"):
        process.resume(home, HASH)


def test_a_run_that_fails_at_once_says_why(tmp_path: Path) -> None:
    home = Home(tmp_path, f"sqlite:///{tmp_path / 'hormesis.sqlite'}")
    started = process.start(home, "no-such-preset", HASH)
    assert until(lambda: started.code is not None)
    message = process.ended_badly(home, HASH)
    assert message is not None and "no study file 'no-such-preset'" in message and "exit code 2" in message
    assert process.killed_by(home, HASH) is None


def test_a_killed_run_is_said_to_be_gone(tmp_path: Path) -> None:
    home = Home(tmp_path, f"sqlite:///{tmp_path / 'hormesis.sqlite'}")
    started = process.start(home, str(write_study(tmp_path)), HASH)
    assert standing(pd.DataFrame(), HASH, home, now=NOW).kind == "starting"
    with pytest.raises(process.RunProblem, match="running already"):
        process.start(home, "forum", HASH)
    os.kill(started.process.pid, signal.SIGKILL)
    assert until(lambda: started.code is not None) or started.code == -signal.SIGKILL
    assert process.killed_by(home, HASH) == "SIGKILL" and process.ended_badly(home, HASH) is None
    assert "SIGKILL" in standing(pd.DataFrame([stage("waiting")]), HASH, home, now=NOW).sentence


def test_the_interval_of_a_difference_is_newcombes_for_two_shares() -> None:
    def wilson(hits: int, n: int) -> tuple[float, float, float]:
        interval = binomtest(hits, n).proportion_ci(method="wilson")
        return hits / n, interval.low, interval.high

    value, low, high = interval_of_difference(wilson(48, 80), wilson(56, 70))
    # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10, example (a): 56/70 - 48/80.
    assert (round(value, 4), round(low, 4), round(high, 4)) == (0.2, 0.0524, 0.3339)


sides = st.tuples(st.floats(-50, 50), st.floats(0, 20), st.floats(0, 20)).map(
    lambda parts: (parts[0], parts[0] - parts[1], parts[0] + parts[2])
)


@given(sides, sides)
def test_intervals_of_differences_hold_the_difference_and_mirror(
    left: tuple[float, float, float], right: tuple[float, float, float]
) -> None:
    value, low, high = interval_of_difference(left, right)
    assert low <= value <= high
    back = interval_of_difference(right, left)
    assert back == pytest.approx((-value, -high, -low))
    unknown = interval_of_difference((left[0], float("nan"), float("nan")), right)
    assert unknown[0] == pytest.approx(value) and pd.isna(unknown[1]) and pd.isna(unknown[2])


def test_settings_of_two_runs_side_by_side() -> None:
    left = {"a": 1, "b": {"c": [1, 2], "d": None}, "sources": [{"role": "clean"}]}
    right = {"a": 1, "b": {"c": [1, 3]}, "sources": [{"role": "clean"}, {"role": "toxic"}]}
    table = settings_difference(left, right)
    assert table[["setting", "left", "right"]].to_numpy().tolist() == [
        ["b.c", "1, 2", "1, 3"],
        ["b.d", "", "not set"],
        ["sources.1.role", "not set", "toxic"],
    ]
    assert settings_difference(left, left).empty
    assert len(settings_difference(left, right, with_same=True)) == 5
    assert flatten({}) == {}


def numbers(*values: tuple[str, float, float | None]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "name": name, "condition": "none", "prompt_set": "p", "scorer": None, "unit": "", "n": 9,
                "value": value, "low": None if half is None else value - half,
                "high": None if half is None else value + half,
            }
            for name, value, half in values
        ]
    )  # fmt: skip


def test_numbers_of_two_runs_are_compared_where_both_have_them() -> None:
    left = numbers(("toxicity", 10, 1), ("cost", 0.1, None), ("only_left", 1, 1))
    right = numbers(("cost", 0.3, None), ("toxicity", 13, 1), ("only_right", 1, 1))
    table = number_difference(left, right).set_index("name")
    assert sorted(table.index) == ["cost", "toxicity"]
    assert table.loc["toxicity", "difference"] == 3 and bool(table.loc["toxicity", "apart"])
    assert table.loc["toxicity", "low"] == pytest.approx(3 - 2**0.5)
    assert pd.isna(table.loc["cost", "apart"]) and table.loc["cost", "difference"] == pytest.approx(0.2)
    assert expected_by_chance(table) == (1, 1, 0.05)
