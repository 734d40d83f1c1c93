"""Queries as functions `(engine, ...) -> pandas.DataFrame`: all that the dashboard sees.

Give them an engine from `db.engine.open_reader`. Each raises DatabaseProblem, one sentence, where the
database has gone, is locked or broken; no matching rows give an empty frame with the same columns and types.
"""

from hormesis.db.database_status import DatabaseState
from hormesis.db.database_status import state_of as database_state
from hormesis.db.read.claims import dose_fits, verdicts
from hormesis.db.read.export import export_table, exportable_tables
from hormesis.db.read.features import (
    entanglement,
    feature_cosines,
    head_contributions,
    head_summaries,
    lens_heads,
    lens_tokens,
)
from hormesis.db.read.geometry import (
    HeadActivations,
    activations,
    directions,
    kept_heads,
    map_agreements,
    probe_sets,
    projection_points,
    projections,
    statement_scores,
    study_probes,
)
from hormesis.db.read.hardness import (
    attack_outcomes,
    attack_parameters,
    attack_summaries,
    attack_tests,
    attack_trials,
    capability_summaries,
)
from hormesis.db.read.joined import (
    arm_checkpoints,
    arm_entanglement,
    arm_points,
    arm_probes,
    condition_pairs,
    paired_texts,
    principal_components,
    score_histogram,
    studies_with_config,
    summaries_with_cost,
    unsteered_conditions,
    with_cost,
)
from hormesis.db.read.labelled import example_counts, examples, examples_by_id, score_counts, scorer_agreement
from hormesis.db.read.numbers import checkpoint_metrics, number_chain
from hormesis.db.read.pairs import (
    Change,
    Order,
    change_counts,
    changed_pairs,
    pair_texts,
    prompt_falls,
)
from hormesis.db.read.results import conditions, summaries, summary_choices
from hormesis.db.read.runs import (
    arms,
    changed_part,
    checkpoints,
    composition,
    latest_change,
    stage_runs,
    studies,
    study,
    train_points,
)
from hormesis.db.read.search import ScoreOrder, prompt_groups, search_generations, study_conditions
from hormesis.db.read.sources import source_overlaps, source_uses
from hormesis.db.read.texts import generations, prompt_sets, prompts, scorers
from hormesis.db.read.toy import (
    toy_curves,
    toy_directions,
    toy_effects,
    toy_experiments,
    toy_means,
    toy_measures,
)

__all__ = [
    "Change",
    "DatabaseState",
    "HeadActivations",
    "Order",
    "ScoreOrder",
    "activations",
    "arm_checkpoints",
    "arm_entanglement",
    "arm_points",
    "arm_probes",
    "arms",
    "attack_outcomes",
    "attack_parameters",
    "attack_summaries",
    "attack_tests",
    "attack_trials",
    "capability_summaries",
    "change_counts",
    "changed_pairs",
    "changed_part",
    "checkpoint_metrics",
    "checkpoints",
    "composition",
    "condition_pairs",
    "conditions",
    "database_state",
    "directions",
    "dose_fits",
    "entanglement",
    "example_counts",
    "examples",
    "examples_by_id",
    "export_table",
    "exportable_tables",
    "feature_cosines",
    "generations",
    "head_contributions",
    "head_summaries",
    "kept_heads",
    "latest_change",
    "lens_heads",
    "lens_tokens",
    "map_agreements",
    "number_chain",
    "pair_texts",
    "paired_texts",
    "principal_components",
    "probe_sets",
    "projection_points",
    "projections",
    "prompt_falls",
    "prompt_groups",
    "prompt_sets",
    "prompts",
    "score_counts",
    "score_histogram",
    "scorer_agreement",
    "scorers",
    "search_generations",
    "source_overlaps",
    "source_uses",
    "stage_runs",
    "statement_scores",
    "studies",
    "studies_with_config",
    "study",
    "study_conditions",
    "study_probes",
    "summaries",
    "summaries_with_cost",
    "summary_choices",
    "toy_curves",
    "toy_directions",
    "toy_effects",
    "toy_experiments",
    "toy_means",
    "toy_measures",
    "train_points",
    "unsteered_conditions",
    "verdicts",
    "with_cost",
]
