"""Statistics of the study: estimates of one model, metrics over seeds, contrasts between arms.

Knows numbers only. `estimates` resamples prompts, `seeds` adds the spread between seeds of one arm, `arms`
compares arms.
"""

from hormesis.pipeline.statistics.arms import Contrast, contrast
from hormesis.pipeline.statistics.estimates import (
    SCORE,
    Bounds,
    Estimate,
    Floats,
    Interval,
    StatisticsError,
    all_agree,
    expected_maximum,
    fire_rate,
    mean_interval,
    paired_difference,
    proportion,
    ratio_interval,
    resampled_sums,
)
from hormesis.pipeline.statistics.seeds import (
    Spread,
    interaction,
    over_directions,
    over_intervals,
    over_seeds,
    pooled_spread,
)

__all__ = [
    "SCORE",
    "Bounds",
    "Contrast",
    "Estimate",
    "Floats",
    "Interval",
    "Spread",
    "StatisticsError",
    "all_agree",
    "contrast",
    "expected_maximum",
    "fire_rate",
    "interaction",
    "mean_interval",
    "over_directions",
    "over_intervals",
    "over_seeds",
    "paired_difference",
    "pooled_spread",
    "proportion",
    "ratio_interval",
    "resampled_sums",
]
