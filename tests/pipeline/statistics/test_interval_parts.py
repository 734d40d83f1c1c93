"""Parts of an interval on planted variances: each is told, and the joint interval covers the truth."""

from __future__ import annotations

import numpy as np
import pytest

from hormesis.pipeline.statistics.interval_parts import Parts, interval_parts

SEEDS, PROMPTS, REPLICATES = 4, 60, 20


def study(rng: np.random.Generator, seeds: float, prompts: float, direction: float):
    """Values [seeds, prompts] of one study about 0, and replicates; spreads of one seed, prompt, direction.

    A direction moves all seeds alike; a replicate moves them by as much about the study's own.
    """
    shift = rng.normal(0, direction)
    cells = rng.normal(0, seeds, (SEEDS, 1)) + rng.normal(0, prompts, (1, PROMPTS)) + shift
    anew = rng.normal(0, direction, (REPLICATES, 1, 1))
    values = cells + rng.normal(0, 5, cells.shape)
    return values, cells + anew + rng.normal(0, 5, (REPLICATES, *cells.shape))


def test_parts_are_what_was_planted():
    rng = np.random.default_rng(0)
    parts = [interval_parts(*study(rng, 2.0, 10.0, 1.5)) for _ in range(200)]
    assert np.mean([part.seeds for part in parts]) == pytest.approx(2.0**2 / SEEDS, rel=0.15)
    prompts = 10.0**2 / PROMPTS + 5.0**2 / (SEEDS * PROMPTS)
    assert np.mean([part.prompts for part in parts]) == pytest.approx(prompts, rel=0.1)
    assert np.mean([part.direction for part in parts]) == pytest.approx(1.5**2, rel=0.1)


@pytest.mark.parametrize("spreads", [(2.0, 10.0, 1.5), (0.5, 8.0, 3.0), (3.0, 4.0, 0.2)])
def test_the_joint_interval_covers_the_truth(spreads):
    rng = np.random.default_rng(1)
    parts = [interval_parts(*study(rng, *spreads)) for _ in range(400)]
    assert 0.925 <= np.mean([part.low <= 0 <= part.high for part in parts]) <= 0.985


def test_without_the_direction_it_would_not():
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(300):
        values, replicates = study(rng, 0.5, 8.0, 3.0)
        part = interval_parts(values, np.zeros_like(replicates))
        assert part.direction == 0
        covered.append(part.low <= 0 <= part.high)
    assert np.mean(covered) < 0.7


def test_what_cannot_be_told_is_none():
    rng = np.random.default_rng(3)
    values, replicates = study(rng, 1.0, 5.0, 2.0)
    alone = interval_parts(values[:1], replicates[:, :1])
    assert alone == Parts(direction=alone.direction) and alone.direction > 0
    assert interval_parts(values, replicates[:1]) == Parts()
    level = interval_parts(np.zeros_like(values), np.zeros_like(replicates))
    assert level == Parts(0.0, 0.0, 0.0), "no interval where nothing varies"
    gaps = values.copy()
    gaps[0, 7] = np.nan
    fewer = [np.delete(array, 7, axis=-1) for array in (values, replicates)]
    assert interval_parts(gaps, replicates) == interval_parts(*fewer)
