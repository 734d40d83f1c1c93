"""The toy experiment's typed configuration: one class per kind of network, its defaults and its hash.

Knows nothing of how anything is trained. A configuration holds all that decides a single run's numbers except
the share and the seed, so runs of one configuration gather under one hash however they were asked for.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from hormesis.pipeline.study.config import ConfigError
from hormesis.pipeline.study.config_base import Count, Distinct, Positive, Strict, shortened
from hormesis.pipeline.study.config_sections import SETTINGS

Probe = Literal["means", "balanced", "mixture", "stopped"]
PROBES: tuple[Probe, ...] = get_args(Probe)
"""Class means; logistic probes of equal classes; of the training mixture's; the last stopped early."""
Split = Literal["all", "under-learned", "learned"]
SPLITS: tuple[Split, ...] = get_args(Split)
VERSION = 1
"""Raised whenever the same configuration would give other numbers."""
SHARES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)
REFERENCE = 1.0
"""The share at which the rare chain is as frequent as each other chain; every effect is taken against it."""
LOW = 0.01
"""Shares up to this one are the low ones of the effect."""


class Common(Strict):
    """What every setting has."""

    width: Annotated[int, Field(ge=2, le=64)] = 4
    """Dimensions of the residual stream (of the hidden layer); there are 12 features."""
    steps: Annotated[int, Field(ge=1, le=200_000)]
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-2
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    """L2 penalty of Adam (coupled: added to the gradient), not AdamW's."""
    batch: Annotated[int, Field(ge=0, le=65_536)] = 64
    """Examples drawn per step; 0 trains on the mixture's exact expectation."""
    centre: bool = True
    """Take the mean over the 12 features from each class mean before angles are measured."""
    probe_examples: Count = 4096
    """Examples that the weighted probes stand for: sets their losses against the penalty."""
    probe_l2: Positive = 1.0
    """Penalty of the logistic probes; inverse of sklearn's C."""
    points: Annotated[int, Field(ge=2, le=400)] = 40
    """Points of each learning curve."""

    @property
    def hash(self) -> str:
        """Sixteen hex digits over the whole configuration."""
        text = json.dumps([VERSION, self.model_dump(mode="json")], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class TransformerConfig(Common):
    """Chains of tokens read by a small transformer: over 4 shared states, or over 12 tokens of their own."""

    setting: Literal["literal", "disjoint"]
    steps: Annotated[int, Field(ge=1, le=200_000)] = 600
    layers: Annotated[int, Field(ge=1, le=16)] = 4
    heads: Annotated[int, Field(ge=1, le=16)] = 2
    mlp: Annotated[int, Field(ge=1, le=1024)] = 16
    length: Annotated[int, Field(ge=4, le=64)] = 8
    """Tokens read per sequence; the next token is learned at each of them."""
    norm: Literal["rms", "layer"] = "rms"
    label_noise: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the next tokens replaced by any token at random (in expectation)."""

    @model_validator(mode="after")
    def _heads_divide(self) -> TransformerConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be split over {self.heads} heads")
        return self


class BottleneckConfig(Common):
    """Embedding to a few dimensions to softmax over 12 tokens: next-token prediction without a network."""

    setting: Literal["bottleneck"] = "bottleneck"
    steps: Annotated[int, Field(ge=1, le=200_000)] = 2000
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 3e-4
    batch: Annotated[int, Field(ge=0, le=65_536)] = 0


class AutoencoderConfig(Common):
    """ReLU autoencoder of sparse features: x' = ReLU(W'W x + b), tied weights (Elhage et al. 2022)."""

    setting: Literal["autoencoder"] = "autoencoder"
    steps: Annotated[int, Field(ge=1, le=200_000)] = 2000
    batch: Annotated[int, Field(ge=1, le=65_536)] = 256
    centre: bool = False
    density: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Probability that a control feature is active; the rare ones have density times share."""


Config = Annotated[TransformerConfig | BottleneckConfig | AutoencoderConfig, Field(discriminator="setting")]
ToyConfig = TransformerConfig | BottleneckConfig | AutoencoderConfig
_ADAPTER: TypeAdapter[ToyConfig] = TypeAdapter(Config)


class ToyRequest(Strict):
    """Which runs of a configuration are wanted."""

    shares: Distinct[Annotated[float, Field(gt=0, le=1)]] = SHARES
    """Frequency of the rare chain over that of each other chain."""
    seeds: Distinct[Annotated[int, Field(ge=0, lt=2**31)]] = tuple(range(10))
    probes: Distinct[Probe] = PROBES

    @model_validator(mode="after")
    def _usable(self) -> ToyRequest:
        for name, values in (("shares", self.shares), ("seeds", self.seeds), ("probes", self.probes)):
            if not values:
                raise ValueError(f"needs at least one of {name}")
        if REFERENCE not in self.shares:
            raise ValueError("shares must include 1, the reference that every effect is taken against")
        return self


def parse_config(values: dict[str, Any]) -> ToyConfig:
    """A configuration from plain values; `setting` chooses the class and so the defaults.

    Raises ConfigError, one line, for unknown settings and options, wrong types and values out of range.
    """
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        raise _explain(error, values.get("setting")) from None


def parse_request(values: dict[str, Any]) -> ToyRequest:
    """A request from plain values. Raises ConfigError, one line."""
    try:
        return ToyRequest.model_validate(values)
    except ValidationError as error:
        raise _explain(error, None) from None


def _explain(error: ValidationError, setting: Any) -> ConfigError:
    """The first of pydantic's errors in one line; `setting`: what was given, None for a request."""
    first = error.errors()[0]
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return ConfigError(f"toy: no setting '{setting}' (settings: {', '.join(SETTINGS)})")
    option = ".".join(str(part) for part in first["loc"] if part not in SETTINGS)
    where = "toy" if setting is None else f"toy {setting}"
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{where}: there is no option '{option}'")
    text = first["msg"].removeprefix("Value error, ")
    if not option or isinstance(first.get("input"), dict):
        return ConfigError(f"{where}: {text}")
    return ConfigError(f"{where}: {option}: {text} (got {shortened(first.get('input'))})")
