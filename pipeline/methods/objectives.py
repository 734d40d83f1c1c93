"""What each fine-tuning method descends, one entry each; its settings are its section of `MethodsConfig`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from hormesis.db.contract.methods import DPO, SFT, Tuned
from hormesis.pipeline.study.config_sections import PreferenceConfig, TuningConfig

if TYPE_CHECKING:  # a plan counts the tokens that these read, without torch
    import torch

    from hormesis.pipeline.methods.losses import Completions

Side = Literal["chosen", "rejected"]
BOTH: Final[tuple[Side, ...]] = ("chosen", "rejected")


@dataclass(frozen=True, eq=False)
class PairBatch:
    """The pairs of one step, by the sides that the objective reads, in their order."""

    sides: tuple[Completions, ...]
    reference: tuple[torch.Tensor, ...]
    """Summed log-probabilities [n] of each side before tuning; empty where the loss has no reference."""
    settings: TuningConfig


@dataclass(frozen=True)
class Objective:
    """A fine-tuning method: its loss on a batch, what that reads, and how fast it is descended."""

    loss: Callable[[Any, PairBatch], torch.Tensor]
    sides: tuple[Side, ...]
    learning_rate: float
    """The default, as a part of the scale's own for pretraining."""
    has_reference: bool = False
    """Whether the loss compares with the checkpoint before tuning: one pass over all pairs more."""


def _supervised(model: Any, batch: PairBatch) -> torch.Tensor:
    from hormesis.pipeline.methods.losses import supervised_loss

    return supervised_loss(model, batch.sides[0])


def _preference(model: Any, batch: PairBatch) -> torch.Tensor:
    from hormesis.pipeline.methods.losses import preference_loss, sequence_log_probabilities

    assert isinstance(batch.settings, PreferenceConfig)
    chosen, rejected = (sequence_log_probabilities(model, side) for side in batch.sides)
    return preference_loss(chosen, rejected, reference=batch.reference, beta=batch.settings.beta).loss


OBJECTIVES: Final[dict[Tuned, Objective]] = {
    SFT: Objective(_supervised, ("chosen",), learning_rate=1 / 30),
    DPO: Objective(_preference, BOTH, learning_rate=1 / 50, has_reference=True),
}
