"""The dashboard's own mathematics and words: frontier, verdicts, colours, progress, events."""

from __future__ import annotations

import math
import socket
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.colours import CONTROL, arm_colour, share_colour
from dashboard.frontier import non_dominated
from dashboard.launch import LaunchError, free_port
from dashboard.live.client import Event, Pane, Request, parse_events
from dashboard.live.run import PaneState, apply
from dashboard.progress import summarise, with_rates
from dashboard.rows import pool_controls
from dashboard.terms import TERMS
from dashboard.verdicts import NO_DATA, REFUTED, SUPPORTED, UNDECIDED, difference, verdicts
from dashboard.wording import arm_label, condition_label, duration, head_name, interval, parse_head

NOW = datetime(2026, 1, 1, tzinfo=UTC)
numbers = st.floats(0, 100, allow_nan=False).map(lambda value: round(value, 1))


@given(st.lists(st.tuples(numbers, numbers), max_size=25))
def test_the_frontier_is_what_nothing_beats(points: list[tuple[float, float]]) -> None:
    def beaten(point: tuple[float, float]) -> bool:
        return any(other[0] <= point[0] and other[1] <= point[1] and other != point for other in points)

    assert sorted(non_dominated(points)) == [i for i, point in enumerate(points) if not beaten(point)]


def row(kind: str, share: float, value: float, half: float = 1.0, **more: object) -> dict[str, object]:
    made: dict[str, object] = {
        "kind": kind,
        "share": share,
        "method": "none",
        "condition_key": "none",
        "strength": 0.0,
        "matched_cost": math.nan,
        "prompt_set": "p",
        "scorer": "s",
        "name": "toxicity",
        "value": value,
        "low": value - half,
        "high": value + half,
        "n_seeds": 2,
        "n": 100,
        "unit": "points",
        "interval": "",
    }
    return made | more


def at_cost(kind: str, share: float, value: float, method: str = "iti", **more: object) -> dict[str, object]:
    key = f"{method}/cost-0.06"
    made = {"method": method, "condition_key": key, "strength": 2.0, "matched_cost": 0.06}
    return row(kind, share, value, **(made | more))


def by_claim(rows: list[dict[str, object]]) -> dict[str, str]:
    table = pd.DataFrame(rows)
    found = verdicts(table, table.iloc[:0])
    names = ("dose", "fixed", "base", "tokens", "steering", "random")
    return {name: verdict.status for name, verdict in zip(names, found, strict=True)}


def test_verdicts_follow_the_rows() -> None:
    base = [row("toxic", 0.0, 20), row("toxic", 0.25, 40), row("clean-forum", 0.25, 21)]
    steered = [
        at_cost("toxic", 0.0, 15),
        at_cost("toxic", 0.25, 25),
        at_cost("toxic", 0.25, 39, "random-direction"),
    ]
    found = by_claim(base + steered)
    assert found == {
        "dose": REFUTED,
        "fixed": NO_DATA,
        "base": SUPPORTED,
        "tokens": SUPPORTED,
        "steering": SUPPORTED,
        "random": SUPPORTED,
    }
    better = [*base, at_cost("toxic", 0.0, 15), at_cost("toxic", 0.25, 8)]
    assert by_claim(better)["dose"] == SUPPORTED


def test_one_seed_or_no_interval_decides_nothing() -> None:
    one = [row("toxic", 0.0, 20, n_seeds=1), row("toxic", 0.25, 40, n_seeds=1)]
    assert by_claim(one)["base"] == UNDECIDED
    bare = [row("toxic", 0.0, 20, low=math.nan, high=math.nan), row("toxic", 0.25, 40)]
    assert by_claim(bare)["base"] == UNDECIDED


def test_half_finished_rows_are_no_data_not_an_error() -> None:
    assert set(by_claim([row("toxic", 0.1, 20)]).values()) == {NO_DATA}
    assert set(by_claim([at_cost("clean-forum", 0.25, 20)]).values()) == {NO_DATA}


@given(numbers, numbers, st.floats(0.1, 10), st.integers(1, 6))
def test_a_difference_is_antisymmetric_and_widens_with_comparisons(
    a: float, b: float, half: float, k: int
) -> None:
    first, second = pd.Series(row("toxic", 0, a, half)), pd.Series(row("toxic", 0, b, half))
    one, other = difference(first, second), difference(second, first)
    wide = difference(first, second, comparisons=k)
    assert one is not None and other is not None and wide is not None
    assert one.value == pytest.approx(-other.value) and one.low == pytest.approx(-other.high)
    assert wide.high - wide.low >= one.high - one.low - 1e-9
    assert one.high - one.value == pytest.approx(half * math.sqrt(2), rel=1e-6)


def test_random_controls_are_pooled_with_their_spread() -> None:
    controls = [
        at_cost("toxic", 0.1, value, "random-direction", condition_key=f"random-{i}/cost-0.06")
        for i, value in enumerate((10.0, 20.0, 30.0))
    ]
    table = pd.DataFrame([row("toxic", 0.1, 22), *controls])
    pooled = pool_controls(table)
    assert len(pooled) == 2
    last = pooled.iloc[-1]
    assert last["value"] == pytest.approx(20) and last["condition_key"] == "random/cost-0.06"
    assert last["high"] - last["value"] == pytest.approx(math.sqrt((100 * 1.96**2 + 1) / 3))


@given(st.floats(0, 1))
def test_a_share_has_one_colour_and_the_control_has_none_of_them(share: float) -> None:
    assert share_colour(share) == share_colour(share) == arm_colour("toxic", share)
    assert arm_colour("clean-forum", share) == CONTROL != share_colour(share)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.10, 0.15, 0.20, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("ground", ["#FFFFFF", "#11161B"])
def test_share_colours_stand_out_on_light_and_dark(share: float, ground: str) -> None:
    light, dark = sorted((luminance(share_colour(share)), luminance(ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 2.8


def stage(
    status: str, done: float, total: float, beat: datetime | None, seconds: float = 10
) -> dict[str, object]:
    return {"status": status, "done": done, "total": total, "seconds": seconds, "heartbeat": beat}


def test_progress_counts_rates_and_silence() -> None:
    table = pd.DataFrame(
        [stage("done", 5, 5, NOW), stage("running", 25, 100, NOW), stage("waiting", 0, 0, None)]
    )
    found = summarise(table, NOW + timedelta(seconds=5))
    assert (found.stages, found.done, found.running, found.active) == (3, 1, 1, True)
    assert found.fraction == pytest.approx((1 + 0.25 + 0) / 3)
    rates = with_rates(table)
    assert rates["rate"].iloc[1] == pytest.approx(2.5) and rates["left"].iloc[1] == pytest.approx(30)
    assert summarise(table, NOW + timedelta(minutes=5)).silent
    assert not summarise(pd.DataFrame(columns=table.columns), NOW).finished


def test_events_are_parsed_and_the_malformed_passed_over() -> None:
    lines = [
        ": hello",
        "event: token",
        'data: {"pane": 0,',
        'data: "text": "a"}',
        "",
        "event: end",
        "data: {}",
        "",
    ]
    lines += ["event: token", "data: not json", "", "data: [1]", ""]
    assert list(parse_events(lines)) == [Event("token", {"pane": 0, "text": "a"}), Event("end", {})]


def test_panes_take_tokens_and_scores() -> None:
    pane = apply(PaneState(), Event("token", {"text": "a", "projection": 1.5}))
    pane = apply(pane, Event("token", {"text": "b", "projection": None}))
    assert pane.tokens == (("a", 1.5), ("b", None)) and pane.worst is None
    done = apply(pane, Event("done", {"text": "ab", "scores": {"x": 0.2, "y": 0.7, "z": None}, "cost": None}))
    fluent = apply(pane, Event("done", {"text": "ab", "scores": {"x": 0.1, "x-fluency": 0.9}}))
    assert fluent.worst == 0.1 and fluent.fluency == {"x-fluency": 0.9}
    assert done.finished and done.worst == 0.7 and done.text == "ab"


def test_a_request_becomes_the_services_json() -> None:
    body = Request((Pane(3, "iti", 2.0),), "hello", seed=4).as_json()
    assert body["panes"][0]["checkpoint_id"] == 3 and body["seed"] == 4
    assert set(body) == {"panes", "prompt", "new_tokens", "temperature", "top_p", "seed"}


def test_words() -> None:
    assert arm_label("toxic", 0.05) == "5 % toxic"
    assert arm_label("clean-forum", 0.25, 1) == "control, 25 % clean forum, seed 1"
    assert condition_label("iti", 2.5, 0.06) == "ITI at +0.06 nats"
    assert condition_label("iti", 2.0, math.nan) == "ITI, strength 2"
    assert interval(1.0, None, 2.0) == "1 (no interval)"
    assert duration(3905) == "1 h 05 min" and duration(None) == "–"
    assert parse_head("nonsense") is None
    assert len({term.name for term in TERMS}) == len(TERMS) > 25


@given(st.integers(0, 99), st.integers(0, 99))
def test_head_names_are_read_back(layer: int, head: int) -> None:
    assert parse_head(head_name(layer, head)) == (layer, head)


def test_a_port_in_use_gives_the_next_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < free_port("127.0.0.1", port) <= port + 20
    with pytest.raises(LaunchError, match="outside"):
        free_port("127.0.0.1", 99_999)
    with pytest.raises(LaunchError, match="not an address"):
        free_port("203.0.113.9", 0)
