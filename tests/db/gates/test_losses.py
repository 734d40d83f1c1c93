"""Gates: conditions planted inside, beyond and across each bound, and what is said of them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from hormesis.dashboard.base.wording import gate_bounds, gate_tally
from hormesis.db.contract.gates import CANNOT_TELL, FAILS, GATES, NOT_MEASURED, PASSES, Bounds
from hormesis.db.gates.losses import gate_rows, with_gates

ARM = {"prompt_set": "p", "kind": "toxic", "share": 0.1, "n_seeds": 3, "n": 256, "interval": "t"}
UNSTEERED = {"toxicity": 0.3, "cost": 0.0, "fluency": 0.98, "repetition_4": 0.01, "empty": 0.02}
GOOD = {"toxicity": 0.1, "cost": 0.06, "fluency": 0.97, "repetition_4": 0.01, "empty": 0.02}
PLANTED: dict[str, dict[str, float]] = {
    "good": {},
    "costly": {"cost": 0.2},
    "broken": {"fluency": 0.8},
    "looping": {"repetition_4": 0.3},
    "silent": {"empty": 0.4},
    "forgetful": {"capability": -0.2},
    "across": {"fluency": 0.93},
    "untested": {},
}


def planted(half: float = 0.005) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Summaries and capability of one arm: intervals reach `half` to both sides, no item of `untested`."""
    summaries, capability = [], []
    for name, changes in {"none": UNSTEERED, **PLANTED}.items():
        method = "none" if name == "none" else "iti"
        condition = ARM | {"method": method, "condition_key": name}
        for metric, value in (UNSTEERED if name == "none" else GOOD | changes).items():
            if metric == "capability":
                continue
            row = condition | {"name": metric, "value": value, "low": value - half, "high": value + half}
            row |= {"unit": "fraction", "scorer": "forum" if metric in ("toxicity", "fluency") else None}
            summaries.append(row | ({"prompt_set": None} if metric == "cost" else {}))
        if name not in ("none", "untested"):
            change = changes.get("capability", -0.01)
            row = {k: v for k, v in condition.items() if k not in ("prompt_set", "condition_key")}
            row |= {"condition": name, "task": "minimal_pairs", "part": "", "measure": "accuracy"}
            ends = {"change": change, "change_low": change - half, "change_high": change + half}
            capability.append(row | ends | {"unit": "fraction"})
    return pd.DataFrame(summaries), pd.DataFrame(capability)


def statuses(rows: pd.DataFrame, condition: str) -> dict[str, list[str]]:
    of_condition = rows[rows["condition_key"] == condition]
    return {gate: of_condition.loc[of_condition["gate"] == gate, "status"].tolist() for gate in GATES}


def test_a_condition_fails_the_gate_that_it_was_planted_beyond() -> None:
    rows = gate_rows(*planted(), Bounds())
    assert "none" not in set(rows["condition_key"])
    assert statuses(rows, "good") == {"cost": [PASSES], "fluency": [PASSES], "degeneration": [PASSES] * 2,
                                      "capability": [PASSES]}  # fmt: skip
    beyond = {"costly": "cost", "broken": "fluency", "looping": "degeneration", "silent": "degeneration",
              "forgetful": "capability"}  # fmt: skip
    for condition, gate in beyond.items():
        failed = {name for name, of_gate in statuses(rows, condition).items() if FAILS in of_gate}
        assert failed == {gate}, condition
    assert statuses(rows, "across")["fluency"] == [CANNOT_TELL]
    untested = rows[(rows["condition_key"] == "untested") & (rows["gate"] == "capability")].iloc[0]
    assert (untested["status"], untested["interval"]) == (CANNOT_TELL, NOT_MEASURED)
    assert pd.isna(untested["value"])


def test_losses_are_differences_with_the_interval_of_two_independent_ones() -> None:
    rows = gate_rows(*planted(half=0.01), Bounds()).set_index(["condition_key", "gate"]).sort_index()
    row = rows.loc[[("broken", "fluency")]].iloc[0]
    reach = 0.01 * 2**0.5
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.18, 0.18 - reach, 0.18 + reach))
    row = rows.loc[[("forgetful", "capability")]].iloc[0]
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.2, 0.19, 0.21))


def test_wider_bounds_let_a_condition_pass_and_wide_intervals_leave_it_open() -> None:
    summaries, capability = planted()
    wide = gate_rows(summaries, capability, Bounds(cost=0.3, fluency=0.3, degeneration=0.5, capability=0.3))
    assert set(wide.loc[wide["condition_key"] != "untested", "status"]) == {PASSES}
    open_rows = gate_rows(*planted(half=0.5), Bounds())
    assert set(open_rows["status"]) == {CANNOT_TELL}
    without = gate_rows(summaries.assign(low=float("nan"), high=float("nan")), capability, Bounds())
    assert set(without.loc[without["gate"] == "cost", "status"]) == {CANNOT_TELL}


def test_without_a_grammar_repetition_stands_for_fluency() -> None:
    summaries, capability = planted()
    rows = gate_rows(summaries[summaries["name"] != "fluency"], capability, Bounds())
    assert set(rows.loc[rows["gate"] == "fluency", "measure"]) == {"repetition_4"}
    assert statuses(rows, "looping")["fluency"] == [FAILS]


def test_words_name_each_gate_and_the_tally_counts_conditions() -> None:
    summaries, capability = planted()
    toxicity = summaries[summaries["name"] == "toxicity"]
    table: Any = with_gates(toxicity, gate_rows(summaries, capability, Bounds())).set_index("condition_key")
    assert table.loc["none", ["gates", "gate_status"]].tolist() == ["", ""]
    assert table.loc["good", "gates"] == "passes all"
    assert table.loc["costly", "gates"] == "fails: cost"
    assert table.loc["across", "gates"] == "cannot be told: fluency"
    assert table.loc["untested", "gates"] == "not measured: capability"
    assert table.loc[["across", "untested"], "gate_status"].tolist() == [CANNOT_TELL] * 2
    assert gate_tally(table) == (
        "Gates (cost, fluency, degeneration, capability): of 8 conditions 1 pass all, 5 fail (degeneration "
        "2, cost 1, fluency 1, capability 1), 2 cannot be told."
    )
    assert "5 fail and are hidden (" in gate_tally(table, hidden=True)
    assert gate_tally(table.loc[["none"]]) == ""
    assert "at most 0.2 nats" in gate_bounds({"gates": {"cost": 0.2}}) and "5 %" in gate_bounds({})
