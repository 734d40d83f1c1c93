"""Stage `methods`: what detox methods need of a checkpoint beside its probes, made once and kept.

Tuned weights lie as files under `files/tuned/<hash>`; a second set of directions becomes rows. Conditions,
which come next, only open what is here.
"""

from __future__ import annotations

from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import checkpoint_id_of
from hormesis.pipeline.methods.second_directions import make_second
from hormesis.pipeline.methods.tuned import make_tuned


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
