"""LRU cache of loaded models within a memory budget; each is loaded once however many ask at a time.

torch is imported at the first load, so the start is quick.
"""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from hormesis.backend.service.catalogue import CheckpointRecord, WeightsKey
from hormesis.backend.service.settings import ServiceError
from hormesis.db.location import home
from hormesis.db.manifest import require_intact

if TYPE_CHECKING:
    from hormesis.backend.model.models import LoadedModel

SMALL = 500_000_000
"""Parameters below which weights are held in float32 (2 GB at most).

In float32 a row's text does not depend on the rows beside it (see `backend.generation.generation`), in
bfloat16 it does; and CPUs without bfloat16 arithmetic decode four float32 rows in about a third of the time.
"""


class NoRoom(ServiceError):
    """A model does not fit into memory."""


def dtype_for(parameters: int) -> Literal["float32", "bfloat16"]:
    """The number format a model of this size is decoded in."""
    return "float32" if parameters < SMALL else "bfloat16"


def weight_bytes(parameters: int) -> int:
    """Bytes its weights take once loaded."""
    return parameters * (4 if dtype_for(parameters) == "float32" else 2)


class ModelCache:
    """Loaded models within a budget of weight bytes; one model may exceed it, then it is kept alone."""

    def __init__(self, budget: int | None = None) -> None:
        """Keep at most `budget` bytes of weights; None takes half of the memory that is free now."""
        self._budget = psutil.virtual_memory().available // 2 if budget is None else budget
        self._models: OrderedDict[WeightsKey, tuple[LoadedModel, int]] = OrderedDict()
        self._loading = threading.Lock()

    def __len__(self) -> int:
        """Models in memory."""
        return len(self._models)

    def holds(self, checkpoint_id: int) -> bool:
        """True where it, or what was tuned from it, is in memory; does not wait for a load under way."""
        return any(key[0] == checkpoint_id for key in list(self._models))

    def get(self, checkpoint: CheckpointRecord) -> LoadedModel:
        """The model, loaded now if need be; others wait meanwhile, so none is loaded twice.

        Raises ModelError where it cannot be loaded, DamagedFile where its files are not those that the study
        wrote, and NoRoom where it is larger than the free memory.
        """
        key = checkpoint.key
        with self._loading:
            if key in self._models:
                self._models.move_to_end(key)
                return self._models[key][0]
            from hormesis.backend.model.models import load_model

            self._make_room(checkpoint)
            source = checkpoint.source
            if Path(source).exists():
                require_intact(Path(source), checkpoint.units, home())
            # The study has proved the model before it wrote the checkpoint's row; once is enough.
            loaded = load_model(source, dtype=dtype_for(checkpoint.parameters), check=False)
            size = sum(weight.numel() * weight.element_size() for weight in loaded.model.parameters())
            self._models[key] = (loaded, size)
            self._evict(0)
            return loaded

    def _make_room(self, checkpoint: CheckpointRecord) -> None:
        needed = weight_bytes(checkpoint.parameters)
        self._evict(needed)
        free = psutil.virtual_memory().available
        if needed > free:
            raise NoRoom(
                f"{checkpoint.name} needs {needed / 2**30:.1f} GiB of memory, {free / 2**30:.1f} GiB are free"
            )

    def _evict(self, n_bytes: int) -> None:
        """Give up the oldest models until `n_bytes` more fit; the newest stays where `n_bytes` is 0."""
        keep = 0 if n_bytes else 1
        count = len(self._models)
        while len(self._models) > keep and self._used() + n_bytes > self._budget:
            self._models.popitem(last=False)
        if len(self._models) < count:
            gc.collect()

    def _used(self) -> int:
        return sum(size for _, size in self._models.values())
