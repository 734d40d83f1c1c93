"""Every table as a typed class; import them from here."""

from hormesis.db.schema.base import Base, utc_now
from hormesis.db.schema.claims import DoseFit, Verdict
from hormesis.db.schema.evaluation import (
    Condition,
    Generation,
    Metric,
    Prompt,
    PromptSet,
    Score,
    Scorer,
    Summary,
)
from hormesis.db.schema.features import Entanglement, FeatureCosine, HeadSummary, LensToken, ProbeHits
from hormesis.db.schema.geometry import (
    ActivationBlock,
    Direction,
    DirectionProfile,
    Example,
    ExampleList,
    MapAgreement,
    Probe,
    ProbeSet,
    Projection,
    ProjectionPoint,
)
from hormesis.db.schema.hardness import (
    Attack,
    AttackOutcome,
    AttackPoint,
    AttackTest,
    AttackTrial,
    CapabilityScore,
)
from hormesis.db.schema.study import Arm, Checkpoint, StageRun, Study, TrainPoint
from hormesis.db.schema.toy import ToyEffect, ToyExperiment, ToyMeasure, ToyPoint, ToyRun

__all__ = [
    "ActivationBlock",
    "Arm",
    "Attack",
    "AttackOutcome",
    "AttackPoint",
    "AttackTest",
    "AttackTrial",
    "Base",
    "CapabilityScore",
    "Checkpoint",
    "Condition",
    "Direction",
    "DirectionProfile",
    "DoseFit",
    "Entanglement",
    "Example",
    "ExampleList",
    "FeatureCosine",
    "Generation",
    "HeadSummary",
    "LensToken",
    "MapAgreement",
    "Metric",
    "Probe",
    "ProbeHits",
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
    "ToyEffect",
    "ToyExperiment",
    "ToyMeasure",
    "ToyPoint",
    "ToyRun",
    "TrainPoint",
    "Verdict",
    "utc_now",
]
