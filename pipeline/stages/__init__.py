"""The stages of a study, one file each: what a stage needs, when it is asked for, its key and its work.

The list is the graph: hashes, order, what a plan has left and what a run or an import walks come from it.
"""

from __future__ import annotations

from hormesis.pipeline.execution.graph import Graph
from hormesis.pipeline.stages import (
    attack,
    capability,
    condition,
    generate,
    geometry,
    load,
    methods,
    mix,
    probe,
    project,
    relearn,
    score,
    text,
    toy,
    train,
    verdicts,
)
from hormesis.pipeline.summaries.every_summary import summarise_subject

GRAPH = Graph(
    stages=(
        text.STAGE,
        mix.STAGE,
        train.STAGE,
        load.STAGE,
        probe.STAGE,
        geometry.STAGE,
        methods.STAGE,
        condition.STAGE,
        generate.STAGE,
        score.STAGE,
        capability.STAGE,
        attack.STAGE,
        relearn.STAGE,
        project.STAGE,
        toy.STAGE,
        verdicts.STAGE,
    ),
    after_each=(summarise_subject, verdicts.evaluate_claims),
)
