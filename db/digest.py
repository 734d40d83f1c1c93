"""Hashes of values: of a stage's inputs, of a list of examples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def digest(*parts: Any) -> str:
    """Sixteen hex digits over JSON-like values; the key of a stage's inputs and of its files."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def example_list_hash(example_ids: Iterable[int]) -> str:
    """The hash of `example_list`, over the ids in their order: another one where they have other ids."""
    return digest("examples", [int(example_id) for example_id in example_ids])
