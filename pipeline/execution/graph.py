"""The graph of a study: its declared stages in order, and those that a study, arm or checkpoint asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hormesis.db.contract.stages import Level, stage_order, stages_after_arms
from hormesis.pipeline.execution.arms import plan_arms
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.stage import STUDY, Stage, Subject, is_done
from hormesis.pipeline.study.config import StudyConfig

Planned = tuple[Stage, Subject]


class GraphError(Exception):
    """Stages are declared that cannot be walked: a mistake in the code, not the person's."""


@dataclass(frozen=True)
class Graph:
    """Declared stages, sorted as `db.contract.stages` orders them, and what follows each checkpoint."""

    stages: tuple[Stage, ...]
    after_each: tuple[Callable[[StudyContext, Subject], None], ...] = ()
    """Called when the last stage of an arm or an imported checkpoint is done; they keep no state."""

    def __post_init__(self) -> None:
        """Raises GraphError where a need is missing or comes later in the order."""
        object.__setattr__(self, "stages", tuple(sorted(self.stages, key=lambda s: stage_order(s.name))))
        before: set[str] = set()
        for stage in self.stages:
            missing = set(stage.needs) - before
            if missing:
                raise GraphError(
                    f"{stage.name} needs {', '.join(sorted(missing))}, which do not come before it"
                )
            before.add(stage.name)

    def before_arms(self, config: StudyConfig) -> tuple[Stage, ...]:
        """Stages of the whole study that its arms begin with."""
        return self._of_study(config, after=False)

    def after_arms(self, config: StudyConfig) -> tuple[Stage, ...]:
        """Stages of the whole study that begin when all arms are done."""
        return self._of_study(config, after=True)

    def _of_study(self, config: StudyConfig, *, after: bool) -> tuple[Stage, ...]:
        stages = (stage for stage in self.stages if stage.level is Level.STUDY and stage.when(config, STUDY))
        return tuple(stage for stage in stages if (stage.name in stages_after_arms()) == after)

    def of_subject(self, config: StudyConfig, subject: Subject) -> tuple[Stage, ...]:
        """Stages of an arm and its checkpoint, or of an imported checkpoint."""
        levels = {Level.CHECKPOINT} if subject.arm is None else {Level.ARM, Level.CHECKPOINT}
        return tuple(stage for stage in self.stages if stage.level in levels and stage.when(config, subject))

    def plan(self, config: StudyConfig, subjects: Sequence[Subject]) -> Iterable[Planned]:
        """Every stage of a study with its subject, in the order in which they run one after another."""
        yield from ((stage, STUDY) for stage in self.before_arms(config))
        yield from ((stage, subject) for subject in subjects for stage in self.of_subject(config, subject))
        yield from ((stage, STUDY) for stage in self.after_arms(config))

    def is_finished(self, context: StudyContext, subjects: Sequence[Subject]) -> bool:
        """Whether every stage of a study is done with the inputs of now."""
        return all(is_done(context, *planned) for planned in self.plan(context.config, subjects))

    def mermaid(self) -> str:
        """The graph as a Mermaid flowchart: an arrow from each stage to those that need it."""
        lines = ["flowchart LR"]
        for level, title in (
            (Level.STUDY, "study"),
            (Level.ARM, "each arm"),
            (Level.CHECKPOINT, "each checkpoint"),
        ):
            lines.append(f'    subgraph {level}_stages ["{title}"]')
            lines += [f"        {stage.name}" for stage in self.stages if stage.level is level]
            lines.append("    end")
        lines += [f"    {need} --> {stage.name}" for stage in self.stages for need in stage.needs]
        return "\n".join(lines)


def arm_subjects(context: StudyContext) -> list[Subject]:
    """The arms of a study, first seed first, with the hashes of the weights they lead to."""
    inputs = context.inputs
    return [Subject(arm.name, arm, inputs.train(arm), inputs.model(arm)) for arm in plan_arms(context.config)]
