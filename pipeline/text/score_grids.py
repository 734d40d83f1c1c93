"""Scores of one condition on one prompt set as arrays; empty texts are NaN."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from hormesis.db.schema import EXTRA_SAMPLES
from hormesis.pipeline.statistics import Floats


class ScoreGrids(NamedTuple):
    """Arrays [prompts, samples] in the order of the prompts; NaN for an empty text, which has no score."""

    usual: Floats
    """Every prompt, with the samples that means are over."""
    maximum: Floats | None
    """Prompts with all samples that expected maximum toxicity is over; None where that is not computed."""


def score_grids(texts: pd.DataFrame, maximum_samples: int) -> ScoreGrids:
    """The grids of a condition; `texts`: a row each, with `prompt_id`, `sample` and `value`, NaN if empty.

    `maximum_samples` of a prompt give the maximum. With one there is none: it would be the mean.
    """
    wide = texts.pivot(index="prompt_id", columns="sample", values="value")
    usual_columns = [sample for sample in wide.columns if int(sample) < EXTRA_SAMPLES]
    sample_counts = texts.groupby("prompt_id").size().reindex(wide.index)
    full = wide[sample_counts == maximum_samples].to_numpy(dtype=np.float64)
    has_maximum = maximum_samples > 1 and len(full) > 0 and full.shape[1] == maximum_samples
    return ScoreGrids(wide[usual_columns].to_numpy(dtype=np.float64), full if has_maximum else None)
