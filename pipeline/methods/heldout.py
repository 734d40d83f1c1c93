"""Held-out cross-entropy of a checkpoint under any condition, every result kept as a file as it is computed.

Knows how documents are cut so that every condition of a study is measured on the same tokens: the first of
each window are read as a prompt, the rest is scored as if generated, and windows leave room for the longest
prefix any method puts in front. Does not know how a strength is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hormesis.backend.crossentropy import DocumentLosses, Windows, prepare_windows
from hormesis.backend.generation.batching import encode
from hormesis.backend.lower_layers import LowerLayers
from hormesis.backend.model.models import LoadedModel
from hormesis.db.manifest import is_intact, sealed_file
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.methods.opened_condition import OpenedCondition
from hormesis.pipeline.study.config import ConfigError, StudyConfig
from hormesis.pipeline.text.prefixes import PROMPT_TOKENS, SHORTEST, check_heldout, no_room, prefixes

WINDOW = 256
"""Tokens of context for held-out losses, or the model's own context where that is shorter."""


def loss_name(method: str, direction_method: str | None, control: int | None) -> str:
    """What the losses of a condition are kept under, the strength aside."""
    if control is not None:
        return direction_method or f"random-{control}"
    return method if direction_method is None else f"{method}-{direction_method}"


def loss_file(losses_name: str, strength: float) -> str:
    """File name of the losses of one condition at one strength."""
    return f"{losses_name}@{strength!r}.npz" if strength else f"{losses_name}.npz"


def losses_folder(context: StudyContext, weights_hash: str) -> Path:
    """Where a checkpoint's held-out losses lie."""
    return context.folder("losses", context.inputs.condition(weights_hash))


def window_length(config: StudyConfig, loaded: LoadedModel) -> int:
    """Tokens of a held-out window, the same under every method of the study.

    Raises ConfigError where `longest_prefix` (tokens) leaves no room in the model's context.
    """
    longest_prefix = max(
        len(ids) for ids in encode(loaded, [text for text in prefixes(config) if text] or ["."])
    )
    longest_prefix = longest_prefix if any(prefixes(config)) else 0
    length = min(WINDOW, (loaded.context or WINDOW + longest_prefix) - longest_prefix)
    if length < SHORTEST:
        raise ConfigError(no_room("the model", loaded.context or length, longest=longest_prefix))
    return length


@dataclass(frozen=True, eq=False)
class HeldoutText:
    """Windows of the documents that costs are measured on, and what became of the rest."""

    windows: Windows
    n_too_short: int
    """Documents among them that no token of is scored of: no longer than the prompt. They are left out."""

    @property
    def everywhere(self) -> Windows:
        """The same windows with all tokens but the first scored, under steering of every position."""
        return replace(self.windows, prompt_tokens=1)


def heldout_text(config: StudyConfig, loaded: LoadedModel, documents: list[str]) -> HeldoutText:
    """The first documents with `evaluation.heldout_tokens` scored tokens (or all there are), as windows.

    Raises ConfigError where no document is long enough to be scored.
    """
    length = window_length(config, loaded)
    tokens = prepare_windows(loaded, documents, length, prompt_tokens=PROMPT_TOKENS).tokens
    needed = int(np.searchsorted(np.cumsum(tokens), config.evaluation.heldout_tokens)) + 1
    is_scored = tokens[:needed] > 0
    check_heldout(tokens)
    scored = [document for document, long_enough in zip(documents, is_scored, strict=False) if long_enough]
    windows = prepare_windows(loaded, scored, length, prompt_tokens=PROMPT_TOKENS)
    return HeldoutText(windows, int((~is_scored).sum()))


class LossTable:
    """Held-out losses of one checkpoint by condition and strength, kept on disk as they are computed."""

    def __init__(self, windows: Windows, folder: Path, batch_size: int, *, lower: LowerLayers) -> None:
        """`lower`: kept between conditions, and by all tables of the same text."""
        self._windows, self._folder, self._batch, self._lower = windows, folder, batch_size, lower
        folder.mkdir(parents=True, exist_ok=True)

    def at(self, losses_name: str, opened: OpenedCondition, strength: float) -> DocumentLosses:
        """Losses of an opened condition, heads moved by `strength`; its file is named by `losses_name`."""
        path = self._folder / loss_file(losses_name, strength)
        if is_intact(path):
            with np.load(path) as arrays:
                return DocumentLosses(arrays["nats"], arrays["tokens"])
        moved = replace(opened, steering=(opened.steering[0], strength))
        losses = moved.losses(self._windows, batch_size=self._batch, lower=self._lower)
        # Two studies with equal hashes may compute the same file at the same time.
        with sealed_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, nats=losses.nats, tokens=losses.tokens)
        return losses
