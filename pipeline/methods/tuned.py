"""Tuned weights of a checkpoint: where they lie, how they are made, and what a condition's row says of
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hormesis.backend.model.models import load_model
from hormesis.db.contract.methods import Tuned
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.lock import taking_turns
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.methods.pairs import read_pairs, tokenise
from hormesis.pipeline.methods.tuning import TuningResult, open_tuning, tune
from hormesis.pipeline.probing.loading import checkpoint_facts, intact_weights
from hormesis.pipeline.study.scales import SHAPES
from hormesis.pipeline.text.text_pairs import split_pairs

LONGEST = 512
"""Tokens of a pair's side with its prompt, or the model's context where that is shorter."""


def tuned_folder(context: StudyContext, weights_hash: str, method: str) -> Path:
    """Where the weights of a checkpoint after `sft` or `dpo` lie."""
    return context.folder("tuned", context.inputs.tune(weights_hash, method))


def make_tuned(
    context: StudyContext, checkpoint_id: int, method: Tuned, *, reporter: Reporter
) -> TuningResult:
    """Tune a checkpoint, or go on tuning it, or find that it was done. Raises SourceError for too few
    pairs.
    """
    base = checkpoint_facts(context, checkpoint_id)
    folder = tuned_folder(context, base.weights_hash, method)
    # Another study with the same checkpoint and the same pairs would write to the same folder.
    with taking_turns(context.home, f"tune-{folder.name}", reporter.check):
        finished = open_tuning(folder)
        if finished is not None:
            return finished
        held_out, trained = split_pairs(read_pairs(context))
        # A copy of its own: the kept one must not be changed under later conditions.
        loaded = load_model(intact_weights(context, base.path), dtype="float32", check=False)
        limit = min(LONGEST, loaded.context or LONGEST)
        return tune(
            loaded,
            folder,
            method=method,
            settings=getattr(context.config.methods, method),
            scale_rate=SHAPES[context.config.scale].learning_rate,
            pairs=tokenise(loaded, trained, limit),
            held_out=tokenise(loaded, held_out, limit),
            progress=reporter.counting(f"{method} steps"),
        )


def tuned_facts(context: StudyContext, weights_hash: str, method: str) -> dict[str, Any]:
    """What a condition's row says of its weights; `path` is relative to the home, `key` names the inputs.

    Raises ValueError where they were not made yet.
    """
    folder = tuned_folder(context, weights_hash, method)
    tuning = open_tuning(folder)
    if tuning is None:
        raise ValueError(f"the checkpoint was not put through {method} yet; run the study again")
    return {
        "name": method,
        "path": context.relative(folder / "model"),
        "key": folder.name,
        "steps": tuning.steps,
        "learning_rate": tuning.learning_rate,
        "last_loss": tuning.losses[-1],
        "held_out_pairs": tuning.held_out,
        "preferred_before": tuning.preferred[0],
        "preferred_after": tuning.preferred[1],
        "margin_before": tuning.margin[0],
        "margin_after": tuning.margin[1],
    }
