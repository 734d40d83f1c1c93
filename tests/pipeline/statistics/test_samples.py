"""Samples keep the shares of their strata, and are the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from hormesis.pipeline.statistics.samples import sample_rows


def test_a_sample_keeps_the_shares_of_its_strata():
    strata = ["a"] * 900 + ["b"] * 97 + ["c"] * 3
    rows = sample_rows(1000, 100, strata)
    assert len(rows) == len(set(rows)) == 100 and (np.diff(rows) > 0).all()
    labels = [strata[row] for row in rows]
    assert labels.count("c") == 1 and 88 <= labels.count("a") <= 91
    assert np.array_equal(sample_rows(1000, 100, strata), rows)
    assert len(sample_rows(10, 100)) == 10
    assert len(sample_rows(100, 10, list(range(100)))) == 10
    with pytest.raises(ValueError, match="2 strata for 5 rows"):
        sample_rows(5, 3, ["a", "b"])
