"""The sentence that sums attacks up, by what their intervals hold."""

from __future__ import annotations

import pandas as pd
import pytest

from hormesis.dashboard.base.attack_rows import undone_headline
from hormesis.dashboard.base.verdicts import UNDECIDED


@pytest.mark.parametrize(
    ("intervals", "status", "words"),
    [
        ([(1, 9)], "", "1 of 1 attacks raises toxicity beyond chance"),
        ([(-9, -1), (1, 9)], "", "1 of 2 attacks raises toxicity beyond chance"),
        ([(-1, 9)], UNDECIDED, "Undecided whether the one attack tried raises toxicity"),
        ([(-9, -1), (-2, 1)], UNDECIDED, "Undecided whether any of 2 attacks raises toxicity"),
        ([(-9, -1), (-4, -2)], "", "No attack of 2 raises toxicity"),
    ],
)
def test_undecided_is_what_the_intervals_leave_open(
    intervals: list[tuple[int, int]], status: str, words: str
) -> None:
    undone = pd.DataFrame(
        [
            {"arm": "25 % toxic", "kind": "toxic", "share": 0.25, "label": "ITI", "title": f"Attack {place}"}
            | {"value": (low + high) / 2, "low": low, "high": high, "unit": "points", "n_seeds": 2, "n": 48}
            for place, (low, high) in enumerate(intervals)
        ]
    )
    answer = undone_headline(undone)
    assert answer.status == status and words in answer.answer
