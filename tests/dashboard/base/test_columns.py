"""Rows in words: titled columns, arms and conditions as people call them, no text cut by the grid."""

from __future__ import annotations

import pandas as pd

from hormesis.dashboard.base.columns import in_words, text_widths

METHODS = ["none", "iti", "random-direction"]
KEYS = ["none", "iti/mass_mean/cost-0.06", "random/cost-0.06"]
LONG = "Student's t over 2 seeds with a bootstrap over prompts"


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "kind": "toxic", "share": [0.0, 0.05, 0.05], "method": METHODS, "condition_key": KEYS,
            "strength": [0.0, 2.0, 9.0], "matched_cost": [None, 0.06, 0.06], "scorer": "forum",
            "name": "fire_rate", "interval": [LONG, LONG, "none"], "value": [1.0, 2.0, 3.0], "n_seeds": 2,
            "study": "",
        }
    )  # fmt: skip


def test_rows_are_titled_what_varies_first_and_long_texts_last() -> None:
    table = in_words(rows())
    assert list(table.columns) == [
        "Arm", "Condition", "Strength (sigmas)", "Value", "Scorer", "Measure", "Seeds", "Interval",
    ]  # fmt: skip
    assert list(table["Arm"]) == ["0 % toxic", "5 % toxic", "5 % toxic"]
    assert list(table["Condition"]) == ["Unsteered", "ITI at +0.06 nats", "Random directions at +0.06 nats"]
    assert set(table["Measure"]) == {"Fire rate"}
    assert in_words(rows().iloc[:0]).empty


def test_keys_stay_where_words_do_not_tell_conditions_apart() -> None:
    twins = rows().assign(condition_key=["none", "iti/mass_mean/cost-0.06", "iti/probe/cost-0.06"])
    twins["method"] = ["none", "iti", "iti"]
    assert list(in_words(twins)["Condition key"]) == list(twins["condition_key"])


def test_a_text_much_longer_than_most_has_its_width() -> None:
    texts = {"a": "random-direction", "b": "iti", "c": LONG}
    table = pd.DataFrame({name: ["iti"] * 9 + [text] for name, text in texts.items()})
    widths = text_widths(table.assign(d=1.0))
    assert set(widths) == {"a"} and widths["a"] >= 7 * len("random-direction")
