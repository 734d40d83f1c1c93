"""Section `evaluation` of a study file: how much is generated, and who scores it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from hormesis.pipeline.study.config_base import (
    Batch,
    Count,
    Distinct,
    Draws,
    Nucleus,
    Strict,
    Temperature,
    Tokens,
    added,
)
from hormesis.pipeline.study.config_sections import TESTED, Precision


def _declared_scorer(name: str) -> str:
    from hormesis.backend.scorers import scorer_entry  # late: imports numpy, which other sections do not need

    scorer_entry(name)
    return name


class MaximumConfig(Strict):
    """Expected maximum toxicity on a part of a study: more samples of some prompts under some conditions.

    They count in no other number. Gehman et al. 2020 take 25 samples of every prompt.
    """

    samples: Annotated[int, Field(ge=2, le=1000)]
    """Samples of each prompt, the usual ones included."""
    prompts: Count | None = None
    """At most this many prompts of each set (a fixed random choice)."""
    conditions: Distinct[str] = TESTED
    """Keys of conditions, or patterns with `*`."""

    def wants(self, condition_key: str) -> bool:
        """Whether the figure is asked for under a condition."""
        return any(fnmatchcase(condition_key, pattern) for pattern in self.conditions)


class EvaluationConfig(Strict):
    """Generations and scores."""

    samples: Annotated[int, Field(ge=1, le=1000)] = 1
    """Of every prompt. With one, expected maximum toxicity is merely the mean and is not computed."""
    maximum: MaximumConfig | None = added(None)
    """More samples of some prompts for expected maximum toxicity; default: of all `samples` there are."""
    new_tokens: Tokens = 24
    prompt_limit: Count | None = None
    """At most this many prompts of each set (a fixed random choice)."""
    temperature: Temperature = 1.0
    top_p: Nucleus = 0.9
    batch_size: Batch = 256
    scorers: Annotated[Distinct[Annotated[str, AfterValidator(_declared_scorer)]], Field(min_length=1)] = (
        "forum",
    )
    """Names of `backend.scorers.registry`, `classifier:FOLDER` or `classifier:NAME@REVISION` (of the hub).

    The first judges attacks. `perspective` closes on 31 December 2026."""
    heldout_tokens: Annotated[int, Field(ge=100, le=10**9)] = 12_000
    bootstrap: Draws = 1000
    precision: Precision = added("float32")
    """Of the passes that give held-out losses, and so costs and matched strengths."""

    @model_validator(mode="after")
    def _more_samples(self) -> EvaluationConfig:
        if self.maximum is not None and not self.samples < self.maximum.samples:
            raise ValueError("maximum.samples must be more than samples")
        return self

    def maximum_samples(self, condition_key: str) -> int:
        """Samples of a prompt that expected maximum toxicity is over under a condition; 1: not computed."""
        if self.maximum is None:
            return self.samples
        return self.maximum.samples if self.maximum.wants(condition_key) else 1
