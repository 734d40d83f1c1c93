"""What directions write: logits of a fixed set of tokens, and vectors in the residual stream, for every head.

Tokens are the same for all checkpoints with one vocabulary, so that their heads can be compared; residual
streams have bases of their own, so those vectors are compared inside one checkpoint.
"""

from __future__ import annotations

import numpy as np
import torch

from hormesis.backend.model.loaded import LoadedModel
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.provenance import digest
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.geometry.logit_lens import LensError, logits_of, residual_vectors
from hormesis.pipeline.probing.profiles import Keys, Profiles, Vectors, direction_vectors, write_profiles
from hormesis.pipeline.statistics.samples import sample_rows

MOST_TOKENS = 1024
"""Where a vocabulary is larger, cosines over a sample of it are within about .03 of those over all."""
VOCABULARY, RESIDUAL = "vocabulary", "residual"


def lens_profiles(loaded: LoadedModel, vectors: Vectors) -> tuple[Profiles, Profiles]:
    """Residual vectors [heads, hidden size] and logits [heads, tokens] of directions, by their method.

    `vectors`: of every head of the model. No logits where the model's final norm or unembedding is not known.
    """
    methods = list(vectors)
    by_head = [
        residual_vectors(
            loaded, layer, head, vectors=np.stack([vectors[method][layer][head] for method in methods])
        )
        for layer, head in loaded.heads
    ]
    residual = torch.stack(by_head, dim=1)  # [methods, heads, hidden size]
    as_profiles = dict(zip(methods, residual.cpu().numpy(), strict=True))
    tokens = token_sample(loaded)
    try:
        logits = torch.stack([logits_of(loaded, stream, tokens) for stream in residual])
    except LensError:
        return as_profiles, {}
    return as_profiles, dict(zip(methods, logits.cpu().numpy(), strict=True))


def token_sample(loaded: LoadedModel) -> list[int]:
    """Ids of the tokens that heads are compared by: all, or the same sample for equal vocabularies."""
    size = min(len(loaded.tokenizer), loaded.vocabulary_size)
    return [int(token) for token in sample_rows(size, MOST_TOKENS)]


def vocabulary_hash(loaded: LoadedModel) -> str:
    """Equal for checkpoints whose token ids mean the same."""
    return digest("vocabulary", MOST_TOKENS, sorted(loaded.tokenizer.get_vocab().items()))


def write_lens_profiles(context: StudyContext, keys: Keys, subject: Subject, *, loaded: LoadedModel) -> None:
    """Write residual vectors and logits of a checkpoint's directions; `keys`: columns that name it."""
    vectors = direction_vectors(context, keys, subject.name)
    residual, logits = lens_profiles(loaded, vectors) if vectors else ({}, {})
    write_profiles(context, keys, RESIDUAL, residual, basis=subject.weights_hash)
    write_profiles(context, keys, VOCABULARY, logits, basis=vocabulary_hash(loaded))
