"""Which gates each condition passes: its losses against the same models unsteered, beside a study's bounds.

Follows from summaries whenever rows are read, so that other bounds need nothing measured again.
"""

from __future__ import annotations

from collections import defaultdict

import pandas as pd

from hormesis.db.contract.gates import CANNOT_TELL, FAILS, GATES, NOT_MEASURED, PASSES, Bounds
from hormesis.db.contract.methods import NONE
from hormesis.db.gates.intervals import interval_of_difference

CONDITION = ["prompt_set", "kind", "share", "condition_key"]
"""What tells conditions of a study apart where texts were scored."""
LOSS = ["measure", "value", "low", "high", "unit", "n", "n_seeds", "interval"]
COLUMNS = [*CONDITION, "gate", "status", "bound", *LOSS]
SIGNS = {"fluency": -1, "repetition_4": 1, "empty": 1}
"""Metrics of which less (-1) or more (1) is worse."""
MEASURED = ("cost", *SIGNS)
ENDS = ["value", "low", "high"]
WORST = (FAILS, CANNOT_TELL, NOT_MEASURED, PASSES)


def gate_rows(summaries: pd.DataFrame, capability: pd.DataFrame, bounds: Bounds) -> pd.DataFrame:
    """A row per prompt set, condition, gate and measure; the columns are COLUMNS.

    `value`, `low`, `high`: the loss, positive where the condition is worse than the same models unsteered, in
    `unit`, with its 95 % interval; null, with the interval `not measured`, where a gate has no number.
    `status`: passes where the whole interval is within the bound, fails where it is beyond, else it cannot be
    told. `summaries`, `capability`: rows of those tables.
    """
    steered = summaries[summaries["method"] != NONE]
    conditions = steered.loc[steered["name"].isin(SIGNS), CONDITION].drop_duplicates()
    costs = steered[steered["name"] == "cost"]
    changes = _changes(summaries)
    judged = changes.loc[changes["name"] == "fluency", "prompt_set"]
    stands_in = (changes["name"] == "repetition_4") & ~changes["prompt_set"].isin(judged)
    losses = {
        "cost": costs.assign(measure="cost").drop(columns="prompt_set"),
        "fluency": changes[(changes["name"] == "fluency") | stands_in],
        "degeneration": changes[changes["name"] != "fluency"],
        "capability": _falls(capability),
    }
    parts = []
    for gate in GATES:
        of_gate = losses[gate]
        on = [name for name in CONDITION if name in of_gate]
        part = conditions.merge(of_gate[[*on, *LOSS]], on=on, how="left")
        parts.append(part.assign(gate=gate, bound=float(getattr(bounds, gate))))
    rows = pd.concat(parts, ignore_index=True)
    rows["interval"] = rows["interval"].where(rows["value"].notna(), NOT_MEASURED)
    status = pd.Series(CANNOT_TELL, index=rows.index, dtype="str")
    status = status.mask(rows["high"] <= rows["bound"], PASSES).mask(rows["low"] > rows["bound"], FAILS)
    types = dict.fromkeys(ENDS, "float64") | dict.fromkeys(("n", "n_seeds"), "Int64")
    rows = rows.assign(status=status).astype(types)
    return rows[COLUMNS]


def _changes(summaries: pd.DataFrame) -> pd.DataFrame:
    """Losses of the metrics in SIGNS, from the intervals of both means."""
    rows = summaries[summaries["name"].isin(SIGNS)].assign(scorer=lambda table: table["scorer"].fillna(""))
    on = ["prompt_set", "kind", "share", "scorer", "name"]
    unsteered = rows.loc[rows["method"] == NONE, [*on, *ENDS]]
    pairs = rows[rows["method"] != NONE].merge(unsteered, on=on, suffixes=("", "_before"))
    ends = pairs[[*ENDS, *(f"{end}_before" for end in ENDS)]].astype(float).to_numpy()
    differences = []
    for name, (value, low, high, *unsteered_ends) in zip(pairs["name"], ends, strict=True):
        after, before = (value, low, high), (unsteered_ends[0], unsteered_ends[1], unsteered_ends[2])
        left, right = (before, after) if SIGNS[name] > 0 else (after, before)
        differences.append(interval_of_difference(left, right))
    pairs[ENDS] = pd.DataFrame(differences, columns=ENDS, index=pairs.index, dtype="float64")
    interval = "difference of both intervals, taken as independent (MOVER); steered: " + pairs["interval"]
    return pairs.assign(measure=pairs["name"], interval=interval)


def _falls(capability: pd.DataFrame) -> pd.DataFrame:
    """Losses of accuracy on whole tasks, paired by item."""
    rows = capability[(capability["part"] == "") & (capability["unit"] == "fraction")]
    rows = rows[(rows["method"] != NONE) & rows["change"].notna()]
    rows = rows.rename(columns={"condition": "condition_key"})
    ends = {"value": -rows["change"], "low": -rows["change_high"], "high": -rows["change_low"]}
    return rows.assign(**ends, measure=rows["task"] + " " + rows["measure"])


def with_gates(rows: pd.DataFrame, gates: pd.DataFrame) -> pd.DataFrame:
    """`rows` (of conditions on prompt sets) with what `gates` says of each, in the same order.

    `gates`: in words, those that it fails or does not pass; it passes those that are not named.
    `gate_status`: `fails` where it fails one, `passes` where it passes all, else `cannot be told`. Both are
    empty for unsteered rows and those without texts.
    """
    statuses: dict[tuple[object, ...], dict[str, str]] = defaultdict(dict)
    columns = gates[[*CONDITION, "gate", "status", "interval"]].itertuples(index=False, name=None)
    for *key, gate, status, interval in columns:
        of_condition = statuses[tuple(key)]
        others = (of_condition.get(gate, PASSES), NOT_MEASURED if interval == NOT_MEASURED else status)
        of_condition[gate] = min(others, key=WORST.index)
    verdicts = {key: _verdict(of_condition) for key, of_condition in statuses.items()}
    keys = rows[CONDITION].itertuples(index=False, name=None)
    words = pd.DataFrame(
        [verdicts.get(key, ("", "")) for key in keys], columns=["gates", "gate_status"], index=rows.index,
        dtype="str",
    )  # fmt: skip
    return rows.assign(gates=words["gates"], gate_status=words["gate_status"])


def _verdict(statuses: dict[str, str]) -> tuple[str, str]:
    """Words on one condition, and its status; `statuses`: by gate."""
    listed = [
        f"{status}: {', '.join(gate for gate in GATES if statuses[gate] == status)}"
        for status in WORST[:-1]
        if status in statuses.values()
    ]
    worst = min(statuses.values(), key=WORST.index)
    return "; ".join(listed) or f"{PASSES} all", CANNOT_TELL if worst == NOT_MEASURED else worst
