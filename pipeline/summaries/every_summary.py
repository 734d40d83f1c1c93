"""Everything that is told of an arm over its seeds: scores and costs, attacks, capability.

Run again after every arm, and for all of them at a study's end, when all seeds tell the spread.
"""

from __future__ import annotations

from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.probing.head_accuracy import ArmGroup
from hormesis.pipeline.summaries.arms import arm_of
from hormesis.pipeline.summaries.attack_summary import summarise_attacks
from hormesis.pipeline.summaries.capability_summary import summarise_capability
from hormesis.pipeline.summaries.summary import summarise


def summarise_arm(context: StudyContext, arm: ArmGroup) -> None:
    """Write an arm's summaries from the rows and files that are there."""
    summarise(context, arm)
    summarise_attacks(context, arm)
    summarise_capability(context, arm)


def summarise_subject(context: StudyContext, subject: Subject) -> None:
    """The same for the arm of a checkpoint."""
    summarise_arm(context, arm_of(subject))
