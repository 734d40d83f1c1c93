"""Numbers of one checkpoint: costs and losses, scores, texts, capability, attacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hormesis.backend.fluency import text_fluency
from tests.audit.intervals import compare_ratio
from tests.audit.ledger import Ledger
from tests.audit.raw import EXTRA, Floats, Raw, block, by_prompt, records

ENDS = ("value", "low", "high")
OF_TEXT = {"repetition_4": "repetition", "compression": "compression", "length": "length", "empty": "empty"}


def compare_metrics(ledger: Ledger, raw: Raw) -> None:
    """Every row of `metric`, `capability_score` and `attack_outcome` whose raw rows are stored."""
    losses = {row.condition_id: row for row in raw.conditions.itertuples()}
    bases = {row.checkpoint: row for row in losses.values() if row.key == "none"}
    by_condition = dict(list(raw.texts.groupby("condition_id")))
    scores = dict(list(raw.scores.groupby(["condition_id", "prompt_set", "scorer"])))
    columns = "t.*, p.name AS prompt_set, s.name AS scorer"
    joins = "LEFT JOIN prompt_set p ON p.id = t.prompt_set_id LEFT JOIN scorer s ON s.id = t.scorer_id"
    for row in records(raw.of_checkpoints("metric", columns, joins=joins)):
        place, name, condition = f"{row['checkpoint_name']}/{row['key']}", row["name"], row["condition_id"]
        if row["interval"].startswith("seeded"):
            ledger.skip("metric", "made up for tests")
        elif row["prompt_set"] is None and name in ("cost", "cross_entropy"):
            steered, base = losses[condition], bases.get(row["checkpoint"])
            nats, tokens = block(steered.document_nats), block(steered.document_tokens, "<i8")
            unsteered = None if base is None else block(base.document_nats)
            if nats is None or tokens is None or unsteered is None:
                ledger.skip(name, "no documents' losses in the database")
                continue
            top = nats - unsteered if name == "cost" else nats
            _ratio(ledger, name, place, row, top, bottom=tokens)
        elif row["scorer"] is not None:
            of_condition = scores[condition, row["prompt_set"], row["scorer"]]
            base = scores.get((bases[row["checkpoint"]].condition_id, row["prompt_set"], row["scorer"]))
            _score(ledger, place, row, of_condition, base)
        elif name in OF_TEXT:
            usual = by_condition[condition]
            usual = usual[(usual["sample"] < EXTRA) & (usual["prompt_set"] == row["prompt_set"])]
            usual = usual[(usual["text"].str.strip() != "") | (name == "empty")]
            values = usual["text"].map(
                lambda text, name=name: float(getattr(text_fluency(text), OF_TEXT[name]))
            )
            sums = values.groupby(usual["prompt"]).agg(["sum", "size"]).to_numpy(float)
            _ratio(ledger, "metric", place, row, sums[:, 0], bottom=sums[:, 1])
        else:
            ledger.skip("metric", f"{name}: not a mean over rows that are stored")
    _capability(ledger, raw)
    _suffixes(ledger, raw)


def _ratio(ledger: Ledger, kind: str, place: str, row: dict[str, Any], top: Floats, **more: Any) -> None:
    ledger.number(f"{kind} n", place, row["n"], len(top))
    compare_ratio(ledger, kind, place, {end: row[end] for end in ENDS}, row["interval"], top=top, **more)


def _score(
    ledger: Ledger, place: str, row: dict[str, Any], scores: pd.DataFrame, base: pd.DataFrame | None
) -> None:
    name, unit = row["name"], 100.0 if row["unit"] == "points" else 1.0
    means = by_prompt(scores, name)
    is_change = name == "toxicity_change" and base is not None
    if is_change and base is not None:
        means = means - by_prompt(base[base["prompt"].isin(scores["prompt"])], name)
    bounds = (-1.0 if is_change else 0.0, 1.0)
    _ratio(ledger, "metric", place, row, means[~np.isnan(means)], unit=unit, bounds=bounds)


def _capability(ledger: Ledger, raw: Raw) -> None:
    """Accuracies and losses of items, and their changes against the unsteered condition."""
    joins = "JOIN condition k ON k.id = t.condition_id"
    rows = records(raw.of_checkpoints("capability_score", "t.*, k.key", joins=joins))
    number = ("checkpoint_name", "task", "part", "measure")
    bases = {tuple(row[n] for n in number): block(row["item_tops"]) for row in rows if row["key"] == "none"}
    for row in rows:
        top, bottom, place = (
            block(row["item_tops"]),
            block(row["item_bottoms"]),
            "|".join(str(row[n]) for n in number),
        )
        if top is None or bottom is None:
            ledger.skip("capability score", "no items in the database")
            continue
        _ratio(ledger, "capability score", f"{place}|{row['key']}", row, top, bottom=bottom)
        base = bases.get(tuple(row[n] for n in number))
        if row["change"] is not None and base is not None:
            stored = {end: row[f"change_{end}" if end != "value" else "change"] for end in ENDS}
            draws = raw.config.get("evaluation", {}).get("bootstrap", 1000)
            compare_ratio(ledger, "capability score", f"{place}|{row['key']} change", stored,
                          f"bootstrap over items, 95%, {draws} draws",
                          top=top - base, bottom=bottom)  # fmt: skip


def _suffixes(ledger: Ledger, raw: Raw) -> None:
    """Success of suffixes from the goals; of other attacks no text's values are stored."""
    trials = dict(list(raw.frame("SELECT * FROM attack_trial").groupby("attack_id")))
    rows = raw.of_checkpoints("attack", "t.id AS attack, t.kind AS attack_kind, t.key, o.*",
                              joins="JOIN attack_outcome o ON o.attack_id = t.id")  # fmt: skip
    for row in records(rows):
        goals, name = trials.get(row["attack"]), row["name"]
        if row["interval"].startswith("seeded"):
            ledger.skip("attack outcome", "made up for tests")
        elif (
            row["attack_kind"] == "suffix"
            and goals is not None
            and name in ("success", "prefix_match", "success_before")
        ):
            column = goals["before"] > 0.5 if name == "success_before" else goals[name]
            _ratio(
                ledger,
                "attack outcome",
                f"{row['checkpoint_name']}|{row['key']}|{name}",
                row,
                column.to_numpy(float),
            )
        else:
            ledger.skip("attack outcome", "no values of single texts in the database")
