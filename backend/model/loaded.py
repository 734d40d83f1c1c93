"""A model in memory with its tokenizer: attention sites, sizes, special tokens, hooks, weights hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hormesis.backend.model.sites import Site, text_config
from hormesis.backend.model.soundness import embedding_rows
from hormesis.db.contract.sites import SiteShape
from hormesis.db.files import content_hash

ProjectionHook = Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...] | None]
"""Forward pre-hook of an output projection: takes the module and its arguments, returns others or None."""


@dataclass(eq=False)
class LoadedModel:
    """A causal language model in evaluation mode, its tokenizer and its attention sites.

    `model` and `tokenizer` are the transformers objects. Not to be used from two threads at once.
    """

    model: Any
    tokenizer: Any
    sites: tuple[Site, ...]
    source: str
    dtype: torch.dtype
    files: tuple[Path, ...] = ()
    """Weight files it was read from; empty for a model made in memory."""
    _hash: str = field(default="", repr=False)

    @property
    def n_layers(self) -> int:
        """Number of decoder layers, those without an attention site included."""
        return int(text_config(self.model.config).num_hidden_layers)

    @property
    def heads(self) -> tuple[tuple[int, int], ...]:
        """Every head that can be read and steered as (layer, head), by layer and head."""
        return tuple((site.layer, head) for site in self.sites for head in range(site.n_heads))

    @property
    def n_heads(self) -> int:
        """Query heads per layer; of the layer with the most where they differ."""
        return max(site.n_heads for site in self.sites)

    @property
    def head_dim(self) -> int:
        """Width of one head's output; the largest where layers differ."""
        return max(site.head_dim for site in self.sites)

    @property
    def shapes(self) -> list[SiteShape]:
        """The sites' shapes, as a checkpoint's row keeps them."""
        return [SiteShape(site.layer, site.n_heads, site.head_dim) for site in self.sites]

    def site(self, layer: int) -> Site | None:
        """The attention site of a layer; None for a layer without attention."""
        return next((site for site in self.sites if site.layer == layer), None)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        device: torch.device = self.model.device
        return device

    @property
    def parameters(self) -> int:
        """Number of weights, tied ones counted once."""
        return sum(weight.numel() for weight in self.model.parameters())

    @property
    def architecture(self) -> str:
        """Class name of the model."""
        return type(self.model).__name__

    @property
    def context(self) -> int | None:
        """Positions the model was made for; None where its configuration does not say."""
        limit = getattr(text_config(self.model.config), "max_position_embeddings", None)
        return limit if isinstance(limit, int) and limit > 0 else None

    @property
    def vocabulary_size(self) -> int:
        """Width of the logits, as the configuration says; else the tokenizer's number of tokens."""
        return int(getattr(text_config(self.model.config), "vocab_size", 0)) or len(self.tokenizer)

    @property
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end a text: the tokenizer's and the generation settings' own."""
        settings = getattr(self.model, "generation_config", None)
        eos = getattr(settings, "eos_token_id", None)
        ids = eos if isinstance(eos, list) else [eos]
        return frozenset(token for token in (*ids, self.tokenizer.eos_token_id) if token is not None)

    @property
    def blank_id(self) -> int:
        """Token that stands for an empty text: `bos`, else `eos`, else padding, else 0."""
        tokenizer = self.tokenizer
        for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id):
            if token is not None:
                return int(token)
        return 0

    @property
    def pad_id(self) -> int:
        """Token to fill batches with; masked out, so its identity does not matter."""
        token = self.tokenizer.pad_token_id
        # Some tokenizers got a padding token that their model has no vector for.
        return self.blank_id if token is None or token >= embedding_rows(self.model) else int(token)

    @property
    def has_chat_template(self) -> bool:
        """Whether the tokenizer has a template for conversations. It is not used: texts are continued."""
        return bool(getattr(self.tokenizer, "chat_template", None))

    @contextmanager
    def hooked(self, hooks: Mapping[int, ProjectionHook]) -> Iterator[None]:
        """Within the block, each layer's hook sees the input of its output projection; none is left after it.

        hooks: by layer; called with the module and its positional arguments, of which it may return others.
        """
        handles = []
        try:
            for site in self.sites:
                if site.layer in hooks:
                    module = self.model.get_submodule(site.module)
                    handles.append(module.register_forward_pre_hook(hooks[site.layer]))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def weights_hash(self) -> str:
        """Sixteen hex digits over the weight files' bytes, or over the tensors of a model in memory."""
        if not self._hash:
            digest = hashlib.sha256()
            for path in self.files:
                digest.update(path.name.encode() + bytes.fromhex(content_hash(path)))
            if not self.files:
                _hash_tensors(digest, self.model.state_dict().items())
            self._hash = digest.hexdigest()[:16]
        return self._hash


def name_of(source: str) -> str:
    """A path's last part, since the way to it is nobody else's business; a hub name as it is."""
    path = Path(source)
    return path.absolute().name if path.exists() else source


def _hash_tensors(digest: Any, tensors: Iterable[tuple[str, torch.Tensor]]) -> None:
    for name, tensor in sorted(tensors):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
