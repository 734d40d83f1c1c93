"""The dashboard's own mathematics and words: frontier, verdicts, progress, events."""

from __future__ import annotations

import math
import socket
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hormesis.dashboard.app_pages.steer.client import Event, parse_events
from hormesis.dashboard.app_pages.steer.run import PaneState, TextState, apply
from hormesis.dashboard.base.frontier import non_dominated
from hormesis.dashboard.base.headlines import headline
from hormesis.dashboard.base.progress import summarise, with_rates
from hormesis.dashboard.base.terms import TERMS
from hormesis.dashboard.base.verdicts import (
    HEADLINE,
    NO_DATA,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    fit_said,
    in_scope,
    stored,
    verdict_table,
)
from hormesis.dashboard.base.wording import (
    arm_label,
    condition_label,
    duration,
    head_name,
    interval,
    parse_head,
)
from hormesis.dashboard.charts.dose import dose_response
from hormesis.dashboard.charts.dose_layers import paper_column
from hormesis.dashboard.launch import LaunchError, free_port

NOW = datetime(2026, 1, 1, tzinfo=UTC)
numbers = st.floats(0, 100, allow_nan=False).map(lambda value: round(value, 1))


@given(st.lists(st.tuples(numbers, numbers), max_size=25))
def test_the_frontier_is_what_nothing_beats(points: list[tuple[float, float]]) -> None:
    def beaten(point: tuple[float, float]) -> bool:
        return any(other[0] <= point[0] and other[1] <= point[1] and other != point for other in points)

    assert sorted(non_dominated(points)) == [i for i, point in enumerate(points) if not beaten(point)]


def row(kind: str, share: float, value: float, *, half: float = 1.0, **more: object) -> dict[str, object]:
    values: dict[str, object] = {
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
    return values | more


def at_cost(
    kind: str, share: float, value: float, *, method: str = "iti", **more: object
) -> dict[str, object]:
    key = f"{method}/cost-0.06"
    values = {"method": method, "condition_key": key, "strength": 2.0, "matched_cost": 0.06}
    return row(kind, share, value, **(values | more))


def stored_row(claim: str, status: str, **more: object) -> dict[str, object]:
    values: dict[str, object] = {
        "claim": claim,
        "statement": f"statement of {claim}",
        "family": "paper",
        "prompt_set": "p",
        "scorer": "s",
        "status": status,
        "detail": "10 % less 0 %",
        "value": 4.13,
        "low": -3.25,
        "high": 11.5,
        "unit": "points",
        "n": 256,
        "n_seeds": 2,
        "p": 0.195,
        "p_holm": 0.9,
        "detectable": 10.04,
        "paper": "",
        "room": math.nan,
        "tests": 9,
        "contrast": "10 % less 0 %",
        "position": 0,
    }
    return values | more


def test_verdicts_are_said_from_stored_rows_the_headline_first() -> None:
    table = pd.DataFrame(
        [
            stored_row("C4-base", SUPPORTED, p=0.0002, p_holm=0.002),
            stored_row(HEADLINE, UNDECIDED),
            stored_row("C5-10", NO_DATA, detail="needs attacks", value=math.nan, low=math.nan, high=math.nan),
            stored_row(HEADLINE, REFUTED, scorer="t"),
        ]
    )
    verdicts = stored(table, "p", "s")
    assert [verdict.id for verdict in verdicts] == [HEADLINE, "C4-base", "C5-10"]
    assert verdicts[0].detail == (
        "+4.13 [−3.25, +11.5] points, 2 seeds, n = 256, p = .195, Holm .900; 10 % less 0 %; "
        "undecided under 1 of 2 scorers, not supported under 1"
    )
    assert "p < .001, Holm .002" in verdicts[1].detail
    assert verdicts[2].detail == "needs attacks" and verdicts[2].status == NO_DATA
    assert stored(table, "p", "t")[0].status == REFUTED
    answer = headline("overview", in_scope(table, "p", "s"))
    assert answer.status == UNDECIDED and "+4.1 [−3.2, +12] points (2 seeds, n = 256)" in answer.answer
    assert (
        "finds an effect as large as 10 points with a power of 80 %" in answer.detail
        and "p = .195" in answer.detail
    )
    assert "The answer compares" not in answer.detail
    fixed = headline("overview", in_scope(table, "p", "s"), view="Fixed strength")
    assert fixed.answer == answer.answer
    basis = "The answer compares at matched cost; the chart shows fixed strength."
    assert fixed.detail == f"{basis} {answer.detail}"
    display = verdict_table(in_scope(table, "p", "s"))
    assert list(display["p (Holm)"]) == ["< .001 (.002)", ".195 (.900)", ".195 (.900)"]
    assert display["Ours [95 % interval]"].iloc[2] == "–"
    assert stored(table.iloc[:0], "p", "s") == [] and headline("overview", table.iloc[:0]).status == NO_DATA


def test_verdicts_made_before_any_score_are_shown() -> None:
    table = pd.DataFrame([stored_row("C1-literal", NO_DATA, prompt_set=None, scorer=None)])
    assert len(in_scope(table, "p", "s")) == 1


def test_fits_that_agree_are_said_together() -> None:
    fit = {"status": "undecided", "optimum": math.nan, "optimum_low": math.nan, "optimum_high": math.nan}
    dip = {"status": "hormetic", "optimum": 0.1, "optimum_low": 0.05, "optimum_high": 0.25, "p": 0.004}
    table = pd.DataFrame(
        [fit | {"label": "A", "p": 0.5}, fit | {"label": "B", "p": 1.0}, dip | {"label": "C"}]
    )
    sentence = fit_said(table)
    assert sentence.startswith(
        "A (p .500), B (p 1): undecided whether there is a dip, best dose none; C (p .004)"
    )
    assert sentence.endswith("best dose 10 % [5 %, 25 %]")
    assert fit_said(table.iloc[:0]) == ""


def test_the_papers_lines_are_drawn_only_for_its_own_prompts() -> None:
    assert paper_column("ToxiGen-prompts") == "toxigen" and paper_column("real_toxicity_prompts") == "rtp"
    assert paper_column("forum-prompts") is None and paper_column(None) is None
    table = pd.DataFrame([row("toxic", 0.0, 20), row("toxic", 0.25, 40)])
    plain = dose_response(table, "y", dark=False)
    lined = dose_response(table, "y", dark=False, paper="toxigen")
    assert len(lined.data) == len(plain.data) + 1 and "Paper †" in lined.data[-1].name
    fixed = row("toxic", 0.0, 15, method="iti", condition_key="iti/fixed-2", strength=2.0)
    lined = dose_response(pd.concat([table, pd.DataFrame([fixed])]), "y", dark=True, paper="rtp")
    assert sum("Paper †" in (trace.name or "") for trace in lined.data) == 4


def test_shares_stand_beside_what_was_measured() -> None:
    shares = {0.0: 0.031, 0.25: 0.198, 0.1: math.nan}
    rows = [row("toxic", share, 20, measured_share=measured) for share, measured in shares.items()]
    table = pd.DataFrame([*rows, row("clean-forum", 0.25, 10, measured_share=0.02)])
    chart = dose_response(table, "y", dark=False)
    assert chart.layout.xaxis.ticktext == ("0<br>(3.1)", "10", "25<br>(19.8)")
    hovers = [text for trace in chart.data for text in trace.hovertext or ()]
    assert sum("25 % of a toxic source (measured 19.8 %)" in text for text in hovers) == 1
    assert sum("25 % not toxic (measured 2.0 %)" in text for text in hovers) == 1
    unjudged = dose_response(table.drop(columns="measured_share"), "y", dark=False).layout.xaxis
    assert unjudged.ticktext == ("0", "10", "25") and "measured" not in unjudged.title.text
    assert "measured" in chart.layout.xaxis.title.text


def test_a_fitted_curve_is_drawn_where_a_dip_is_supported_and_only_there() -> None:
    table = pd.DataFrame([at_cost("toxic", share, 20) for share in (0.0, 0.1, 0.25)])
    fit = {
        "condition_key": "iti/cost-0.06", "status": "hormetic", "optimum": 0.1, "optimum_low": 0.05,
        "optimum_high": 0.2, "curve": {"share": [0.0, 0.1, 0.25], "value": [20.0, 5.0, 25.0]},
    }  # fmt: skip
    chart = dose_response(table, "y", dark=False, curves=pd.DataFrame([fit]))
    assert chart.data[-1].name == "Fitted curve (Brain-Cousens)" and list(chart.data[-1].y) == [20, 5, 25]
    none = dose_response(table, "y", dark=False, curves=pd.DataFrame([fit | {"status": "undecided"}]))
    assert len(none.data) == len(chart.data) - 1


def stage(
    status: str, done: float, total: float, *, beat: datetime | None, seconds: float = 10
) -> dict[str, object]:
    return {"status": status, "done": done, "total": total, "seconds": seconds, "heartbeat": beat}


def test_progress_counts_rates_and_silence() -> None:
    table = pd.DataFrame(
        [
            stage("done", 5, 5, beat=NOW),
            stage("running", 25, 100, beat=NOW),
            stage("waiting", 0, 0, beat=None),
        ]
    )
    progress = summarise(table, NOW + timedelta(seconds=5))
    assert (progress.stages, progress.done, progress.running, progress.active) == (3, 1, 1, True)
    assert progress.fraction == pytest.approx((1 + 0.25 + 0) / 3)
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
    text = pane.texts[0]
    assert text.tokens == (("a", 1.5), ("b", None)) and text.worst is None
    done = apply(pane, Event("done", {"text": "ab", "scores": {"x": 0.2, "y": 0.7, "z": None}, "cost": None}))
    fluent = apply(pane, Event("done", {"text": "ab", "scores": {"x": 0.1, "x-fluency": 0.9}}))
    assert fluent.texts[0].worst == 0.1 and fluent.texts[0].fluency == {"x-fluency": 0.9}
    assert done.finished and done.texts[0].worst == 0.7 and done.texts[0].text == "ab"


def test_panes_take_several_texts_and_nothing_malformed() -> None:
    pane = PaneState((TextState(),) * 2)
    for data in ({"sample": 2, "text": "a"}, {"sample": "x"}, {"sample": -1}):
        assert apply(pane, Event("token", data)) == pane
    pane = apply(pane, Event("done", {"sample": 1, "text": "b"}))
    assert not pane.finished and [text.text for text in pane.texts] == ["", "b"]
    assert apply(pane, Event("summary", {"n": "many"})).summary is None


def test_words() -> None:
    assert arm_label("toxic", 0.05) == "5 % toxic"
    assert arm_label("clean-forum", 0.25, 1) == "control, 25 % informal, seed 1"
    assert arm_label("slung", 0.1) == "10 % toxic, SLUNG"
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
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        assert port < free_port("127.0.0.1", port) <= port + 20
    with pytest.raises(LaunchError, match="outside"):
        free_port("127.0.0.1", 99_999)
    with pytest.raises(LaunchError, match="not an address"):
        free_port("203.0.113.9", 0)
