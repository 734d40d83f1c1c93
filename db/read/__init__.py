"""Queries as functions `(engine, ...) -> pandas.DataFrame`: all that the dashboard sees.

Give them an engine from `db.engine.open_reader`. Each raises DatabaseProblem, one sentence, where the
database has gone, is locked or broken; no matching rows give an empty frame with the same columns and types.
"""

from db.read.export import export_table, exportable_tables
from db.read.geometry import (
    HEAD_VALUES,
    HeadActivations,
    activation_blocks,
    activations,
    directions,
    head_map,
    probe_sets,
    probes,
    projection_points,
    projections,
)
from db.read.labelled import example_counts, examples, examples_by_id, scorer_agreement, scores
from db.read.results import (
    conditions,
    dose_response,
    metric_provenance,
    metrics,
    summaries,
    tradeoff,
    tradeoff_summary,
)
from db.read.runs import (
    arms,
    checkpoints,
    composition,
    latest_change,
    provenance,
    stage_runs,
    studies,
    study,
    train_points,
)
from db.read.texts import (
    generation_count,
    generations,
    paired_generations,
    paired_scores,
    prompt_sets,
    prompts,
    scorers,
)
from db.state import DatabaseState
from db.state import state_of as database_state

__all__ = [
    "HEAD_VALUES",
    "DatabaseState",
    "HeadActivations",
    "activation_blocks",
    "activations",
    "arms",
    "checkpoints",
    "composition",
    "conditions",
    "database_state",
    "directions",
    "dose_response",
    "example_counts",
    "examples",
    "examples_by_id",
    "export_table",
    "exportable_tables",
    "generation_count",
    "generations",
    "head_map",
    "latest_change",
    "metric_provenance",
    "metrics",
    "paired_generations",
    "paired_scores",
    "probe_sets",
    "probes",
    "projection_points",
    "projections",
    "prompt_sets",
    "prompts",
    "provenance",
    "scorer_agreement",
    "scorers",
    "scores",
    "stage_runs",
    "studies",
    "study",
    "summaries",
    "tradeoff",
    "tradeoff_summary",
    "train_points",
]
