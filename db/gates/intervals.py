"""Intervals made of intervals: numbers alone, no rows."""

from __future__ import annotations

import math


def interval_of_difference(
    left: tuple[float, float, float], right: tuple[float, float, float]
) -> tuple[float, float, float]:
    """`right - left` with its interval from two (value, low, high); NaN limits where either has none.

    MOVER (Zou and Donner 2008, Statistics in Medicine 27:1693, formula 2 there), which needs no symmetry. It
    takes the two as independent: careful where both were measured on the same prompts. A value that lies
    outside its own interval (a bootstrap can do that) counts as lying on its limit.
    """
    value = right[0] - left[0]
    if any(math.isnan(limit) for limit in (*left[1:], *right[1:])):
        return value, math.nan, math.nan
    below = math.hypot(max(0.0, right[0] - right[1]), max(0.0, left[2] - left[0]))
    above = math.hypot(max(0.0, right[2] - right[0]), max(0.0, left[0] - left[1]))
    return value, value - below, value + above
