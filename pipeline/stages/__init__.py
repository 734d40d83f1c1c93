"""The stages of a study: what each needs, when it is asked for, its key, and where its work is.

The list is the graph: hashes, order, what a plan has left and what a run or an import walks come from it.
The work lies in files of its own, imported when a stage runs, so that a plan needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hormesis.pipeline.execution.arms import is_chosen
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.deferred import Deferred
from hormesis.pipeline.execution.graph import Graph
from hormesis.pipeline.execution.inputs import Inputs
from hormesis.pipeline.execution.stage import Stage, Subject, arm_of, is_trained_here
from hormesis.pipeline.stages.toy import is_requested, toy_key
from hormesis.pipeline.study.config import StudyConfig


def _in_room(address: str) -> Deferred:
    """A function of this room, by its file and name."""
    return Deferred(f"pipeline.stages.{address}")


@dataclass(frozen=True)
class ByWeights:
    """The key of a stage on a checkpoint: a hash of `Inputs` that follows from the checkpoint's weights."""

    hash: Callable[[Inputs, str], str]

    def __call__(self, context: StudyContext, subject: Subject) -> str:
        """Hash of everything the stage depends on for this subject."""
        return self.hash(context.inputs, subject.weights_hash)


def _text_key(context: StudyContext, subject: Subject) -> str:
    """Hash of everything the study reads: sources, their revisions, and the settings that choose."""
    return context.inputs.text


def _mix_key(context: StudyContext, subject: Subject) -> str:
    """Hash of the corpus and of the arm's kind of text, share and seed."""
    return context.inputs.mix(arm_of(subject))


def _weights_key(context: StudyContext, subject: Subject) -> str:
    """The name of a checkpoint's weights: hash of an arm's mix, seed and training, or of foreign weights."""
    return subject.weights_hash


def _is_foreign(config: StudyConfig, subject: Subject) -> bool:
    """Whether the subject's checkpoint was trained elsewhere."""
    return bool(subject.model)


def _needs_methods(config: StudyConfig, subject: Subject) -> bool:
    """Whether any method of the study tunes weights or wants second directions."""
    return bool(config.methods.tuned or config.methods.second_directions)


def _is_measured(config: StudyConfig, subject: Subject) -> bool:
    """Whether the study measures capability, on this arm too; on every imported checkpoint."""
    return config.capability.has_tasks and is_chosen(config.capability, subject.arm)


def _is_attacked(config: StudyConfig, subject: Subject) -> bool:
    """Whether the study attacks by text, this arm too; every imported checkpoint."""
    return bool(config.hardness.texts) and is_chosen(config.hardness, subject.arm)


def _is_relearned(config: StudyConfig, subject: Subject) -> bool:
    """Whether the study fine-tunes the detox away, on this arm too; on every imported checkpoint."""
    return "relearn" in config.hardness.attacks and is_chosen(config.hardness, subject.arm)


TEXT = Stage("text", key=_text_key, run=_in_room("text:prepare"), files=_in_room("text:text_files"))
MIX = Stage(
    "mix",
    key=_mix_key,
    run=_in_room("mix:make_mix"),
    needs=("text",),
    when=is_trained_here,
    files=_in_room("mix:mix_files"),
)
TRAIN = Stage(
    "train",
    key=_weights_key,
    run=_in_room("train:train_arm"),
    needs=("mix",),
    when=is_trained_here,
    all_ranks=_in_room("train:train_with_the_others"),
    files=_in_room("train:train_files"),
    makes_weights=True,
)
LOAD = Stage(
    "load",
    key=_weights_key,
    run=_in_room("load:load_checkpoint"),
    needs=("text",),
    when=_is_foreign,
    files=_in_room("load:load_files"),
    makes_weights=True,
)
PROBE = Stage(
    "probe",
    key=ByWeights(Inputs.probes_and_nulls),
    run=_in_room("probe:probe_checkpoint"),
    needs=("text",),
)
GEOMETRY = Stage(
    "geometry", key=ByWeights(Inputs.geometry), run=_in_room("geometry:measure_geometry"), needs=("probe",)
)
METHODS = Stage(
    "methods",
    key=ByWeights(Inputs.methods),
    run=_in_room("methods:prepare_methods"),
    needs=("probe",),
    when=_needs_methods,
    files=_in_room("methods:methods_files"),
)
CONDITION = Stage(
    "condition",
    key=ByWeights(Inputs.condition),
    run=_in_room("condition:find_conditions"),
    needs=("probe", "methods"),
)
GENERATE = Stage(
    "generate", key=ByWeights(Inputs.generate), run=_in_room("generate:generate_all"), needs=("condition",)
)
SCORE = Stage(
    "score", key=ByWeights(Inputs.score), run=_in_room("score:score_checkpoint"), needs=("generate",)
)
CAPABILITY = Stage(
    "capability",
    key=ByWeights(Inputs.capability),
    run=_in_room("capability:measure_capability"),
    needs=("condition",),
    when=_is_measured,
)
ATTACK = Stage(
    "attack",
    key=ByWeights(Inputs.attack),
    run=_in_room("attack:attack_checkpoint"),
    needs=("score",),
    when=_is_attacked,
)
RELEARN = Stage(
    "relearn",
    key=ByWeights(Inputs.relearn),
    run=_in_room("relearn:relearn_checkpoint"),
    needs=("score",),
    when=_is_relearned,
)
PROJECT = Stage(
    "project",
    key=_in_room("project:project_key"),
    run=_in_room("project:project"),
    needs=("probe", "geometry", "score"),
    reads_rows=True,
)
TOY = Stage("toy", key=toy_key, run=_in_room("toy:make_toys"), when=is_requested)
VERDICTS = Stage(
    "verdicts",
    key=_in_room("verdicts:verdicts_key"),
    run=_in_room("verdicts:make_verdicts"),
    needs=("score", "project", "toy"),
    reads_rows=True,
)

GRAPH = Graph(
    stages=(
        TEXT,
        MIX,
        TRAIN,
        LOAD,
        PROBE,
        GEOMETRY,
        METHODS,
        CONDITION,
        GENERATE,
        SCORE,
        CAPABILITY,
        ATTACK,
        RELEARN,
        PROJECT,
        TOY,
        VERDICTS,
    ),
    after_each=(Deferred("pipeline.summaries.every_summary:summarise_subject"),),
)
