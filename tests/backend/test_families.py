"""Every family on a tiny random model: what it is, and that the README says so; what the proof catches."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from hormesis.backend.model.models import ModelError, describe
from tests.families import REFUSED, Outcome, check
from tests.fixtures.families import FURTHER, OPTIONS
from tests.fixtures.tiny import tiny_model, tiny_tokenizer

README = Path(__file__).resolve().parents[2] / "README.md"


def assert_told(outcome: Outcome, column: int) -> None:
    """The README's table says of the family what it is, in this column."""
    (row,) = re.findall(rf"^\|.*`{outcome.family}`.*$", README.read_text(encoding="utf-8"), re.MULTILINE)
    cell = row.split("|")[column].strip()
    assert cell.startswith(outcome.status)
    assert outcome.status != REFUSED or column > 2 or cell == f"{REFUSED}: {outcome.detail}"


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=pytest.mark.slow if name in FURTHER else ()) for name in OPTIONS]
)
def test_a_family_is_what_the_readme_says(family: str) -> None:
    assert_told(check(family), 2)


@pytest.mark.slow
@pytest.mark.parametrize("family", OPTIONS)
def test_in_bfloat16_too(family: str) -> None:
    assert_told(check(family, torch.bfloat16), 3)


@pytest.mark.parametrize(
    ("family", "arguments"),
    [("llama", {"attention_mask"}), ("gpt2", {"position_ids"}), ("llama", {"cache", "past_key_values"})],
)
def test_a_model_that_is_wrong_in_a_batch_is_refused(family: str, arguments: set[str]) -> None:
    """One that heeds no padding, counts positions through it, or forgets what it has read."""
    model = tiny_model(family)
    forward = model.forward

    @functools.wraps(forward)
    def heedless(**inputs: Any) -> Any:
        return forward(**{name: value for name, value in inputs.items() if name not in arguments})

    model.forward = heedless
    with pytest.raises(ModelError, match="in a batch"):
        describe(model, tiny_tokenizer())
