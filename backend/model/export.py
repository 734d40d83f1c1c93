"""Export of a model, steered or not, as an ordinary checkpoint, steering folded into the projections' biases.

Shifting the input of a linear map by s equals adding the bias W s after it. The exported model is
steered at every position (scope `all`), whatever the scope of the intervention was, and needs nothing of ours
to run.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hormesis.backend.model.expected import expected_logits
from hormesis.backend.model.loaded import name_of
from hormesis.backend.model.portable import share, write_model
from hormesis.backend.model.sites import text_config
from hormesis.backend.model.steering import Intervention
from hormesis.backend.model.vectors import projected
from hormesis.db.manifest import sealed_folder

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

NOTE = "steering.json"
CARD = "README.md"
BIAS_SWITCHES = ("attention_out_bias", "attention_bias", "use_bias", "bias")
"""Settings by which families give the attention output projection a bias."""


class ExportError(ValueError):
    """A steered checkpoint cannot be written; one line for the person."""


def export_steered(
    loaded: LoadedModel,
    intervention: Intervention,
    strength: float,
    *,
    folder: Path,
    about: Mapping[str, Any] | None = None,
    card: str = "",
) -> Path:
    """Write model, tokenizer and `steering.json` to `folder` (which must not exist yet, or be empty).

    The plain model equals the live one under `(intervention, strength)` with scope `all`. Families with a
    switch for attention biases get it turned on, with zero biases for queries, keys and values. Written
    beside `folder` and renamed when whole; returns it. The note has expected logits of a fixed input (see
    `expected_logits`), what the caller says `about` the model, and under `earlier` the note of a source that
    was steered itself; no path. card: text of the folder's README.md. Raises ExportError where the family has
    no such switch (Qwen2, Phi3) or the folder is taken.
    """
    if not np.isfinite(strength):
        raise ExportError(f"strength must be a finite number, not {strength}")
    if intervention.residual:
        raise ExportError("vectors of the residual stream have no bias to fold into; only heads can be saved")
    model = with_biases(loaded, intervention, strength)
    note = _note(loaded, intervention, strength) | dict(about or {})
    note["expected"] = expected_logits(loaded, model)
    earlier = earlier_note(loaded)
    if earlier is not None:
        note["earlier"] = earlier
    return _write(model, loaded.tokenizer, folder, note=note, card=card)


def save_plain(loaded: LoadedModel, folder: Path, *, card: str = "") -> Path:
    """Write the model as it is and its tokenizer to a new `folder`; returns it.

    A `steering.json` beside its weights comes along, since the steering does. A GGUF file saved so loads many
    times faster afterwards. Raises ExportError where the folder is taken.
    """
    return _write(loaded.model, loaded.tokenizer, folder, note=earlier_note(loaded), card=card)


def _write(model: Any, tokenizer: Any, folder: Path, *, note: dict[str, Any] | None, card: str) -> Path:
    _refuse_existing(folder)
    with sealed_folder(folder) as temporary:
        write_model(model, tokenizer, temporary)
        if note is not None:
            (temporary / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
        if card:
            (temporary / CARD).write_text(card, encoding="utf-8")
        share(temporary)
        _refuse_existing(folder)
    return folder


def earlier_note(loaded: LoadedModel) -> dict[str, Any] | None:
    """The note in the folder that a model was read from; None where there is none."""
    path = loaded.files[0].parent / NOTE if loaded.files else None
    if path is None or not path.is_file():
        return None
    note: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return note


def _refuse_existing(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} exists already; name a new folder")


def _note(loaded: LoadedModel, intervention: Intervention, strength: float) -> dict[str, Any]:
    return {
        "what": "inference-time intervention folded into the biases of the attention output projections",
        "source": name_of(loaded.source),
        "source_weights": loaded.weights_hash(),
        "strength": strength,
        "scope": "all",
        "scope_of_intervention": intervention.scope,
        "heads": intervention.n_heads,
        "layers": sorted(int(layer) for layer in intervention.shifts),
    }


def with_biases(loaded: LoadedModel, intervention: Intervention, strength: float) -> Any:
    """A copy of the model whose output projections carry the shift as a bias. Raises ExportError."""
    config = copy.deepcopy(loaded.model.config)
    config.dtype = loaded.dtype
    of_text = text_config(config)
    first_projection = loaded.model.get_submodule(loaded.sites[0].module)
    if getattr(first_projection, "bias", None) is None:
        switch = next((name for name in BIAS_SWITCHES if hasattr(of_text, name)), None)
        if switch is None:
            raise ExportError(
                f"{loaded.architecture} has no switch for a bias on its attention output, "
                "so the steering cannot be folded into an ordinary checkpoint"
            )
        setattr(of_text, switch, True)
    with torch.device("meta"):
        model = type(loaded.model)(config)
    tensors = dict(loaded.model.state_dict())
    for name, tensor in model.state_dict().items():
        if name not in tensors:
            if not name.endswith(".bias"):
                raise ExportError(
                    f"{loaded.architecture}: turning on attention biases changes more than biases"
                )
            tensors[name] = torch.zeros(tensor.shape, dtype=loaded.dtype, device=loaded.device)
    for site in loaded.sites:
        shift = intervention.shifts.get(site.layer)
        if shift is None:
            continue
        name = f"{site.module}.bias"
        if name not in tensors:
            raise ExportError(f"{loaded.architecture} has no bias on its attention output")
        bias = projected(loaded, site, strength * shift)
        tensors[name] = (tensors[name].double() + bias).to(loaded.dtype)
    model = type(loaded.model)(config)
    model = model.to(device=loaded.device, dtype=loaded.dtype)
    model.load_state_dict(tensors, strict=True)
    model.generation_config = copy.deepcopy(loaded.model.generation_config)
    return model.eval()
