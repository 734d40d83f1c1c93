"""Where remote sources keep what they fetched, and whether the network may be asked.

Knows the folder and the switch; what lies in the folder and how it came there is each source's own.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time adds to a folder, which is made where it is missing; others wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
