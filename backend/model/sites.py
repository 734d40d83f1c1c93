"""Attention sites: where heads can be read and steered, the input of each layer's output projection.

One output projection per decoder layer is found in any model family by its shape and name. A head is a query
head: with grouped-query attention several heads share one key and value, yet each has its own slice of the
projection's input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

OUTPUT_NAMES = ("o_proj", "out_proj", "c_proj", "dense", "wo", "proj", "to_out", "out")
"""Names that model families give to the attention output projection (Llama and kin, OPT, GPT-2, NeoX, …)."""


class ModelError(ValueError):
    """A model cannot be loaded or is not one this project can read and steer; one line for the person."""


@dataclass(frozen=True, slots=True)
class Site:
    """One attention module's output projection. Its input is `(batch, tokens, n_heads * head_dim)`."""

    layer: int
    module: str
    """Dotted name inside the model, as `model.get_submodule` takes it."""
    n_heads: int
    head_dim: int

    @property
    def width(self) -> int:
        """Features going into the projection: `n_heads * head_dim`."""
        return self.n_heads * self.head_dim


def find_sites(model: nn.Module) -> tuple[Site, ...]:
    """List the output projections of a causal language model, one per layer, in order.

    The rule: in each decoder layer, find the attention module; in it, the linear map with a customary name
    whose input has `heads * head_dim` features. Raises ModelError, saying which layer does not fit, where a
    layer has no such map, more than one, or another number of heads than the first layer.
    """
    config = text_config(model)
    name, layers = _decoder_layers(model, config)
    sites = tuple(
        _site_of_layer(index, f"{name}.{index}", layer, config=config) for index, layer in enumerate(layers)
    )
    shapes = {(site.n_heads, site.head_dim) for site in sites}
    if len(shapes) != 1:
        raise ModelError(
            f"{kind(model)}: layers differ in heads x head_dim ({sorted(shapes)}); not supported"
        )
    return sites


def text_config(model: nn.Module) -> Any:
    """The configuration of the language part (the whole configuration for a plain text model)."""
    config: Any = model.config
    return config.get_text_config(decoder=True) if hasattr(config, "get_text_config") else config


def kind(model: nn.Module) -> str:
    """The class name, as messages name a model."""
    return type(model).__name__


def output_weight(module: nn.Module) -> torch.Tensor:
    """Weight of a projection as `(out_features, in_features)`; GPT-2's Conv1D stores it transposed."""
    weight = module.weight
    if not isinstance(weight, torch.Tensor):
        raise ModelError(f"{type(module).__name__} has no plain weight matrix")
    return weight.T if isinstance(module, Conv1D) else weight


def _decoder_layers(model: nn.Module, config: Any) -> tuple[str, nn.ModuleList]:
    """The one module list that holds as many blocks as the configuration has layers."""
    depth = getattr(config, "num_hidden_layers", None)
    if not isinstance(depth, int) or depth < 1:
        raise ModelError(f"{kind(model)}: its configuration names no number of layers")
    candidates = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth and _holds_attention(module)
    ]
    if len(candidates) != 1:
        raise ModelError(
            f"{kind(model)}: {len(candidates)} lists of {depth} layers with attention, expected one"
        )
    return candidates[0]


def _holds_attention(layers: nn.ModuleList) -> bool:
    return any("attn" in name or "attention" in name for name, _ in layers[0].named_children())


def _site_of_layer(index: int, prefix: str, layer: nn.Module, *, config: Any) -> Site:
    """The site of one decoder layer: its number, its dotted name in the model (`prefix`) and its module."""
    sites: list[Site] = []
    for child, attention in layer.named_children():
        if "attn" not in child and "attention" not in child:
            continue
        for name, module in attention.named_modules():
            if name.rsplit(".", 1)[-1] not in OUTPUT_NAMES or not isinstance(module, nn.Linear | Conv1D):
                continue
            heads, head_dim = _heads(attention, config)
            if heads and output_weight(module).shape[1] == heads * head_dim:
                sites.append(Site(index, f"{prefix}.{child}.{name}", heads, head_dim))
    if len(sites) != 1:
        reason = "several output projections" if sites else "no output projection that fits its heads"
        raise ModelError(f"layer {index} ({type(layer).__name__}) has {reason}; this family is not supported")
    return sites[0]


def _heads(attention: nn.Module, config: Any) -> tuple[int, int]:
    """Number of query heads and width of one head's output; (0, 0) where the configuration does not say.

    Families such as Qwen3 and Gemma2 set `head_dim` apart from `hidden_size / heads`, and latent attention
    has value heads of their own width, so the module itself is asked first.
    """
    heads = getattr(config, "num_attention_heads", None)
    if not isinstance(heads, int) or heads < 1:
        return 0, 0
    for owner in (attention, config):
        for name in ("v_head_dim", "head_dim", "head_size"):
            width = getattr(owner, name, None)
            if isinstance(width, int) and width > 0:
                return heads, width
    return heads, int(getattr(config, "hidden_size", 0)) // heads
