"""Every page query by name, with the ids it needs from the small seeded database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from db import read

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
        block = read.activation_blocks(engine, self.checkpoint).iloc[0]
        self.head = (int(block["layer"]), int(block["head"]))


QUERIES: dict[str, Callable[[Engine, Names], Any]] = {
    "studies": lambda e, at: read.studies(e),
    "study": lambda e, at: read.study(e, at.study),
    "arms": lambda e, at: read.arms(e, at.study),
    "checkpoints": lambda e, at: read.checkpoints(e, at.study),
    "stage_runs": lambda e, at: read.stage_runs(e, at.study),
    "train_points": lambda e, at: read.train_points(e, at.study, 50),
    "composition": lambda e, at: read.composition(e, at.study),
    "provenance": lambda e, at: read.provenance(e, at.study),
    "conditions": lambda e, at: read.conditions(e, at.checkpoint),
    "metrics": lambda e, at: read.metrics(e, at.none),
    "checkpoint_metrics": lambda e, at: read.checkpoint_metrics(e, at.checkpoint),
    "number_chain": lambda e, at: read.number_chain(e, at.metric),
    "metric_provenance": lambda e, at: read.metric_provenance(e, at.none),
    "summaries": lambda e, at: read.summaries(e, at.study),
    "summary_choices": lambda e, at: read.summary_choices(e, at.study),
    "dose_response": lambda e, at: read.dose_response(e, at.study, **SETS),
    "tradeoff": lambda e, at: read.tradeoff(e, at.study, **SETS),
    "tradeoff_summary": lambda e, at: read.tradeoff_summary(e, at.study, **SETS),
    "probe_sets": lambda e, at: read.probe_sets(e, at.study),
    "probes": lambda e, at: read.probes(e, at.checkpoint),
    "study_probes": lambda e, at: read.study_probes(e, at.study),
    "directions": lambda e, at: read.directions(e, at.checkpoint),
    "projections": lambda e, at: read.projections(e, at.study),
    "points of directions": lambda e, at: read.projection_points(e, at.direction_map, 100),
    "points of activations": lambda e, at: read.projection_points(e, at.activation_map, 100, with_text=True),
    "activation_blocks": lambda e, at: read.activation_blocks(e, at.checkpoint),
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
    "generations": lambda e, at: read.generations(e, at.none, at.prompts, page=1, size=10),
    "generations by score": lambda e, at: read.generations(e, at.none, at.prompts, by_scorer=at.scorer),
    "paired_generations": lambda e, at: read.paired_generations(e, at.none, at.steered, at.prompts),
    "paired_scores": lambda e, at: read.paired_scores(e, at.none, at.steered, at.prompts, at.scorer),
    "change_counts": lambda e, at: read.change_counts(e, at.none, at.steered, at.prompts, at.scorer),
    "changed_pairs": lambda e, at: read.changed_pairs(
        e, at.none, at.steered, at.prompts, at.scorer, 1, 5, order="fall"
    ),
    "pair_texts": lambda e, at: read.pair_texts(e, at.none, at.steered, [(1, 0), (2, 0)]),
    "scores": lambda e, at: read.scores(e, at.none, at.prompts),
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
