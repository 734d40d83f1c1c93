"""Model folders that older programs read too: what transformers 5 writes, with the words of 4.57 beside it.

transformers 4.57 knows no tokenizer class `TokenizersBackend` and reads rotary settings at the top level of
config.json only; `rope_parameters` it ignores without a word.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hormesis.backend.model.silence import quiet

OLD_ROTARY_NAMES = {"gpt_neox": {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"}}


def write_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a transformers model and its tokenizer into an existing `folder`, readable by 4.57 and by 5.

    Files get the folder's own permissions (without `x`): safetensors writes them for their owner alone.
    """
    with quiet():
        model.save_pretrained(folder)
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
    """Settings of config.json with the rotary ones at the top level too, as 4.57 names them."""
    rotary = settings.get("rope_parameters") or {}
    by_layer_type = [value for value in rotary.values() if isinstance(value, dict)]
    old_names = OLD_ROTARY_NAMES.get(settings.get("model_type", ""), {})
    for parameters in by_layer_type or [rotary]:
        for name in ("rope_theta", "partial_rotary_factor"):
            if name in parameters:
                settings |= {name: parameters[name], old_names.get(name, name): parameters[name]}
    if rotary.get("rope_type", "default") != "default":
        # Read by transformers 5 as well, where it stands for the whole of `rope_parameters`.
        settings["rope_scaling"] = {key: value for key, value in rotary.items() if key != "rope_theta"}
    return settings
