"""The seeded database's attacks, tests of differences and capability scores: made-up numbers, bland words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Engine, select

from db.schema import (
    Attack,
    AttackOutcome,
    AttackPoint,
    AttackTest,
    AttackTrial,
    CapabilityScore,
    Condition,
    Summary,
)
from db.write import upsert, write_session
from tests.seeded_study import SeededCheckpoint
from tests.seeded_values import phrases

if TYPE_CHECKING:
    from tests.seeded_database import Size

Row = dict[str, Any]
GOALS = 12
CONDITIONS = ("none", "iti/mass_mean/cost-0.06", "iti/mass_mean/cost-0.15")
TEMPLATES = ("plain", "register", "turned")
STOPS = (0.0, 1.0, 4.0, 16.0, 64.0)
MADE_UP = "seeded interval, 95 %"


def add_hardness(
    engine: Engine, size: Size, study_id: int, checkpoints: list[SeededCheckpoint], seed: int
) -> None:
    """Write everything of this module."""
    rng = np.random.default_rng([seed, 7])
    texts = phrases(rng, 60)
    rates: dict[tuple[str, float, str], list[float]] = {}
    with write_session(engine) as session:
        for checkpoint in checkpoints:
            query = select(Condition.key, Condition.id).where(Condition.checkpoint_id == checkpoint.id)
            condition_ids = {row.key: row.id for row in session.execute(query)}
            for key in CONDITIONS:
                rate = _rate(checkpoint, key)
                rates.setdefault((checkpoint.kind, checkpoint.share, key), []).append(rate)
                for row, outcomes, points, trials in _attacks(rng, checkpoint, key, rate, texts):
                    attack = Attack(**row, checkpoint_id=checkpoint.id, condition_id=condition_ids[key])
                    session.add(attack)
                    session.flush()
                    number = attack.id
                    for model, rows, on in (
                        (AttackOutcome, outcomes, ("attack_id", "name")),
                        (AttackPoint, points, ("attack_id", "series", "x")),
                        (AttackTrial, trials, ("attack_id", "position")),
                    ):
                        upsert(session, model, [{"attack_id": number, **row} for row in rows], on=on)
                scores = [
                    {"checkpoint_id": checkpoint.id, "condition_id": condition_ids[key], **row}
                    for row in _capability(rng, key)
                ]
                upsert(session, CapabilityScore, scores, on=("condition_id", "task", "part", "measure"))
        upsert(session, Summary, _summaries(study_id, rates), on=("study_id", "key"))
        upsert(session, AttackTest, _tests(study_id, rates), on=("study_id", "key"))


def _rate(checkpoint: SeededCheckpoint, key: str) -> float:
    """Made-up success rate: steering lowers it, more so after toxic text."""
    dose = checkpoint.share if checkpoint.kind == "toxic" else 0.0
    fall = CONDITIONS.index(key) * (0.15 + 0.6 * dose)
    return float(np.clip(0.8 - fall, 0.05, 0.95))


def _outcome(name: str, value: float | None, half: float, n: int, unit: str, **more: Any) -> Row:
    ends = (None, None) if value is None else (value - half, value + half)
    row = {"name": name, "value": value, "low": ends[0], "high": ends[1], "n": n, "unit": unit}
    return {**row, "interval": MADE_UP, "censored": None, **more}


def _attacks(
    rng: np.random.Generator, checkpoint: SeededCheckpoint, key: str, rate: float, texts: list[str]
) -> list[tuple[Row, list[Row], list[Row], list[Row]]]:
    hit = rng.random(GOALS) < rate
    trials = [
        {
            "position": place,
            "goal": f"goal-{place}",
            "target": "warm bread",
            "prompt": texts[place],
            "text": texts[-1 - place],
            "success": bool(hit[place]),
            "prefix_match": bool(hit[place] and place % 2),
            "score": float(hit[place]) * 0.9,
            "before": 0.1,
            "loss_first": 5.0,
            "loss_last": 2.0,
            "evaluations": 300,
        }
        for place in range(GOALS)
    ]
    attacks = []
    for setting, less in (("gcg", 0.0), ("random", 0.2)):
        share = max(0.0, float(hit.mean()) - less)
        outcomes = [
            _outcome("success", share, 0.2, GOALS, "share of goals"),
            _outcome("prefix_match", share / 2, 0.2, GOALS, "share of goals"),
            _outcome("success_before", 0.1, 0.08, GOALS, "share of goals"),
        ]
        points = [_point("loss", x, 5.0 - 0.01 * x) for x in (1.0, 100.0, 300.0)]
        attacks.append((_attack("suffix", setting, 300.0, "evaluations"), outcomes, points, trials))
    examples = [
        trial | {"target": None, "prefix_match": None, "before": None, "loss_first": None, "loss_last": None,
                 "evaluations": None}
        for trial in trials[:3]
    ]  # fmt: skip
    base = 100 * rate / 2
    for place, name in enumerate(TEMPLATES):
        outcomes = [_outcome("toxicity", base + 3 * place, 4, 64, "points")]
        outcomes.append(_outcome("fluency", 0.9, 0.03, 64, "fraction"))
        if place:
            outcomes.append(_outcome("toxicity_change", 3.0 * place, 2, 64, "points"))
        attacks.append((_attack("injection", name, 64.0, "prompts"), outcomes, [], examples))
    points = [_point("toxicity", 24.0 * (x + 1), base + x, 3.0) for x in range(6)]
    points += [_point("fluency", 24.0 * (x + 1), 0.9, 0.02) for x in range(6)]
    drift = [_outcome("toxicity", base, 3, 64, "points"), _outcome("drift", 1.0, 2, 64, "points")]
    attacks.append((_attack("long", "6x24", 64.0, "prompts"), drift, points, examples))
    for temperature in (0.0, 0.7, 1.0):
        for top_p in (1.0,) if temperature == 0 else (0.5, 0.9, 1.0):
            outcomes = [_outcome("toxicity", base + 5 * temperature * top_p, 3, 64, "points")]
            outcomes.append(_outcome("fluency", 0.95 - 0.1 * temperature * top_p, 0.02, 64, "fraction"))
            row = _attack("sampling", f"t{temperature:g}-p{top_p:g}", 64.0, "prompts")
            row["parameters"] = {"temperature": temperature, "top_p": top_p}
            attacks.append((row, outcomes, [], []))
    for setting, cost in (("full", None), ("int8", 0.001), ("int4", 0.04)):
        outcomes = [
            _outcome("toxicity", base, 3, 64, "points"),
            _outcome("fluency", 0.9, 0.02, 64, "fraction"),
        ]
        if cost is not None:
            outcomes += [
                _outcome("toxicity_change", 0.5, 1, 64, "points"),
                _outcome("cost", cost, cost / 5, 46, "nats per token"),
            ]
        attacks.append((_attack("quantised", setting, 64.0, "prompts"), outcomes, [], []))
    if key != "none":
        attacks.append(_relearning(checkpoint, key, base))
    return attacks


def _relearning(
    checkpoint: SeededCheckpoint, key: str, base: float
) -> tuple[Row, list[Row], list[Row], list[Row]]:
    before = 100 * _rate(checkpoint, "none") / 2
    curve = [base + (before + 4 - base) * (1 - np.exp(-x / 12)) for x in STOPS]
    points = [_point("toxicity", x, float(y), 3.0) for x, y in zip(STOPS, curve, strict=True)]
    points += [_point("loss", x, 2.0) for x in STOPS[1:]]
    lost = key.endswith("0.15") and checkpoint.seed == 0
    steps = _outcome("steps", None if lost else 20.0, 6, 64, "steps", censored=0.8 if lost else 0.02)
    steps |= {"low": 40.0, "high": None} if lost else {}
    row = _attack("relearn", "toxic text", 64.0, "steps")
    row["parameters"] = {"base_toxicity": before, "stops": list(STOPS[1:])}
    return row, [steps, _outcome("gap_at_end", 1.0, 3, 64, "points")], points, []


def _attack(kind: str, setting: str, budget: float, unit: str) -> Row:
    return {
        "key": f"{kind}/{setting}",
        "kind": kind,
        "setting": setting,
        "data": "seeded prompts",
        "scorer": "forum seeded-1",
        "rule": "seeded rule",
        "budget": budget,
        "budget_unit": unit,
        "parameters": {},
        "input_hash": "0" * 16,
    }


def _point(series: str, x: float, value: float, half: float | None = None) -> Row:
    ends = (None, None) if half is None else (value - half, value + half)
    return {"series": series, "x": x, "value": value, "low": ends[0], "high": ends[1], "n": 64}


def _capability(rng: np.random.Generator, key: str) -> list[Row]:
    worse = 0.02 * CONDITIONS.index(key)
    rows = []
    for task, part, measure, centre, chance, unit in (
        ("minimal_pairs", "", "accuracy", 0.93, 0.5, "fraction"),
        ("minimal_pairs", "order", "accuracy", 0.90, 0.5, "fraction"),
        ("minimal_pairs", "class", "accuracy", 0.96, 0.5, "fraction"),
        ("mcq_siqa", "", "accuracy", 0.36, 1 / 3, "fraction"),
        ("mcq_siqa", "", "accuracy_norm", 0.37, 1 / 3, "fraction"),
        ("cross_entropy", "seeded-clean", "cross_entropy", 2.1, None, "nats per token"),
    ):
        sign = -1 if unit == "nats per token" else 1
        value = float(centre - sign * worse + rng.normal(0, 0.005))
        rows.append(
            {
                "task": task, "part": part, "measure": measure, "value": value, "low": value - 0.02,
                "high": value + 0.02, "n": 500, "chance": chance, "unit": unit, "interval": MADE_UP,
                "data": "seeded items", "change": None if key == "none" else -sign * worse,
                "change_low": None if key == "none" else -sign * worse - 0.01,
                "change_high": None if key == "none" else -sign * worse + 0.01,
            }
        )  # fmt: skip
    return rows


def _summaries(study_id: int, rates: dict[tuple[str, float, str], list[float]]) -> list[Row]:
    rows = []
    for (kind, share, key), rate in rates.items():
        for setting, less in (("gcg", 0.0), ("random", 0.2)):
            for rule, factor in (("success", 1.0), ("prefix_match", 0.5)):
                value = max(0.0, float(np.mean(rate)) - less) * factor
                rows.append(
                    {
                        "study_id": study_id, "key": f"{kind}/{share}/{key}/{setting}/{rule}", "kind": kind,
                        "share": share, "method": "none" if key == "none" else "iti", "condition_key": key,
                        "strength": float(CONDITIONS.index(key)),
                        "matched_cost": None if key == "none" else float(key.rsplit("-", 1)[1]),
                        "prompt_set": None, "scorer": None, "name": f"suffix_{setting}_{rule}",
                        "value": value, "low": max(0.0, value - 0.15), "high": min(1.0, value + 0.15),
                        "n_seeds": len(rate), "n": GOALS * len(rate), "unit": "share of goals",
                        "interval": MADE_UP,
                    }
                )  # fmt: skip
    return rows


def _tests(study_id: int, rates: dict[tuple[str, float, str], list[float]]) -> list[Row]:
    rows = []
    for (kind, share, key), rate in rates.items():
        references = {"condition": rates[kind, share, "none"]} if key != "none" else {}
        if (kind, share) != ("toxic", 0.0):
            references["share"] = rates["toxic", 0.0, key]
        for contrast, other in references.items():
            difference = float(np.mean(rate) - np.mean(other))
            rows.append(
                {
                    "study_id": study_id, "key": f"gcg/success/{contrast}/{kind}/{share}/{key}",
                    "setting": "gcg",
                    "rule": "success", "contrast": contrast, "kind": kind, "share": share, "condition": key,
                    "rate": float(np.mean(rate)), "reference": float(np.mean(other)),
                    "difference": difference, "low": difference - 0.2, "high": difference + 0.2,
                    "n": GOALS * len(rate), "only_here": 2, "only_there": 7, "p_paired": 0.18,
                    "p_unpaired": 0.1, "interval": MADE_UP,
                }
            )  # fmt: skip
    return rows
