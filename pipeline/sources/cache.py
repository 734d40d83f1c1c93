"""Where remote sources keep what they fetched, and whether the network may be asked.

Knows the folder and the switch; what lies in the folder and how it came there is each source's own.
"""

from __future__ import annotations

import os
from pathlib import Path

from hormesis.db.location import home

OFFLINE = ("HORMESIS_OFFLINE", "HF_HUB_OFFLINE")
"""Environment variables that keep the network closed; the second is huggingface_hub's own."""
_TRUE = ("1", "on", "yes", "true")


def sources_folder() -> Path:
    """The absolute folder of fetched sources, under the home; it need not exist yet."""
    return home() / "sources"


def is_offline() -> bool:
    """Whether a person closed the network: one of `OFFLINE` is set, in huggingface_hub's words for true."""
    return any(os.environ.get(name, "").strip().lower() in _TRUE for name in OFFLINE)
