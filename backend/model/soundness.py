"""Models that cannot be right: numbers that are not finite, ids without a vector, trainings that diverge.

Looked at before anything is computed: a NaN in one rare embedding, or an id beyond the table, would be met
only by the text that needs it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from hormesis.backend.encoding import encode_texts
from hormesis.backend.model.sites import ModelError


class Diverged(ValueError):
    """A training is of no use from some step on; the message is one line for the person."""


def require_converging(
    losses: Sequence[float],
    name: str,
    step: int,
    steps: int,
    *,
    setting: str,
    rate: float,
    most: float = math.inf,
) -> None:
    """Raise Diverged where one of the last losses is not finite, or not below `most`, with what to lower.

    `step`: that of the last loss, counted from 1, of `steps`; `rate`: the learning rate, which `setting` is.
    """
    for place, loss in enumerate(losses):
        if not (math.isfinite(loss) and loss < most):
            first = step - len(losses) + place + 1
            raise Diverged(
                f"{name} diverged at step {first} of {steps}: the loss is {loss:.3g}; lower {setting} "
                f"({rate:g} now)"
            )


def require_sound(model: Any, tokenizer: Any, source: str) -> None:
    """Raise ModelError, which names the tensor, where a model or its tokenizer cannot be right."""
    require_finite(model, source)
    _require_vectors(model, tokenizer, source)


def require_finite(model: Any, source: str) -> None:
    """Raise ModelError where a tensor of the model holds NaN or an infinity."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            # Eight-bit floats have no such test of their own.
            is_finite = torch.isfinite(tensor.float() if tensor.element_size() == 1 else tensor)
            if not bool(is_finite.all()):
                n_wrong = int((~is_finite).sum())
                raise ModelError(
                    f"{source}: tensor '{name}' holds {n_wrong:,} numbers that are not finite (of "
                    f"{tensor.numel():,}): the training that wrote it diverged, or the file is damaged"
                )


def _require_vectors(model: Any, tokenizer: Any, source: str) -> None:
    """Raise ModelError where text can become an id that the embedding has no row for.

    Special tokens of other uses (pictures) may lie beyond it: text is never read as one of them, but for what
    stands for unknown words and what the tokenizer adds at either end.
    """
    rows = embedding_rows(model)
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    of_text = {number for number in tokenizer.get_vocab().values() if number not in special}
    special_ids = [tokenizer.bos_token_id, tokenizer.eos_token_id]
    backend = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    # Of byte-level models no word is unknown, whatever token their class keeps for that.
    if getattr(backend, "unk_token", True) is not None:
        special_ids.append(tokenizer.unk_token_id)
    of_text |= {number for number in special_ids if number is not None} | set(*encode_texts(tokenizer, [""]))
    largest = max(of_text, default=0)
    if largest >= rows:
        embedding = model.get_input_embeddings().weight
        name = next((name for name, weight in model.named_parameters() if weight is embedding), "embedding")
        raise ModelError(
            f"{source}: its tokenizer gives ids up to {largest:,}, and tensor '{name}' has {rows:,} rows: "
            "the tokenizer is another model's"
        )


def embedding_rows(model: Any) -> int:
    """Ids that the model has a vector for."""
    return int(model.get_input_embeddings().weight.shape[0])
