"""Toxicity scorer from any Hugging Face sequence classifier, from a folder or by hub name and revision.

Safetensors only, no code from the checkpoint is run. What its files say is read in `classifier_files`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from hormesis.backend.encoding import encode_texts
from hormesis.backend.hub import split_revision
from hormesis.backend.scorers.base import ScorerError, clipped
from hormesis.backend.scorers.classifier_files import card_training, classifier_folder, read_outputs


def _revision(name: str, model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for tensor_name, tensor in sorted(model.state_dict().items()):
        digest.update(tensor_name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return f"{name.rstrip('/').rpartition('/')[2]}-{digest.hexdigest()[:16]}"


class Classifier:
    """Probability of the toxic label, by the activation that the checkpoint's configuration asks for."""

    measures = "toxicity"

    def __init__(self, source: str, *, batch_size: int = 32, max_tokens: int = 512) -> None:
        self.name = f"classifier:{source}"
        self.batch_size = batch_size
        folder = classifier_folder(source)
        self._toxic_index, self._activation = read_outputs(folder, source)
        self.trained_on = card_training(folder, self.name)
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
                folder, trust_remote_code=False, use_safetensors=True, output_loading_info=True
            )
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ScorerError(
                f"classifier '{source}' does not load (it needs a tokenizer and safetensors): {reason}"
            ) from error
        if absent := sorted(str(name) for name in report.get("missing_keys", ())):
            raise ScorerError(
                f"classifier '{source}': {len(absent)} weights are missing, first '{absent[0]}'"
            )
        self._model = model.eval()
        config = self._model.config
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
        self.revision = _revision(split_revision(source)[0], self._model)

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Float64 [n]; an empty text scores 0. Texts of like length share a batch, long ones are cut."""
        values = np.zeros(len(texts))
        nonempty_indices = [text_index for text_index, text in enumerate(texts) if text.strip()]
        nonempty_indices.sort(key=lambda text_index: len(texts[text_index]))
        for start in range(0, len(nonempty_indices), self.batch_size):
            batch_indices = nonempty_indices[start : start + self.batch_size]
            rows = encode_texts(
                self._tokenizer, [texts[text_index] for text_index in batch_indices], limit=self._max_tokens
            )
            batch = self._tokenizer.pad({"input_ids": list(rows)}, return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(**batch).logits.float()
            values[batch_indices] = self._chances(logits)[:, self._toxic_index].numpy()
        return clipped(values)

    def _chances(self, logits: torch.Tensor) -> torch.Tensor:
        """Probabilities [texts, labels] of logits of the same shape."""
        if self._activation == "none":
            return logits
        return torch.sigmoid(logits) if self._activation == "sigmoid" else torch.softmax(logits, dim=-1)
