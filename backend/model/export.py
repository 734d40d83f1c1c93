"""Export of a model, steered or not, as an ordinary checkpoint, steering folded into the projections' biases.

Shifting the input of a linear map by s equals adding the bias W s after it. The exported model is
steered at every position (scope `all`), whatever the scope of the intervention was, and needs nothing of ours
to run.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hormesis.backend.model.silence import quiet
from hormesis.backend.model.sites import output_weight
from hormesis.backend.model.steering import Intervention, SteeringError
from hormesis.db.files import atomic_folder

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

NOTE = "steering.json"


class ExportError(ValueError):
    """A steered checkpoint cannot be written; one line for the person."""


def export_steered(loaded: LoadedModel, intervention: Intervention, strength: float, *, folder: Path) -> Path:
    """Write model, tokenizer and a note to `folder` (which must not exist yet, or be empty); returns it.

    The plain model equals the live one under `(intervention, strength)` with scope `all`. Families with a
    switch for attention biases get it turned on, with zero biases for queries, keys and values. Written
    beside `folder` and renamed when whole. Raises ExportError where the family has no such switch (Qwen2,
    Phi3) or the folder is taken.
    """
    if not np.isfinite(strength):
        raise ExportError(f"strength must be a finite number, not {strength}")
    if intervention.residual:
        raise ExportError("vectors of the residual stream have no bias to fold into; only heads can be saved")
    model = _with_biases(loaded, intervention, strength)
    return _write(model, loaded.tokenizer, folder, note=_note(loaded, intervention, strength))


def save_plain(loaded: LoadedModel, folder: Path) -> Path:
    """Write the unsteered model and its tokenizer to a new `folder`; returns it.

    A GGUF file saved so loads many times faster afterwards. Raises ExportError where the folder is taken.
    """
    return _write(loaded.model, loaded.tokenizer, folder, note=None)


def _write(model: Any, tokenizer: Any, folder: Path, *, note: dict[str, Any] | None) -> Path:
    _refuse_existing(folder)
    with atomic_folder(folder) as temporary:
        with quiet():
            model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        if note is not None:
            (temporary / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
        _refuse_existing(folder)
    return folder


def _refuse_existing(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} exists already; name a new folder")


def _note(loaded: LoadedModel, intervention: Intervention, strength: float) -> dict[str, Any]:
    return {
        "what": "inference-time intervention folded into the biases of the attention output projections",
        "source": loaded.source,
        "source_weights": loaded.weights_hash(),
        "strength": strength,
        "scope": "all",
        "scope_of_intervention": intervention.scope,
        "heads": intervention.n_heads,
        "layers": sorted(int(layer) for layer in intervention.shifts),
    }


def _with_biases(loaded: LoadedModel, intervention: Intervention, strength: float) -> Any:
    """A copy of the model whose output projections carry the shift as a bias."""
    config = copy.deepcopy(loaded.model.config)
    first = loaded.model.get_submodule(loaded.sites[0].module)
    if getattr(first, "bias", None) is None:
        if not hasattr(config, "attention_bias"):
            raise ExportError(
                f"{loaded.architecture} has no switch for a bias on its attention output, "
                "so the steering cannot be folded into an ordinary checkpoint"
            )
        config.attention_bias = True
    with torch.device("meta"):
        model = type(loaded.model)(config)
    state = dict(loaded.model.state_dict())
    for name, tensor in model.state_dict().items():
        if name not in state:
            if not name.endswith(".bias"):
                raise ExportError(
                    f"{loaded.architecture}: turning on attention biases changes more than biases"
                )
            state[name] = torch.zeros(tensor.shape, dtype=loaded.dtype, device=loaded.device)
    for site in loaded.sites:
        shift = intervention.shifts.get(site.layer)
        if shift is None:
            continue
        if shift.shape != (site.width,):
            raise SteeringError(f"shift of layer {site.layer} has shape {shift.shape}, not ({site.width},)")
        name = f"{site.module}.bias"
        if name not in state:
            raise ExportError(f"{loaded.architecture} has no bias on its attention output")
        weight = output_weight(loaded.model.get_submodule(site.module)).detach().double()
        bias = weight @ torch.from_numpy(strength * shift.astype(np.float64)).to(weight.device)
        state[name] = (state[name].double() + bias).to(loaded.dtype)
    model = type(loaded.model)(config)
    model = model.to(device=loaded.device, dtype=loaded.dtype)
    model.load_state_dict(state, strict=True)
    model.generation_config = copy.deepcopy(loaded.model.generation_config)
    return model.eval()
