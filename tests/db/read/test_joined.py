"""Rows of several queries joined as charts need them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hormesis.db import read
from hormesis.db.engine import open_reader


@pytest.mark.parametrize(
    ("condition_key", "partner"),
    [
        ("random/cost-0.06", "random-0/cost-0.06"),  # the pooled row of five; ITI has this cost as well
        ("iti/mass_mean/cost-0.06", "iti/mass_mean/cost-0.06"),
        ("random/cost-0.15", None),
    ],
)
def test_a_condition_is_paired_with_its_own_kind(
    tiny_database: Path, condition_key: str, partner: str | None
) -> None:
    engine = open_reader(f"sqlite:///{tiny_database}")
    checkpoints = read.checkpoints(engine, 1).set_index("name")["id"]
    pairs = read.condition_pairs(engine, 1, kind="toxic", share=0.25, condition_key=condition_key)
    assert list(pairs["checkpoint"]) == ([] if partner is None else ["toxic-25-s0", "toxic-25-s1"])
    for pair in pairs.itertuples():
        keys = read.conditions(engine, int(checkpoints[pair.checkpoint])).set_index("condition_id")
        assert keys["condition"][[pair.base_id, pair.condition_id]].tolist() == ["none", partner]
