"""What heads add, against counting statement by statement."""

from __future__ import annotations

import numpy as np
import pytest

from hormesis.pipeline.probing.contributions import missed_and_right


@pytest.mark.parametrize("steered", [1, 2, 3, 5])
def test_counts_are_those_of_a_loop(steered: int) -> None:
    rng = np.random.default_rng(steered)
    hits = rng.random((6, 40)) < 0.6
    is_steered = np.arange(6) < steered
    missed, right = missed_and_right(hits, is_steered)
    for head in range(6):
        others = [other for other in range(6) if is_steered[other] and other != head]
        hard = [
            statement
            for statement in range(40)
            if others and sum(not hits[other, statement] for other in others) * 2 >= len(others)
        ]
        assert missed[head] == len(hard)
        assert right[head] == sum(bool(hits[head, statement]) for statement in hard)
