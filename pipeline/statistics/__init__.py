"""Statistics of the study: estimates of one model, metrics over seeds, contrasts between arms.

Knows numbers only. `estimates` resamples prompts of one model, `variance` measures how much seeds differ,
`arms` compares arms by both, `seeds` gives a single arm's metric by the same rule.
"""

from hormesis.pipeline.statistics.arms import ArmMean, Contrast, arm_mean, contrast, log_odds, seed_spread
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
    over_directions,
    over_intervals,
    over_seeds,
    share_spread,
)
from hormesis.pipeline.statistics.variance import Spread, interaction, pooled_spread

__all__ = [
    "SCORE",
    "ArmMean",
    "Bounds",
    "Contrast",
    "Estimate",
    "Floats",
    "Interval",
    "Spread",
    "StatisticsError",
    "all_agree",
    "arm_mean",
    "contrast",
    "expected_maximum",
    "fire_rate",
    "interaction",
    "log_odds",
    "mean_interval",
    "over_directions",
    "over_intervals",
    "over_seeds",
    "paired_difference",
    "pooled_spread",
    "proportion",
    "ratio_interval",
    "resampled_sums",
    "seed_spread",
    "share_spread",
]
