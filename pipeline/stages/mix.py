"""Stage `mix`: the token bin of one arm, and what went into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hormesis.db.schema import Arm
from hormesis.db.write import write_session
from hormesis.pipeline.execution.arms import ArmPlan, portion_of
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject, arm_of
from hormesis.pipeline.execution.study import arm_row
from hormesis.pipeline.stages.tokens import corpus_folder, pool
from hormesis.pipeline.text.mix_stream import Annotation
from hormesis.pipeline.text.mixes import Mix, build_mix, toxic_share
from hormesis.pipeline.text.pools import MixError
from hormesis.pipeline.text.prefixes import mark
from hormesis.pipeline.text.tokenization import load_tokenizer, token_ids


def mix_folder(context: StudyContext, arm: ArmPlan) -> Path:
    """Where the mix of an arm lies."""
    return context.folder("mixes", context.inputs.mix(arm))


def open_or_build(context: StudyContext, arm: ArmPlan, reporter: Reporter | None = None) -> Mix:
    """The arm's mix; built where it is not there yet. Raises MixError where text is missing."""
    config = context.config
    clean = pool(context, "clean")
    if clean is None:
        raise MixError(f"no token pool of clean text in '{corpus_folder(context)}'; run the study again")
    return build_mix(
        mix_folder(context, arm),
        clean=clean,
        clean_tokens=config.clean_tokens,
        added=pool(context, arm.added_role) if arm.share > 0 else None,
        share=arm.share,
        seed=arm.seed,
        allow_repetition=config.allow_repetition,
        annotation=annotation_of(context, arm),
        portion=portion_of(config, arm),
        progress=reporter.counting("tokens") if reporter else None,
    )


def annotation_of(context: StudyContext, arm: ArmPlan) -> Annotation | None:
    """What an arm of kind `meda`, `inst` or `slung` makes of its documents' toxicity; None for other kinds.
    `marks` [101] are texts by toxicity in hundredths.
    """
    if not arm.marked:
        return None
    settings = context.config.annotation
    if arm.kind == "slung":
        return Annotation(masked_from=settings.threshold)
    marks = [mark(context.config, arm.kind, hundredth / 100) for hundredth in range(101)]
    tokenizer = load_tokenizer(corpus_folder(context) / "tokenizer")
    ids = {text: tuple(row) for text, row in zip(marks, token_ids(tokenizer, marks), strict=True)}
    return Annotation(tuple(ids[text] for text in marks), settings.tagged)


def make_mix(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Build the mix and write its composition into the arm's row."""
    arm = arm_of(subject)
    mix = open_or_build(context, arm, reporter)
    arm_id = arm_row(context, arm)
    with write_session(context.engine) as session:
        row = session.get_one(Arm, arm_id)
        row.clean_tokens, row.added_tokens = mix.clean_tokens, mix.added_tokens
        row.repeats, row.composition = mix.repeats, mix.composition
        measured = toxic_share(mix.composition)
        if measured is not None:
            row.toxic_share, row.judged = measured.value, measured.n
            row.toxic_share_low, row.toxic_share_high = measured.low, measured.high


def mix_files(context: StudyContext, subject: Subject) -> Iterator[Path]:
    """The token bin."""
    yield mix_folder(context, arm_of(subject))
