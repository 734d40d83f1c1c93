"""Passes of a model over the next tokens of a batch, with its cache, mask and positions kept between them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

from hormesis.backend.model.sites import ModelError

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel


class Feed:
    """Calls the model on the next ids `(rows, tokens)`, keeping its cache, mask and positions.

    `mask` `(rows, prompt tokens)`: 1 for a token, 0 for padding. Gives logits `(rows, vocabulary)`, the last.
    """

    def __init__(self, loaded: LoadedModel, mask: torch.Tensor, new_tokens: int) -> None:
        self.model = loaded.model
        self.accepts = set(inspect.signature(self.model.forward).parameters)
        # transformers 5.24 renamed the argument and the field of the output; the old name only warns.
        self.cache_name = "cache" if "cache" in self.accepts else "past_key_values"
        has_padding = not bool(mask.all())
        full_mask = torch.nn.functional.pad(mask, (0, new_tokens), value=1)
        # Without padding, skipping the mask is faster; positions are needed, since Bamba starts from 0 anew.
        self.mask = full_mask if has_padding else None
        self.positions = (full_mask.cumsum(-1) - 1).clamp(min=0)
        self.cache: Any = None
        self.length = 0

    def branch(self, origins: torch.Tensor) -> None:
        """Go on with other rows, each from what the row of number `origins` int64 `(rows,)` has read."""
        # Layers without keys and values can be reordered, as beam search needs, but not repeated.
        self.cache.reorder_cache(origins)
        self.positions = self.positions[origins]
        self.mask = None if self.mask is None else self.mask[origins]

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """Raises ModelError where the model gives no cache to go on from."""
        start, self.length = self.length, self.length + ids.shape[1]
        inputs: dict[str, Any] = {"input_ids": ids, self.cache_name: self.cache, "use_cache": True}
        if self.mask is not None:
            inputs["attention_mask"] = self.mask[:, : self.length]
        if "position_ids" in self.accepts:
            inputs["position_ids"] = self.positions[:, start : self.length]
        if "logits_to_keep" in self.accepts:
            inputs["logits_to_keep"] = 1
        output = self.model(**inputs)
        self.cache = getattr(output, self.cache_name, None)
        if self.cache is None:
            raise ModelError(f"{type(self.model).__name__} gives no cache to go on from")
        logits: torch.Tensor = output.logits[:, -1]
        return logits
