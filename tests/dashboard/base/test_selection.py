"""Which summary rows a view shows."""

from __future__ import annotations

import pandas as pd
import pytest

from hormesis.dashboard.base.selection import EVERY, FIXED, MATCHED, in_view

CONDITIONS = pd.DataFrame(
    {"method": ["none", "iti", "iti"], "matched_cost": [None, 0.06, None], "strength": [0.0, 6.6, 2.0]}
)


@pytest.mark.parametrize(
    ("view", "strengths"), [(MATCHED, [0.0, 6.6]), (FIXED, [0.0, 2.0]), (EVERY, [0.0, 6.6, 2.0])]
)
def test_a_view_shows_its_conditions_beside_the_unsteered_one(view: str, strengths: list[float]) -> None:
    assert in_view(CONDITIONS, view)["strength"].tolist() == strengths
