"""Every table as a typed class; import them from here."""

from db.schema.base import Base, utc_now
from db.schema.evaluation import Condition, Generation, Metric, Prompt, PromptSet, Score, Scorer, Summary
from db.schema.geometry import (
    ActivationBlock,
    Direction,
    Example,
    ExampleList,
    Probe,
    ProbeSet,
    Projection,
    ProjectionPoint,
)
from db.schema.study import Arm, Checkpoint, StageRun, Study, TrainPoint

__all__ = [
    "ActivationBlock",
    "Arm",
    "Base",
    "Checkpoint",
    "Condition",
    "Direction",
    "Example",
    "ExampleList",
    "Generation",
    "Metric",
    "Probe",
    "ProbeSet",
    "Projection",
    "ProjectionPoint",
    "Prompt",
    "PromptSet",
    "Score",
    "Scorer",
    "StageRun",
    "Study",
    "Summary",
    "TrainPoint",
    "utc_now",
]
