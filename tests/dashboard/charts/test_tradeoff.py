"""The trade-off chart: an arm's legend entry and its curves belong together, whatever the arm is."""

from __future__ import annotations

import pandas as pd
import pytest

from hormesis.dashboard.base.records import records
from hormesis.dashboard.charts.nulls import null_note, null_points, null_table
from hormesis.dashboard.charts.tradeoff import (
    arm_frontier,
    condition_id,
    fewer_prompts,
    ring,
    style_of,
    tradeoff,
)
from hormesis.db.contract.methods import NULL_STEMS, NULL_TITLES


def points(kind: str, share: float | None) -> list[dict[str, object]]:
    """An unsteered and a steered point of one arm, as the trade-offs page gives them."""
    row = {"kind": kind, "share": share, "matched_cost": None, "unit": "fraction", "n": 9, "n_seeds": 1}
    row |= {"interval": "bootstrap", "cost_low": 0.0, "cost_high": 0.2, "low": 0.1, "high": 0.4}
    unsteered = {"method": "none", "condition_key": "none", "strength": 0.0, "value": 0.3, "cost": 0.0}
    steered = {"method": "iti", "condition_key": "iti/mass_mean/fixed-1", "strength": 1.0, "value": 0.2}
    return [row | unsteered, row | steered | {"cost": 0.1}]


def test_a_legend_entry_hides_its_arms_curves() -> None:
    """An imported checkpoint has no share, a clean arm has 0: their entries are told apart."""
    rows = pd.DataFrame(points("toxic", 0.0) + points("imported:mine", None))
    figure = tradeoff(rows, "Toxicity", dark=False, chosen=None)
    entries = {trace.legendgroup: trace.name for trace in figure.data if trace.showlegend is None}
    curves = {trace.legendgroup for trace in figure.data if trace.showlegend is False and trace.legendgroup}
    assert curves == entries.keys() - {None} and len(curves) == 2


def test_the_measured_share_stands_beside_an_arms_name() -> None:
    rows = pd.DataFrame([*points("toxic", 0.1), *points("toxic", 0.25)]).assign(
        measured_share=[0.097, 0.097, None, None]
    )
    figure = tradeoff(rows, "Toxicity", dark=False, chosen=None)
    names = [trace.name for trace in figure.data if trace.mode == "lines"]
    assert names == ["10 % toxic (measured 9.7 %)", "25 % toxic"]
    hovers = [text for trace in figure.data for text in trace.hovertext or ()]
    assert len([text for text in hovers if text.startswith("<b>10 % toxic (measured 9.7 %)</b>")]) == 2


def test_the_gates_of_a_condition_are_told_where_it_is_pointed_at() -> None:
    rows = pd.DataFrame(points("toxic", 0.1)).assign(gates=["", "fails: cost"])
    traces = tradeoff(rows, "Toxicity", dark=False, chosen=None).data
    hovers = [text for trace in traces for text in trace.hovertext or ()]
    assert [text.endswith("<br>gates: fails: cost") for text in hovers] == [False, True]


def test_the_ring_lies_round_the_point_on_show() -> None:
    rows = pd.DataFrame(points("toxic", 0.25))
    steered = records(rows)[1]
    (trace,) = ring(rows, condition_id(steered), dark=False)
    assert (trace.x[0], trace.y[0]) == (0.1, 0.2)
    assert ring(rows, "no such condition", dark=False) == [] == ring(rows, None, dark=False)


def test_arms_of_another_study_are_dotted_and_lead_to_no_texts() -> None:
    usual, other = pd.DataFrame(points("toxic", 0.25)), pd.DataFrame(points("toxic", 0.25))
    rows = pd.concat([usual.assign(study=""), other.assign(study="earlier")])
    figure = tradeoff(rows, "Toxicity", dark=False, chosen=None)
    curves = {trace.name: trace for trace in figure.data if trace.customdata is not None}
    assert set(curves) == {"25 % toxic, ITI", "earlier: 25 % toxic, ITI"}
    dotted = curves["earlier: 25 % toxic, ITI"]
    assert dotted.line.dash == "dot" and set(dotted.customdata) == {None}
    assert curves["25 % toxic, ITI"].line.dash == "solid"


def test_the_frontier_of_an_arm_with_several_methods_leaves_out_what_is_beaten() -> None:
    base = points("toxic", 0.25)
    prompt = base[1] | {"method": "prompt", "condition_key": "prompt", "value": 0.25, "cost": 0.15}
    (line,) = arm_frontier(pd.DataFrame([*base, prompt]), style_of("toxic", 0.25))
    assert list(line.x) == [0.0, 0.1] and list(line.y) == [0.3, 0.2]
    assert arm_frontier(pd.DataFrame(base), style_of("toxic", 0.25)) == []
    assert arm_frontier(pd.DataFrame([*base, prompt]), style_of("clean-forum", 0.25)) == []


def test_kinds_of_null_directions_stand_apart_and_are_not_joined() -> None:
    base = points("toxic", 0.25)
    at_cost = base[1] | {"method": "random-direction", "matched_cost": 0.06}
    nulls = [at_cost | {"condition_key": f"{stem}/cost-0.06"} for stem in NULL_STEMS.values()]
    figure = tradeoff(pd.DataFrame([*base, *nulls]), "Toxicity", dark=False, chosen=None)
    curves = {trace.name: trace for trace in figure.data if trace.customdata is not None}
    names = NULL_TITLES.values()
    assert set(curves) == {f"25 % toxic, {name}" for name in ("ITI", *names)}
    of_nulls = [curves[f"25 % toxic, {name}"] for name in names]
    assert {trace.mode for trace in of_nulls} == {"markers"} and {len(trace.x) for trace in of_nulls} == {1}
    assert len({trace.marker.symbol for trace in of_nulls}) == len(NULL_TITLES)
    assert curves["25 % toxic, ITI"].mode == "lines+markers"


@pytest.mark.parametrize("count", [18, 19])
def test_null_directions_are_points_and_from_19_on_have_a_percentile(count: int) -> None:
    falls = [float(number) for number in range(count)]
    row = {"kind": "toxic", "share": 0.1, "null_kind": "permuted", "matched_cost": 0.06, "directions": count}
    row |= {"steered": 4.0, "mean": 9.0, "percentile": 18.0 if count > 18 else None, "rank": count - 3}
    row |= {"falls": {"points": falls}, "value": 1.2, "low": 1.1, "high": 1.3, "n": 64, "n_seeds": 2}
    effects = pd.DataFrame([row])
    nulls, percentile, iti = null_points(effects, dark=False).data
    assert list(nulls.x) == falls and list(iti.x) == [4.0] and set(nulls.y) == set(iti.y)
    assert bool(percentile.showlegend) == (count > 18)
    table = null_table(effects).iloc[0]
    assert table["95th percentile"] == ("18" if count > 18 else "–")
    assert table["Rank among nulls"] == f"{count - 3} of {count + 1}"
    assert ("have no 95th percentile" in null_note(effects)) == (count < 19) and "n = 64" in null_note(
        effects
    )


def test_null_directions_on_fewer_prompts_are_said() -> None:
    rows = pd.DataFrame({"method": ["none", "iti", "random-direction"], "n": [200, 200, 64]})
    assert fewer_prompts(rows).startswith("Null directions stand on 64 of the prompts")
    assert fewer_prompts(rows.assign(n=200)) == "" == fewer_prompts(rows[:2]) == fewer_prompts(rows[2:])
