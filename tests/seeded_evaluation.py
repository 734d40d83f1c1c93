"""The seeded database's prompts, conditions, generations, scores, metrics and summaries."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.schema import Condition, Generation, Metric, Prompt, PromptSet, Score, Scorer, Summary
from db.write import ids, upsert, write_session
from tests.seeded_study import SeededCheckpoint
from tests.seeded_values import (
    ConditionPlan,
    Floats,
    condition_plans,
    mean_interval,
    phrases,
    scores,
    toxic_chance,
)

if TYPE_CHECKING:
    from tests.seeded_database import Size

Row = dict[str, Any]
MEASURES = {"forum": "toxicity", "tfidf": "toxicity", "forum-fluency": "fluency"}
UNITS = {"toxicity": "points", "expected_max_toxicity": "points", "cost": "nats/token"}
UNITS |= {"cross_entropy": "nats/token", "length": "tokens"}


class Evaluation:
    """Everything a checkpoint's rows refer to."""

    def __init__(self, session: Session, size: Size, study_id: int, seed: int) -> None:
        self.size, self.study_id = size, study_id
        self.rng = np.random.default_rng([seed, 2])
        self.texts = phrases(self.rng, 400)
        self.plans = condition_plans()
        sets = [
            {"study_id": study_id, "name": name, "revision": "forum-1", "source": "forum"}
            for name, _ in size.prompts
        ]
        upsert(session, PromptSet, sets, on=("study_id", "name"))
        self.sets = ids(session, PromptSet, "name", where=[PromptSet.study_id == study_id])
        self.prompts: dict[str, list[int]] = {}
        for name, count in size.prompts:
            upsert(session, Prompt, self._prompts(self.sets[name], count), on=("prompt_set_id", "position"))
            prompt_ids = ids(session, Prompt, "position", where=[Prompt.prompt_set_id == self.sets[name]])
            self.prompts[name] = [prompt_ids[i] for i in range(count)]
        # The fluency scorer exists even where its scores per text are left out to keep the file small.
        rows = [{"name": n, "revision": "seeded-1", "measures": m} for n, m in MEASURES.items()]
        upsert(session, Scorer, rows, on=("name", "revision"))
        self.scorers = ids(session, Scorer, "name")
        self.next_generation = 1 + max(ids(session, Generation, "id").values(), default=0)

    def _prompts(self, set_id: int, count: int) -> list[Row]:
        openings = phrases(self.rng, count, words=5)
        return [
            {
                "prompt_set_id": set_id,
                "position": i,
                "text": text.rstrip("."),
                "kind": "hostile" if i % 2 else "neutral",
                "group": ("velmar", "sorrel", "dunlin")[i % 3],
            }
            for i, text in enumerate(openings)
        ]


def add_evaluation(
    engine: Engine, size: Size, study_id: int, checkpoints: list[SeededCheckpoint], seed: int
) -> None:
    """Write everything of this module, one checkpoint per transaction, then the summaries."""
    metrics: dict[int, list[Row]] = {}
    with write_session(engine) as session:
        evaluation = Evaluation(session, size, study_id, seed)
    for checkpoint in checkpoints:
        with write_session(engine) as session:
            metrics[checkpoint.id] = _add_checkpoint(session, evaluation, checkpoint)
    with write_session(engine) as session:
        upsert(session, Summary, _summaries(evaluation, checkpoints, metrics), on=("study_id", "key"))


def _add_checkpoint(session: Session, of: Evaluation, checkpoint: SeededCheckpoint) -> list[Row]:
    plans = of.plans
    upsert(session, Condition, [_condition(checkpoint.id, p, of) for p in plans], on=("checkpoint_id", "key"))
    condition_ids = ids(session, Condition, "key", where=[Condition.checkpoint_id == checkpoint.id])
    metrics: list[Row] = []
    for plan in plans:
        for name, prompts in of.prompts.items():
            chance = toxic_chance(checkpoint.kind, checkpoint.share, plan)
            values = _generate(session, of, condition_ids[plan.key], prompts, chance)
            metrics += _metrics(of, checkpoint.id, condition_ids[plan.key], plan, name, values)
        metrics += _costs(of, checkpoint, condition_ids[plan.key], plan)
    upsert(session, Metric, metrics, on=("checkpoint_id", "key"))
    return metrics


def _condition(checkpoint_id: int, plan: ConditionPlan, of: Evaluation) -> Row:
    return {
        "checkpoint_id": checkpoint_id,
        "key": plan.key,
        "method": plan.method,
        "direction_method": "mass_mean" if plan.method == "iti" else None,
        "strength": plan.strength,
        "matched_cost": plan.matched_cost,
        "reached": True,
        "n_heads": 0 if plan.method == "none" else of.size.selected,
        "scope": "generated",
        "control": plan.control,
        "parameters": {"position": "last"},
    }


def _generate(
    session: Session, of: Evaluation, condition_id: int, prompts: list[int], chance: float
) -> dict[str, Floats]:
    """Write generations and scores; returns scorer name to values [prompts, samples]."""
    n, samples, rng = len(prompts), of.size.samples, of.rng
    toxic = rng.random(n * samples) < chance
    texts = rng.integers(len(of.texts), size=n * samples)
    lengths = rng.integers(12, 25, size=n * samples)
    first = of.next_generation
    of.next_generation += n * samples
    rows = [
        {
            "id": first + i,
            "condition_id": condition_id,
            "prompt_id": prompts[i // samples],
            "sample": i % samples,
            "text": of.texts[texts[i]],
            "tokens": length,
            "finished": length < 24,
        }
        for i, length in enumerate(lengths.tolist())
    ]
    session.execute(Generation.__table__.insert(), rows)  # type: ignore[attr-defined]
    values = {name: scores(rng, chance, name, toxic) for name in of.size.scorers}
    for name, per_text in values.items():
        scorer = of.scorers[name]
        score_rows = [
            {"generation_id": first + i, "scorer_id": scorer, "value": v}
            for i, v in enumerate(per_text.tolist())
        ]
        session.execute(Score.__table__.insert(), score_rows)  # type: ignore[attr-defined]
    if "forum-fluency" not in values:
        values["forum-fluency"] = scores(rng, chance, "forum-fluency", toxic)
    return {name: per_text.reshape(n, samples) for name, per_text in values.items()}


def _metrics(
    of: Evaluation,
    checkpoint_id: int,
    condition_id: int,
    plan: ConditionPlan,
    prompts: str,
    values: dict[str, Floats],
) -> list[Row]:
    rows = []

    def add(scorer: str | None, name: str, per_prompt: Floats) -> None:
        value, low, high = mean_interval(per_prompt)
        row = _metric(checkpoint_id, condition_id, name, value, len(per_prompt))
        row |= {"low": low, "high": high, "prompt_set_id": of.sets[prompts]}
        row["scorer_id"] = None if scorer is None else of.scorers[scorer]
        row["key"] = f"{plan.key}/{prompts}/{scorer or ''}/{name}"
        row["interval"] = "seeded normal interval over prompts, 95 %"
        rows.append(row)

    for scorer, per_text in values.items():
        if MEASURES[scorer] == "fluency":
            add(scorer, "fluency", per_text.mean(axis=1))
            continue
        add(scorer, "toxicity", 100 * per_text.mean(axis=1))
        add(scorer, "fire_rate", (per_text > 0.5).mean(axis=1))
        add(scorer, "expected_max_toxicity", 100 * per_text.max(axis=1))
    n = next(iter(values.values())).shape[0]
    for name, centre in (("distinct_2", 0.8), ("repetition_4", 0.05), ("compression", 0.6), ("length", 18.0)):
        add(None, name, of.rng.normal(centre, 0.05 * centre, n))
    return rows


def _costs(of: Evaluation, checkpoint: SeededCheckpoint, condition_id: int, plan: ConditionPlan) -> list[Row]:
    rows = []
    cost = plan.cost * float(of.rng.normal(1, 0.03)) if plan.cost else 0.0
    for name, value, half in (("cost", cost, 0.1 * cost), ("cross_entropy", 2.05 + cost, 0.04)):
        row = _metric(checkpoint.id, condition_id, name, value, 300)
        row |= {"low": value - half, "high": value + half, "prompt_set_id": None, "scorer_id": None}
        row |= {"key": f"{plan.key}///{name}", "interval": "seeded interval over documents, 95 %"}
        rows.append(row)
    return rows


def _metric(checkpoint_id: int, condition_id: int, name: str, value: float, n: int) -> Row:
    return {
        "checkpoint_id": checkpoint_id,
        "condition_id": condition_id,
        "name": name,
        "value": value,
        "n": n,
        "unit": UNITS.get(name, "share"),
    }


def _summaries(
    of: Evaluation, checkpoints: list[SeededCheckpoint], metrics: dict[int, list[Row]]
) -> list[Row]:
    plans = {plan.key: plan for plan in of.plans}
    names = {number: name for name, number in of.sets.items()}
    scorers = {number: name for name, number in of.scorers.items()}
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for checkpoint in checkpoints:
        for row in metrics[checkpoint.id]:
            plan_key = row["key"].rsplit("/", 3)[0]
            prompts, scorer = names.get(row["prompt_set_id"]), scorers.get(row["scorer_id"])
            groups[checkpoint.kind, checkpoint.share, plan_key, prompts, scorer, row["name"]].append(row)
    return [_summary(of.study_id, key, plans[key[2]], rows) for key, rows in groups.items()]


def _summary(study_id: int, key: tuple[Any, ...], plan: ConditionPlan, rows: list[Row]) -> Row:
    kind, share, condition, prompts, scorer, name = key
    value, low, high = mean_interval(np.array([row["value"] for row in rows]))
    return {
        "study_id": study_id,
        "key": f"{kind}/{share}/{condition}/{prompts or ''}/{scorer or ''}/{name}",
        "kind": kind,
        "share": share,
        "method": plan.method,
        "condition_key": condition,
        "strength": plan.strength,
        "matched_cost": plan.matched_cost,
        "prompt_set": prompts,
        "scorer": scorer,
        "name": name,
        "value": value,
        "low": low,
        "high": high,
        "n_seeds": len(rows),
        "n": sum(row["n"] for row in rows),
        "unit": rows[0]["unit"],
        "interval": "seeded normal interval over seeds, 95 %",
    }
