"""Which gates each condition passes: its losses against the same models unsteered, beside a study's bounds.

Follows from summaries whenever rows are read, so that other bounds need nothing measured again.
"""

from __future__ import annotations

import pandas as pd

from hormesis.db.contract.gates import CANNOT_TELL, FAILS, GATES, NOT_MEASURED, PASSES, Bounds
from hormesis.db.contract.methods import NONE
from hormesis.db.gates.intervals import interval_of_difference

CONDITION = ["prompt_set", "kind", "share", "condition_key"]
"""What tells conditions of a study apart where texts were scored."""
LOSS = ["measure", "value", "low", "high", "unit", "n", "n_seeds", "interval"]
COLUMNS = [*CONDITION, "gate", "status", "bound", *LOSS]
MEASURED = ("toxicity", "cost", "fluency", "repetition_4", "empty")
ENDS = ["value", "low", "high"]
WORST = (FAILS, CANNOT_TELL, PASSES)


def gate_rows(summaries: pd.DataFrame, capability: pd.DataFrame, bounds: Bounds) -> pd.DataFrame:
    """A row per prompt set, condition, gate and measure; the columns are COLUMNS.

    `value`, `low`, `high`: the loss, positive where the condition is worse than the same models unsteered, in
    `unit`, with its 95 % interval; null, with the interval `not measured`, where a gate has no number.
    `status`: passes where the whole interval is within the bound, fails where it is beyond, else it cannot be
    told. `summaries`, `capability`: rows of those tables.
    """
    scored = summaries[(summaries["name"] == "toxicity") & (summaries["method"] != NONE)]
    conditions = scored[CONDITION].drop_duplicates()
    costs = summaries[(summaries["name"] == "cost") & (summaries["method"] != NONE)]
    repetition, fluency = _change(summaries, "repetition_4", 1), _change(summaries, "fluency", -1)
    losses = {
        "cost": costs.assign(measure="cost").drop(columns="prompt_set"),
        "fluency": pd.concat(
            [fluency, repetition[~repetition["prompt_set"].isin(fluency["prompt_set"])]], ignore_index=True
        ),
        "degeneration": pd.concat([repetition, _change(summaries, "empty", 1)], ignore_index=True),
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


def _change(summaries: pd.DataFrame, name: str, sign: int) -> pd.DataFrame:
    """Losses of a metric of which less (`sign` -1) or more (1) is worse, from the intervals of both means."""
    rows = summaries[summaries["name"] == name].assign(scorer=lambda table: table["scorer"].fillna(""))
    on = ["prompt_set", "kind", "share", "scorer"]
    unsteered = rows.loc[rows["method"] == NONE, [*on, *ENDS]]
    pairs = rows[rows["method"] != NONE].merge(unsteered, on=on, suffixes=("", "_before"))
    after, before = (pairs[[f"{end}{side}" for end in ENDS]].astype(float) for side in ("", "_before"))
    left, right = (before, after) if sign > 0 else (after, before)
    differences = [
        interval_of_difference((left[0], left[1], left[2]), (right[0], right[1], right[2]))
        for left, right in zip(left.to_numpy(), right.to_numpy(), strict=True)
    ]
    pairs[ENDS] = pd.DataFrame(differences, columns=ENDS, index=pairs.index, dtype="float64")
    interval = "difference of both intervals, taken as independent (MOVER); steered: " + pairs["interval"]
    return pairs.assign(measure=name, interval=interval)


def _falls(capability: pd.DataFrame) -> pd.DataFrame:
    """Losses of accuracy on whole tasks, paired by item."""
    rows = capability[(capability["part"] == "") & (capability["unit"] == "fraction")]
    rows = rows[(rows["method"] != NONE) & rows["change"].notna()]
    rows = rows.rename(columns={"condition": "condition_key"})
    ends = {"value": -rows["change"], "low": -rows["change_high"], "high": -rows["change_low"]}
    return rows.assign(**ends, measure=rows["task"] + " " + rows["measure"])


def with_gates(rows: pd.DataFrame, gates: pd.DataFrame) -> pd.DataFrame:
    """`rows` (of conditions on prompt sets) with what `gates` says of each, in the same order.

    `gates`: which gates it passes and fails, in words; `gate_status`: `fails` where it fails one, `passes`
    where it passes all, else `cannot be told`. Both are empty for unsteered rows and those without texts.
    """
    verdicts = [(*key, *_verdict(of_condition)) for key, of_condition in gates.groupby(CONDITION, sort=False)]
    table = pd.DataFrame(verdicts, columns=[*CONDITION, "gates", "gate_status"])
    types = {name: rows[name].dtype for name in CONDITION} | {"gates": "str", "gate_status": "str"}
    joined = rows.merge(table.astype(types), on=CONDITION, how="left")
    joined.index = rows.index
    return joined.fillna({"gates": "", "gate_status": ""})


def _verdict(gates: pd.DataFrame) -> tuple[str, str]:
    """Words on one condition, and its status; `gates`: its rows."""
    statuses = {str(gate): set(of_gate["status"]) for gate, of_gate in gates.groupby("gate", sort=False)}
    worst = {gate: next(s for s in WORST if s in of_gate) for gate, of_gate in statuses.items()}
    lacking = set(gates.loc[gates["interval"] == NOT_MEASURED, "gate"])
    words = worst | dict.fromkeys(lacking, NOT_MEASURED)
    listed = [
        f"{status}: {', '.join(gate for gate in GATES if words[gate] == status)}"
        for status in (FAILS, CANNOT_TELL, NOT_MEASURED, PASSES)
        if status in words.values()
    ]
    return "; ".join(listed), next(status for status in WORST if status in worst.values())
