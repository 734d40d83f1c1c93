"""Every page query by name, with the ids it needs from the seeded database; and plain SQL to check them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from sqlalchemy import Engine, text

from db import read
from db.engine import reading

SETS = {"prompt_set": "forum-prompts", "scorer": "forum"}


class Names:
    """Ids that the queries need."""

    def __init__(self, engine: Engine) -> None:
        self.study = int(read.studies(engine)["id"][0])
        made = read.checkpoints(engine, self.study)
        self.checkpoint = int(made[made["name"] == "toxic-25-s0"]["id"].iloc[0])
        conditions = read.conditions(engine, self.checkpoint).set_index("condition")["condition_id"]
        self.none = int(conditions["none"])
        self.steered = int(conditions["iti/mass_mean/fixed-3"])
        self.metric = int(read.checkpoint_metrics(engine, self.checkpoint)["metric_id"].iloc[0])
        self.prompts = int(read.prompt_sets(engine, self.study)["id"][0])
        self.scorer = int(read.scorers(engine, self.study).set_index("name")["id"]["forum"])
        self.attack = int(read.attack_parameters(engine, self.study)["attack_id"].iloc[0])
        self.probe_set = int(read.probe_sets(engine, self.study)["id"][0])
        maps = read.projections(engine, self.study)
        self.direction_map = int(maps[maps["subject"] == "directions"]["id"].iloc[0])
        self.activation_map = int(maps[maps["subject"] == "activations"]["id"].iloc[0])
        blocks = read.kept_heads(engine, self.study)
        block = blocks[blocks["checkpoint_id"] == self.checkpoint].iloc[0]
        self.head = (int(block["layer"]), int(block["head"]))


QUERIES: dict[str, Callable[[Engine, Names], Any]] = {
    "studies": lambda e, at: read.studies(e),
    "study": lambda e, at: read.study(e, at.study),
    "arms": lambda e, at: read.arms(e, at.study),
    "checkpoints": lambda e, at: read.checkpoints(e, at.study),
    "stage_runs": lambda e, at: read.stage_runs(e, at.study),
    "train_points": lambda e, at: read.train_points(e, at.study, 50),
    "composition": lambda e, at: read.composition(e, at.study),
    "conditions": lambda e, at: read.conditions(e, at.checkpoint),
    "checkpoint_metrics": lambda e, at: read.checkpoint_metrics(e, at.checkpoint),
    "number_chain": lambda e, at: read.number_chain(e, at.metric),
    "summaries": lambda e, at: read.summaries(e, at.study),
    "summary_choices": lambda e, at: read.summary_choices(e, at.study),
    "probe_sets": lambda e, at: read.probe_sets(e, at.study),
    "study_probes": lambda e, at: read.study_probes(e, at.study),
    "projections": lambda e, at: read.projections(e, at.study),
    "points of directions": lambda e, at: read.projection_points(e, at.direction_map, 100),
    "points of activations": lambda e, at: read.projection_points(e, at.activation_map, 100, with_text=True),
    "kept_heads": lambda e, at: read.kept_heads(e, at.study),
    "activations": lambda e, at: read.activations(e, at.checkpoint, *at.head).examples,
    "entanglement": lambda e, at: read.entanglement(e, at.study),
    "feature_cosines": lambda e, at: read.feature_cosines(e, at.checkpoint),
    "lens_tokens": lambda e, at: read.lens_tokens(e, at.checkpoint, *at.head),
    "lens_heads": lambda e, at: read.lens_heads(e, at.checkpoint),
    "head_summaries": lambda e, at: read.head_summaries(e, at.study),
    "prompt_sets": lambda e, at: read.prompt_sets(e, at.study),
    "prompts": lambda e, at: read.prompts(e, at.prompts),
    "scorers": lambda e, at: read.scorers(e, at.study),
    "change_counts": lambda e, at: read.change_counts(e, at.none, at.steered, at.prompts, at.scorer),
    "changed_pairs": lambda e, at: read.changed_pairs(
        e, at.none, at.steered, at.prompts, at.scorer, 1, 5, order="fall"
    ),
    "pair_texts": lambda e, at: read.pair_texts(e, at.none, at.steered, [(1, 0), (2, 0)]),
    "score_counts": lambda e, at: read.score_counts(e, at.none, at.prompts, scorer="forum"),
    "scorer_agreement": lambda e, at: read.scorer_agreement(e, at.none, at.prompts),
    "examples": lambda e, at: read.examples(e, at.probe_set, 1, label=1, split="test"),
    "examples_by_id": lambda e, at: read.examples_by_id(e, [7, 3, 5]),
    "attack_outcomes": lambda e, at: read.attack_outcomes(e, at.study),
    "attack_points": lambda e, at: read.attack_points(e, at.study),
    "attack_parameters": lambda e, at: read.attack_parameters(e, at.study),
    "attack_trials": lambda e, at: read.attack_trials(e, at.attack),
    "attack_tests": lambda e, at: read.attack_tests(e, at.study),
    "capability_scores": lambda e, at: read.capability_scores(e, at.study),
    "verdicts": lambda e, at: read.verdicts(e, at.study),
    "dose_fits": lambda e, at: read.dose_fits(e, at.study),
    "example_counts": lambda e, at: read.example_counts(e, at.probe_set),
}


def tradeoff(engine: Engine, name: str = "toxicity", *, prompt_set: str, scorer: str) -> pd.DataFrame:
    """One stored metric of every checkpoint and condition, with the arm; the value in a column `name`."""
    query = """
        SELECT c.id AS checkpoint_id, k.id AS condition_id, k.key AS condition,
        a.kind, a.share, a.seed, m.value
        FROM metric m JOIN condition k ON k.id = m.condition_id JOIN checkpoint c ON c.id = k.checkpoint_id
        LEFT JOIN arm a ON a.id = c.arm_id LEFT JOIN prompt_set p ON p.id = m.prompt_set_id
        LEFT JOIN scorer s ON s.id = m.scorer_id
        WHERE m.name = :name AND coalesce(p.name, :prompt_set) = :prompt_set
        AND coalesce(s.name, :scorer) = :scorer
    """
    values = {"name": name, "prompt_set": prompt_set, "scorer": scorer}
    rows = reading(engine, lambda c: pd.read_sql(text(query), c, params=values))
    return rows.rename(columns={"value": name})


def scored_texts(engine: Engine, condition_id: int, prompt_set_id: int) -> pd.DataFrame:
    """Generations of a condition in the order of prompts and samples, with a column of scores per scorer."""
    query = """
        SELECT g.prompt_id, p.position, g.sample, g.text, s.name AS scorer, v.value
        FROM generation g JOIN prompt p ON p.id = g.prompt_id JOIN score v ON v.generation_id = g.id
        JOIN scorer s ON s.id = v.scorer_id
        WHERE g.condition_id = :condition_id AND p.prompt_set_id = :prompt_set_id
    """
    values = {"condition_id": condition_id, "prompt_set_id": prompt_set_id}
    rows = reading(engine, lambda c: pd.read_sql(text(query), c, params=values))
    keys = ["position", "sample", "prompt_id", "text"]
    return (
        rows.pivot(index=keys, columns="scorer", values="value")
        .sort_index()
        .reset_index()
        .rename_axis(columns=None)
    )
