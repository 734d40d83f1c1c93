"""Teacher-forced passes over a prompt and a target, steered exactly as generation would steer them.

The loss of a target after a prompt, its gradient by the prompt's tokens, and whether greedy decoding says it.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.nn.functional as F

from hormesis.backend.crossentropy import LOGITS_AT_ONCE
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.steering import RowSteering, steered


def forward_target(
    loaded: LoadedModel, target: torch.Tensor, row: RowSteering, **inputs: torch.Tensor
) -> torch.Tensor:
    """Logits that predict `target` `(T,)`: float32 `(rows, T, vocabulary)`.

    inputs: `input_ids` `(rows, P + T)` or `inputs_embeds`, the prompt followed by the target.
    """
    length = next(iter(inputs.values())).shape[1]
    count = len(target)
    keep: dict[str, Any] = {}
    if "logits_to_keep" in inspect.signature(loaded.model.forward).parameters:
        keep["logits_to_keep"] = count + 1
    with steered(loaded, row, first=length - count - 1):
        logits: torch.Tensor = loaded.model(**inputs, use_cache=False, **keep).logits
    return logits[:, -count - 1 : -1].float()


def target_losses(
    loaded: LoadedModel, prompts: torch.Tensor, target: torch.Tensor, *, row: RowSteering
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss of `target` `(T,)` after each prompt `(rows, P)`, and whether greedy decoding says it.

    Returns float32 `(rows,)` in nats per token and bool `(rows,)`. Works in pieces: any number of rows fits.
    """
    prompts_per_batch = max(1, LOGITS_AT_ONCE // (loaded.vocabulary_size * (len(target) + 1)))
    batch_losses, batch_matches = [], []
    with torch.inference_mode():
        for start in range(0, len(prompts), prompts_per_batch):
            batch = prompts[start : start + prompts_per_batch]
            ids = torch.cat([batch, target.expand(len(batch), -1)], 1)
            logits = forward_target(loaded, target, row, input_ids=ids)
            targets = target.expand(len(batch), -1)
            batch_losses.append(F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean(1))
            batch_matches.append((logits.argmax(-1) == targets).all(1))
    return torch.cat(batch_losses), torch.cat(batch_matches)


def token_gradient(
    loaded: LoadedModel, prompt: torch.Tensor, suffix: slice, *, target: torch.Tensor, row: RowSteering
) -> torch.Tensor:
    """Gradient of the target's loss by one-hot tokens at `suffix`: float32 `(places, vocabulary)`.

    Equation 3 of Zou et al. 2023 (arXiv 2307.15043): entry (i, v) says how the loss would change, to first
    order, if place i held more of token v. Computed as the embedding's gradient times the embedding table,
    which is the same by the chain rule; families that scale what they look up change it by a constant.
    """
    embeddings = loaded.model.get_input_embeddings()
    with torch.enable_grad():
        embeds = embeddings(torch.cat([prompt, target])[None]).detach().requires_grad_()
        logits = forward_target(loaded, target, row, inputs_embeds=embeds)
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits[0], target), embeds)
    by_token: torch.Tensor = gradient[0, suffix].float() @ embeddings.weight.detach().float().T
    return by_token
