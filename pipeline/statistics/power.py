"""What a study of this size can see: power, smallest detectable effect, narrowest margin of equivalence.

Knows the variance of a contrast and nothing of what was compared. Power of the two-sided test by the
noncentral t distribution; where seeds and prompts both add error, with Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

import math

import scipy

from hormesis.pipeline.statistics import Contrast

POWER = 0.8


def power(contrast: Contrast, effect: float, level: float = 0.05) -> float:
    """Chance that the two-sided test at `level` finds a true effect of this size (in the contrast's unit)."""
    if contrast.error == 0:
        return 1.0 if effect else level
    return _power(contrast, effect, contrast.reach(1 - level) / contrast.error)


def _power(contrast: Contrast, effect: float, critical: float) -> float:
    """The same for a critical value of the t statistic."""
    shift = abs(effect) / contrast.error
    # The functions behind `scipy.stats.nct`, without its checks of every argument.
    above = 1 - scipy.special.nctdtr(contrast.df, shift, critical)
    below = scipy.special.nctdtr(contrast.df, shift, -critical)
    return float(above + (0.0 if math.isnan(below) else below))


def detectable(contrast: Contrast, *, target: float = POWER, level: float = 0.05) -> float:
    """Smallest true effect found with the power wanted: what this study can see, in the contrast's unit."""
    if contrast.error == 0:
        return 0.0
    critical = contrast.reach(1 - level) / contrast.error
    most = contrast.error
    while _power(contrast, most, critical) < target:
        most *= 2
    return float(scipy.optimize.brentq(lambda effect: _power(contrast, effect, critical) - target, 0.0, most))


def narrowest_margin(contrast: Contrast, *, target: float = POWER, level: float = 0.05) -> float:
    """Smallest margin within which two one-sided tests find equal arms equal with the power wanted.

    They do where the estimate lies within the margin less the half width of the interval at `1 - 2 level`
    (Schuirmann 1987).
    """
    reach = contrast.reach(1 - 2 * level)
    return reach + float(scipy.special.stdtrit(contrast.df, (1 + target) / 2)) * contrast.error
