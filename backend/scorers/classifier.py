"""Toxicity scorer from any Hugging Face sequence classifier, from a folder or by hub name.

Safetensors only, no code from the checkpoint is run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from hormesis.backend.scorers.base import ScorerError, clipped

_TOXIC = re.compile(r"toxic|hate|offens|abus|^label_1$", re.IGNORECASE)
_NOT = re.compile(r"^(non|not|no|un)[\W_]*|[\W_](non|not)[\W_]", re.IGNORECASE)


def toxic_label(label_names: Mapping[int, str]) -> int:
    """Index of the output that means toxic: `toxic` itself, else the first name that says so, else LABEL_1.

    `label_names`: name of each output by index. `non-toxic` and the like never count. One single output is
    the toxic one. Raises ScorerError otherwise.
    """
    if len(label_names) == 1:
        return next(iter(label_names))
    for index, name in sorted(label_names.items()):
        if name.strip().lower() in ("toxic", "toxicity"):
            return index
    for index, name in sorted(label_names.items()):
        if _TOXIC.search(name) and not _NOT.search(name):
            return index
    labels = ", ".join(name for _, name in sorted(label_names.items()))
    raise ScorerError(f"no label of the classifier means toxic (labels: {labels}): use another checkpoint")


def _revision(source: str, model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return f"{Path(source).name}-{digest.hexdigest()[:16]}"


class Classifier:
    """Probability of the toxic label: sigmoid for multi-label or single outputs, softmax otherwise."""

    measures = "toxicity"

    def __init__(self, source: str, *, batch_size: int = 32, max_tokens: int = 512) -> None:
        self.name = f"classifier:{source}"
        self.batch_size = batch_size
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
            self._model = transformers.AutoModelForSequenceClassification.from_pretrained(
                source, trust_remote_code=False, use_safetensors=True
            ).eval()
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ScorerError(
                f"classifier '{source}' does not load (it needs a tokenizer and safetensors): {reason}"
            ) from error
        config = self._model.config
        self._toxic_index = toxic_label({int(index): str(name) for index, name in config.id2label.items()})
        is_multi_label = getattr(config, "problem_type", None) == "multi_label_classification"
        self._uses_sigmoid = is_multi_label or config.num_labels == 1
        limits = (
            max_tokens,
            self._tokenizer.model_max_length,
            getattr(config, "max_position_embeddings", max_tokens),
        )
        self._max_tokens = min(int(limit) for limit in limits if limit and limit > 0)
        if self._tokenizer.pad_token is None:
            if self._tokenizer.eos_token is None:
                raise ScorerError(f"classifier '{source}': its tokenizer has no padding token")
            self._tokenizer.pad_token = self._tokenizer.eos_token
        if config.pad_token_id is None:
            config.pad_token_id = self._tokenizer.pad_token_id
        self.revision = _revision(source, self._model)

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Float64 [n]; an empty text scores 0. Texts of like length share a batch, long ones are cut."""
        values = np.zeros(len(texts))
        nonempty_indices = [text_index for text_index, text in enumerate(texts) if text.strip()]
        nonempty_indices.sort(key=lambda text_index: len(texts[text_index]))
        for start in range(0, len(nonempty_indices), self.batch_size):
            batch_indices = nonempty_indices[start : start + self.batch_size]
            batch = self._tokenizer(
                [texts[text_index] for text_index in batch_indices],
                padding=True,
                truncation=True,
                max_length=self._max_tokens,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = self._model(**batch).logits.float()
            chances = torch.sigmoid(logits) if self._uses_sigmoid else torch.softmax(logits, dim=-1)
            values[batch_indices] = chances[:, self._toxic_index].numpy()
        return clipped(values)
