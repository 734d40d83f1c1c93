"""A condition opened: a model in memory, the steering of its heads, and the text before every prompt.

Knows how the three are applied together; does not know which method they came from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hormesis.backend.crossentropy import DocumentLosses, Windows, window_losses
from hormesis.backend.generation.batching import encode, pad
from hormesis.backend.generation.generation import Continuation, generate
from hormesis.backend.lower_layers import LowerLayers
from hormesis.backend.model.models import LoadedModel
from hormesis.backend.model.steering import RowSteering
from hormesis.pipeline.methods.condition import DetoxCondition


@dataclass(frozen=True, eq=False)
class OpenedCondition:
    """A condition that can be used. Not to be used from two threads at once (hooks sit on the model)."""

    condition: DetoxCondition
    loaded: LoadedModel
    steering: RowSteering
    """Steering of each row of a batch; (None, 0.0) leaves the model alone."""
    prefix: str = ""
    """Text put in front of every prompt; ends in white space, so that it joins any text."""
    marks: tuple[str, ...] = ()
    """Texts that the arm's training put before documents and that are no part of what is said."""

    @cached_property
    def prefix_ids(self) -> tuple[int, ...]:
        """Tokens of the prefix (with the tokenizer's own leading token where it adds one); empty for none."""
        return tuple(encode(self.loaded, [self.prefix])[0]) if self.prefix else ()

    def prompt(self, text: str) -> str:
        """A prompt as the model is to see it."""
        return self.prefix + text

    def continuation(self, text: str) -> str:
        """What the model said, without the marks of its arm's training."""
        for mark in self.marks:
            text = text.replace(mark, " ").replace(mark.strip(), " ")
        return " ".join(text.split(" ")).strip() if self.marks else text

    def encode(self, texts: Sequence[str]) -> dict[str, Any]:
        """Prompts with the prefix as one left-padded batch: `input_ids` and `attention_mask`, int64 [n,
        T].
        """
        token_ids = encode(self.loaded, [self.prompt(text) for text in texts])
        ids, mask = pad(token_ids, "left", self.loaded.pad_id, device=self.loaded.device)
        return {"input_ids": ids, "attention_mask": mask}

    def generate(
        self,
        prompts: Sequence[str],
        *,
        seeds: Sequence[int],
        new_tokens: int,
        temperature: float = 1.0,
        top_p: float = 0.9,
        batch_size: int = 64,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Continuation]:
        """Continue prompts under the condition, as `backend.generation.generation.generate`; the prefix is
        never cut.
        """
        return generate(
            self.loaded,
            list(prompts),
            seeds=seeds,
            rows=[self.steering] * len(prompts),
            new_tokens=new_tokens,
            temperature=temperature,
            top_p=top_p,
            batch_size=batch_size,
            progress=progress,
            prefix=self.prefix,
        )

    def losses(
        self,
        windows: Windows,
        *,
        batch_size: int = 32,
        progress: Callable[[int, int], None] | None = None,
        lower: LowerLayers | None = None,
    ) -> DocumentLosses:
        """Held-out losses of the same tokens as without the method, the prefix in context and not counted."""
        return window_losses(
            self.loaded,
            windows,
            rows=self.steering,
            batch_size=batch_size,
            progress=progress,
            prefix=self.prefix_ids,
            lower=lower,
        )
