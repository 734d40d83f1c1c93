"""Attention sites: where heads can be read and steered, the input of an attention's output projection.

The projection of each decoder layer is found in any model family by its shape and name. A head is a query
head: with grouped-query attention several heads share one key and value, yet each has its own slice of the
projection's input. Layers may differ in heads and head width; layers that mix tokens by linear attention, a
state space or a convolution have no softmax attention and no site.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

OUTPUT_NAMES = ("o_proj", "out_proj", "c_proj", "dense", "wo", "proj", "to_out", "out")
"""Names that model families give to the attention output projection (Llama and kin, OPT, GPT-2, NeoX, …)."""
WITHOUT_SOFTMAX = ("linear", "delta", "lightning")
"""In names of modules or classes: attention without a softmax, whose heads are not those configured."""


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
    """List the output projections of a causal language model by layer, for the layers that have attention.

    The rule: in each decoder layer, find the softmax attention module; in it, the linear map with a customary
    name whose input has `heads * head_dim` features. Raises ModelError, saying which layer does not fit,
    where a layer has attention but no such map or more than one, or where no layer has attention.
    """
    config = text_config(model.config)
    name, layers = _decoder_layers(model, config)
    sites = [
        _site_of_layer(index, f"{name}.{index}", layer, config=_layer_config(config, index))
        for index, layer in enumerate(layers)
        if _attention_modules(layer)
    ]
    return tuple(sites)


def text_config(config: Any) -> Any:
    """The language part of a configuration (the whole of it for a plain text model)."""
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


def _layer_config(config: Any, layer: int) -> Any:
    """The configuration as one layer has it: in some families heads or their width differ by layer."""
    by_layer = getattr(config, "per_layer_config", None)
    return config if by_layer is None else by_layer[layer]


def _decoder_layers(model: nn.Module, config: Any) -> tuple[str, nn.ModuleList]:
    """The one module list of the text decoder that holds as many blocks as the configuration has layers."""
    depth = getattr(config, "num_hidden_layers", None)
    if not isinstance(depth, int) or depth < 1:
        raise ModelError(f"{kind(model)}: its configuration names no number of layers")
    # Towers for pictures or sound may have as many layers.
    get_decoder: Any = getattr(model, "get_decoder", lambda: model)
    own_names = {id(module): name for name, module in model.named_modules()}
    candidates = [
        (own_names[id(module)], module)
        for module in get_decoder().modules()
        if isinstance(module, nn.ModuleList)
        and len(module) == depth
        and any(_attention_modules(layer) for layer in module)
    ]
    if not candidates:
        raise ModelError(f"{kind(model)}: none of its {depth} layers has attention, so there are no heads")
    if len(candidates) > 1:
        raise ModelError(
            f"{kind(model)}: {len(candidates)} lists of {depth} layers with attention, expected one"
        )
    return candidates[0]


def _attention_modules(layer: nn.Module) -> dict[str, nn.Module]:
    """Softmax attention modules directly under a decoder layer, by name; norms named after them are none."""
    modules = {}
    for name, module in layer.named_children():
        class_name = _class_name(module)
        named_so = "attn" in name or "attention" in name or class_name.endswith("attention")
        other = any(word in text for word in WITHOUT_SOFTMAX for text in (name.lower(), class_name))
        if named_so and not other and next(module.children(), None) is not None:
            modules[name] = module
    return modules


def _class_name(module: nn.Module) -> str:
    """In small letters and without the family's name, which may say more (`KimiLinearAttention`)."""
    family = type(module).__module__.rpartition(".")[2].removeprefix("modeling_").replace("_", "")
    return type(module).__name__.lower().removeprefix(family)


def _site_of_layer(index: int, prefix: str, layer: nn.Module, *, config: Any) -> Site:
    """The site of one decoder layer: its number, its dotted name in the model (`prefix`) and its module."""
    sites: list[Site] = []
    for child, attention in _attention_modules(layer).items():
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

    Families such as Qwen3 and Gemma2 set `head_dim` apart from `hidden_size / heads`, latent attention has
    value heads of their own width, and layers may differ, so the module itself is asked first.
    """
    owners = (attention, config)
    heads = _number(owners, ("num_heads", "num_attention_heads"))
    if not heads:
        return 0, 0
    width = _number(owners, ("v_head_dim", "head_dim", "head_size"))
    return heads, width or int(getattr(config, "hidden_size", 0)) // heads


def _number(owners: tuple[Any, ...], names: tuple[str, ...]) -> int:
    """The first of these attributes that is a positive whole number; 0 where none is."""
    values = (getattr(owner, name, None) for owner in owners for name in names)
    return next((value for value in values if isinstance(value, int) and value > 0), 0)
