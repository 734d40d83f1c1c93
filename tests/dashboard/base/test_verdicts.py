"""What of the paper outlives its nulls, in words."""

from __future__ import annotations

import pandas as pd
import pytest

from hormesis.dashboard.base.verdicts import NULLS, after_nulls
from hormesis.dashboard.charts.nulls import null_table, parts_table
from hormesis.pipeline.claims.registry import CLAIMS


def verdicts(**statuses: str) -> pd.DataFrame:
    rows = [(claim.replace("_", "-"), status, f"says {claim}") for claim, status in statuses.items()]
    return pd.DataFrame(rows, columns=["claim", "status", "statement"])


@pytest.mark.parametrize(
    ("random", "permuted", "words"),
    [
        ("supported", "supported", "Survives: “says C4_steer” (2 of 4 nulls measured, all supported)."),
        ("supported", "no data yet", "Survives: “says C4_steer” (1 of 4 nulls measured, all supported)."),
        (
            "not supported",
            "undecided",
            "Does not survive: “says C4_steer” (not supported: says C4_random).",
        ),
        ("supported", "undecided", "Open: “says C4_steer” (undecided: says C4_permuted)."),
    ],
)
def test_a_claim_survives_where_all_of_its_nulls_are_supported(
    random: str, permuted: str, words: str
) -> None:
    table = verdicts(C4_steer="supported", C4_random=random, C4_permuted=permuted, C3_mean="undecided")
    assert after_nulls(table).endswith(words) and "C3_mean" not in after_nulls(table)


def test_without_nulls_or_support_nothing_is_said() -> None:
    assert after_nulls(verdicts(C4_steer="supported", C4_random="no data yet")) == ""
    assert after_nulls(verdicts(C4_steer="undecided", C4_random="supported")) == ""


def test_every_null_is_a_declared_claim() -> None:
    assert {*NULLS, *(null for nulls in NULLS.values() for null in nulls)} <= {claim.id for claim in CLAIMS}


def test_a_direction_made_anew_has_no_rank_and_its_interval_is_in_parts() -> None:
    row = {
        "kind": "toxic", "share": 0.1, "null_kind": "resampled", "directions": 4, "steered": 8.0, "mean": 7.0,
        "percentile": None, "value": 0.9, "low": 0.5, "high": 1.6, "n_seeds": 2, "n": 60, "steered_low": 2.0,
        "steered_high": 14.0, "seeds_variance": 1.0, "prompts_variance": 2.0, "direction_variance": 1.0,
    }  # fmt: skip
    effects = pd.DataFrame([row]).assign(rank=pd.array([None], dtype="Int64"))
    assert null_table(effects)["Rank among nulls"].tolist() == ["–"]
    parts = parts_table(effects).iloc[0]
    assert list(parts[["Seeds", "Prompts", "Direction"]]) == ["25 %", "50 %", "25 %"]
