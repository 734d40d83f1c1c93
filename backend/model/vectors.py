"""Steering vectors of a model in one safetensors file, for programs that steer by adding to activations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from hormesis.backend.model.directions import HeadDirection
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.sites import Site, output_weight
from hormesis.backend.model.steering import SteeringError, iti
from hormesis.db.files import atomic_file

FORMAT = "hormesis-vectors-1"
SIGN = "add them: they lead away from toxicity"


class VectorsError(ValueError):
    """A file of vectors cannot be written; one line for the person."""


def projected(loaded: LoadedModel, site: Site, shift: NDArray[np.float32]) -> torch.Tensor:
    """`W_o @ shift`, float64 `(hidden,)`: what a shift `(n_heads * head_dim,)` of the heads adds after them.

    Raises SteeringError where the shift has another shape.
    """
    if shift.shape != (site.width,):
        raise SteeringError(f"shift of layer {site.layer} has shape {shift.shape}, not ({site.width},)")
    weight = output_weight(loaded.model.get_submodule(site.module)).detach().double()
    return weight @ torch.from_numpy(shift.astype(np.float64)).to(weight.device)


def write_vectors(
    loaded: LoadedModel,
    heads: Sequence[HeadDirection],
    strength: float,
    *,
    path: Path,
    metadata: Mapping[str, str],
) -> Path:
    """Write what steering `heads` at `strength` adds, layer by layer; returns `path`.

    `heads.LAYER`, float32 `(n_heads, head_dim)`, is added to the input of the output projection, zero for the
    heads left alone; `residual.LAYER`, float32 `(hidden,)`, is the same multiplied by W_o and added to the
    projection's output (before the norm that Olmo2, Olmo3 and Gemma2 put there). Strength is in both.
    Metadata, all text: `strength` (sigmas), `sign`, `modules` (JSON: layer to the projection's name), `heads`
    (JSON: layer, head, sigma), and what is handed in. Raises SteeringError where heads do not fit the model,
    VectorsError where the file exists or nothing would be shifted.
    """
    if not (np.isfinite(strength) and strength and heads):
        raise VectorsError(f"{len(heads)} heads at strength {strength:g} shift nothing that could be written")
    if path.exists():
        raise VectorsError(f"{path} exists already; name a new file")
    shifts = iti(loaded.sites, heads).shifts
    sites = [site for site in loaded.sites if site.layer in shifts]
    tensors = {}
    for site in sites:
        shift = strength * shifts[site.layer]
        tensors[f"heads.{site.layer}"] = torch.from_numpy(shift).reshape(site.n_heads, site.head_dim)
        tensors[f"residual.{site.layer}"] = projected(loaded, site, shift).float().cpu()
    values = {
        "format": FORMAT,
        "architecture": loaded.architecture,
        "weights": loaded.weights_hash(),
        "strength": f"{strength:g}",
        "sign": SIGN,
        "modules": json.dumps({site.layer: site.module for site in sites}),
        "heads": json.dumps([{"layer": h.layer, "head": h.head, "sigma": h.sigma} for h in heads]),
    }
    with atomic_file(path) as temporary:
        temporary.write_bytes(save(tensors, {**values, **metadata}))
    return path
