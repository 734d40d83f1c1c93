"""Stage `methods`: what detox methods need of a checkpoint beside its probes, made once and kept.

Tuned weights lie as files under `files/tuned/<hash>`; a second set of directions becomes rows. Conditions,
which come next, only open what is here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import checkpoint_id_of
from hormesis.pipeline.methods.second_directions import make_second, second_path
from hormesis.pipeline.methods.tuned import make_tuned, tuned_folder
from hormesis.pipeline.methods.tuning import RECORD


def prepare_methods(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Tune a checkpoint by every method that needs it, and find its second directions where the study
    asks.
    """
    checkpoint_id = checkpoint_id_of(context, subject.name)
    methods = context.config.methods
    if methods.second_directions:
        make_second(context, checkpoint_id, reporter)
    for name in methods.tuned:
        reporter.say(f"fine-tuning by {name}")
        make_tuned(context, checkpoint_id, name, reporter=reporter)


def methods_files(context: StudyContext, subject: Subject) -> Iterator[Path]:
    """Tuned weights with what was measured of them, and what is said of the second directions."""
    methods = context.config.methods
    if methods.second_directions:
        yield second_path(context, subject.weights_hash)
    for name in methods.tuned:
        folder = tuned_folder(context, subject.weights_hash, name)
        yield from (folder / "model", folder / RECORD)
