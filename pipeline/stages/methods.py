"""Stage `methods`: what detox methods need of a checkpoint beside its probes, made once and kept.

Tuned weights lie as files under `files/tuned/<hash>`; a second set of directions becomes rows. Conditions,
which come next, only open what is here.
"""

from __future__ import annotations

from pipeline.context import StudyContext
from pipeline.methods.second import make_second
from pipeline.methods.tuned import make_tuned
from pipeline.progress import Reporter
from pipeline.registry import Inputs


def prepare_methods(context: StudyContext, inputs: Inputs, checkpoint: int, reporter: Reporter) -> None:
    """Tune a checkpoint by every method that needs it, and find its second directions where the study
    asks.
    """
    methods = context.config.methods
    if methods.second_directions:
        make_second(context, inputs, checkpoint, reporter)
    for name in methods.tuned:
        reporter.say(f"fine-tuning by {name}")
        make_tuned(context, inputs, checkpoint, name, reporter)
