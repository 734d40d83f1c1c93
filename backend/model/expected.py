"""Expected logits of a saved model: figures by which any program can check that the steering arrived."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hormesis.backend.model.loaded import LoadedModel

TOKENS = 8
"""Length of the fixed input, and number of tokens whose values are stored."""
PRECISION = 1e-4
"""In float32: largest allowed difference, as a fraction of the largest logit (at least 1)."""
PART_OF_EFFECT = 0.25
"""In 16 bits, where kernels differ by percents: as a fraction of the steering's largest effect."""


def expected_logits(loaded: LoadedModel, model: Any) -> dict[str, Any]:
    """What `model` answers at the last position of a fixed input, and what the unsteered `loaded` would.

    Keys: `token_ids` of the input; `position` (-1); `tokens`, the likeliest after it; their `logits` and
    `log_probabilities` (nats) and the same `unsteered_…`; `tolerance`, absolute, for each of them; and
    `tells_steered_from_unsteered`, whether some logit moves by more than two tolerances.
    """
    rng = np.random.default_rng(0)
    ids = rng.integers(0, min(loaded.vocabulary_size, len(loaded.tokenizer)), TOKENS).tolist()
    steered, plain = (_last_logits(either, ids, loaded.device) for either in (model, loaded.model))
    tokens = steered.topk(min(TOKENS, len(steered))).indices
    effect = float((steered - plain)[tokens].abs().max())
    tolerance = PRECISION * max(1.0, float(steered.abs().max()))
    if loaded.dtype is not torch.float32:
        tolerance = max(tolerance, PART_OF_EFFECT * effect)
    values: dict[str, Any] = {"token_ids": ids, "position": -1, "tokens": tokens.tolist()}
    for prefix, logits in (("", steered), ("unsteered_", plain)):
        values[f"{prefix}logits"] = _rounded(logits[tokens])
        values[f"{prefix}log_probabilities"] = _rounded(logits.log_softmax(0)[tokens])
    return values | {"tolerance": tolerance, "tells_steered_from_unsteered": effect > 2 * tolerance}


def _last_logits(model: Any, ids: list[int], device: torch.device) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=torch.tensor([ids], device=device), use_cache=False).logits
    return logits[0, -1].double().cpu()


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(value, 6) for value in values.tolist()]
