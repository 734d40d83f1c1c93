"""The study file's section on the toy experiment: which settings a study runs itself, over how many seeds.

Toy runs have tables and hashes of their own and are shared by all studies, so this section is no part of a
study's identity: a study that asks for them later keeps everything that it has.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from hormesis.pipeline.study.config_base import Strict

Setting = Literal["literal", "disjoint", "autoencoder", "bottleneck"]
SETTINGS: tuple[Setting, ...] = get_args(Setting)
DEFAULT_SEEDS = 10


class ToySection(Strict):
    """What is run, every setting with its default options (`hormesis toy` has the others)."""

    settings: tuple[Setting, ...] = ()
    """None by default."""
    seeds: Annotated[int, Field(ge=1, le=10_000)] = DEFAULT_SEEDS

    @field_validator("settings")
    @classmethod
    def _once(cls, value: tuple[Setting, ...]) -> tuple[Setting, ...]:
        if len(set(value)) < len(value):
            raise ValueError("names a setting twice")
        return value
