"""Statistics of the study: estimates of one model, metrics over seeds, contrasts between arms.

Knows numbers only. `estimates` resamples prompts of one model, `variance` measures how much seeds differ,
`arms` compares arms by both, `seeds` gives a single arm's metric by the same rule.
"""

from hormesis.pipeline.statistics.arms import (
    ArmMean,
    Contrast,
    arm_mean,
    arm_means,
    contrast,
    log_odds,
    seed_spread,
)
from hormesis.pipeline.statistics.estimates import (
    SCORE,
    Bounds,
    Estimate,
    Floats,
    Interval,
    StatisticsError,
    above,
    all_agree,
    by_prompt,
    expected_maximum,
    finite,
    fire_rate,
    largest,
    mean_interval,
    paired_difference,
    proportion,
    ratio_interval,
    resampled_sums,
)
from hormesis.pipeline.statistics.seeds import (
    over_directions,
    over_intervals,
    over_runs,
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
    "above",
    "all_agree",
    "arm_mean",
    "arm_means",
    "by_prompt",
    "contrast",
    "expected_maximum",
    "finite",
    "fire_rate",
    "interaction",
    "largest",
    "log_odds",
    "mean_interval",
    "over_directions",
    "over_intervals",
    "over_runs",
    "over_seeds",
    "paired_difference",
    "pooled_spread",
    "proportion",
    "ratio_interval",
    "resampled_sums",
    "seed_spread",
    "share_spread",
]
