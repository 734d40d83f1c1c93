"""Words for numbers that are not to be trusted."""

from __future__ import annotations

import pandas as pd
import pytest

from hormesis.dashboard.base.wording import gate_words, interval, number
from hormesis.db.contract.scores import MOST_EMPTY


def test_conditions_with_too_many_empty_texts_are_named_with_interval_and_n() -> None:
    rates = pd.DataFrame({
        "name": "empty", "kind": "toxic", "share": 0.1, "method": "iti", "strength": 2.0,
        "matched_cost": [0.02, 0.06, 0.15, 0.3, 0.5], "value": [MOST_EMPTY, 0.4, 0.3, 0.9, 0.8],
        "low": 0.2, "high": 0.95, "n": 256,
    }).assign(condition_key="iti/mass_mean/cost")  # fmt: skip
    words = gate_words(rates)
    assert words.startswith("More than 25 % of the texts are empty and have no score")
    assert "10 % toxic, ITI at +0.3 nats: 90 % [20, 95] (n = 256 prompts)" in words
    assert "+0.02" not in words and words.endswith(" and 1 more.")
    assert gate_words(rates[:1]) == "" == gate_words(rates.assign(name="toxicity"))


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (99.6, 2, "100"),
        (12.34, 2, "12"),
        (1234.5, 3, "1,234"),
        (-1500.0, 2, "−1,500"),
        (0.0000123, 2, "1.2e−05"),
    ],
)
def test_a_large_number_has_no_exponent(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text
    assert interval(1234.5, -2000.0, None) == "1,234 (no interval)"
    assert interval(1234.5, -2000.0, 4000.0, unit="points") == "1,234 [−2,000, 4,000] points"
