"""Model folders that older programs read too: what transformers 5 writes, with the words of 4.57 beside it.

transformers 4.57 knows no tokenizer class `TokenizersBackend` and reads rotary settings at the top level of
config.json only; `rope_parameters` it ignores without a word.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hormesis.backend.model.silence import quiet

OLD_ROTARY_NAMES = {
    "gpt_neox": {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"},
    "gemma3_text": {"sliding": "rope_local_base_freq"},
    "gemma3n_text": {"sliding": "rope_local_base_freq"},
}
SCALED_BY_LAYER = ("gemma3_text", "gemma3n_text", "olmo3")
"""Families of 4.57 whose full attention alone is scaled; of others `rope_scaling` stands for every layer."""


def write_model(model: Any, tokenizer: Any, folder: Path, *, weights: dict[str, Any] | None = None) -> None:
    """Write a transformers model and its tokenizer into an existing `folder`, readable by 4.57 and by 5.

    `weights`: by name, in place of the model's, where this process holds a part of those only.
    Files get the folder's own permissions (without `x`): safetensors writes them for their owner alone.
    """
    with quiet():
        model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)
    _edit(folder / "tokenizer_config.json", _with_old_class)
    _edit(folder / "config.json", _with_old_rotary_names)
    share(folder)


def share(folder: Path) -> None:
    """Give each file in `folder` the folder's permissions, which followed the umask."""
    mode = folder.stat().st_mode & 0o666
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(mode)


def _edit(path: Path, change: Any) -> None:
    if path.is_file():
        settings = change(json.loads(path.read_text(encoding="utf-8")))
        path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _with_old_class(settings: dict[str, Any]) -> dict[str, Any]:
    is_new = settings.get("tokenizer_class") == "TokenizersBackend"
    return settings | {"tokenizer_class": "PreTrainedTokenizerFast"} if is_new else settings


def _with_old_rotary_names(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of config.json with the rotary ones at the top level too, as 4.57 names them.

    Where layers differ, 4.57 takes those of full attention from there, and gives sliding ones no scaling.
    """
    if isinstance(settings.get("text_config"), dict):
        settings = settings | {"text_config": _with_old_rotary_names(settings["text_config"])}
    rotary = settings.get("rope_parameters") or {}
    by_layer_type = {kind: value for kind, value in rotary.items() if isinstance(value, dict)}
    old_names = OLD_ROTARY_NAMES.get(settings.get("model_type", ""), {})
    parameters = by_layer_type.get("full_attention", rotary)
    for name in ("rope_theta", "partial_rotary_factor"):
        if name in parameters:
            settings |= {name: parameters[name], old_names.get(name, name): parameters[name]}
    theta_of_sliding = by_layer_type.get("sliding_attention", {}).get("rope_theta")
    if "sliding" in old_names and theta_of_sliding is not None:
        settings |= {old_names["sliding"]: theta_of_sliding}
    is_scaled = parameters.get("rope_type", "default") != "default"
    if is_scaled and (not by_layer_type or settings.get("model_type") in SCALED_BY_LAYER):
        # Read by transformers 5 as well, where it stands for the whole, or for that of full attention.
        settings["rope_scaling"] = {key: value for key, value in parameters.items() if key != "rope_theta"}
    return settings
