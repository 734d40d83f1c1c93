"""Data sets of the Hugging Face hub (or a folder in its layout) as a source, streamed.

Knows how to ask the `datasets` package; the package is optional and imported only here. No code of a data set
is ever run: `datasets` refuses script data sets, and nothing here asks it not to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hormesis.db.files import content_hash
from hormesis.pipeline.sources.record import Record, RowCount, SourceError
from hormesis.pipeline.sources.rows import check_columns, column_names, records, source_columns
from hormesis.pipeline.sources.tables import PlacedRows
from hormesis.pipeline.study.source_config import SourceConfig


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]


def _load(cfg: SourceConfig) -> Any:
    try:
        import datasets
    except ImportError:
        raise SourceError(
            f"source '{cfg.title}': hub data sets need the package datasets (pip install 'hormesis[hub]')"
        ) from None
    data_set = cfg.location + (f" ({cfg.config})" if cfg.config else "")
    try:
        return datasets.load_dataset(
            cfg.location, name=cfg.config, split=cfg.split, revision=cfg.revision, streaming=True
        )
    # Whatever the network, the hub or the data set does wrong arrives here under many types.
    except Exception as error:
        raise SourceError(f"hub data set {data_set}: cannot be opened ({_reason(error)})") from None


class HubSource:
    """Records of one split of a hub data set. Opening reaches the hub and reads the first row."""

    def __init__(self, cfg: SourceConfig) -> None:
        self._cfg = cfg
        self.title = cfg.title
        columns = source_columns(cfg)
        self._data = _load(cfg)
        name_and_row = next(iter(self._rows()), None)
        if name_and_row is None:
            raise SourceError(f"hub data set {cfg.location}: split '{cfg.split}' has no rows")
        present_columns = dict.fromkeys([*column_names(name_and_row[1]), *(self._data.features or {})])
        check_columns(f"hub data set {cfg.location}", columns, present_columns)

    @property
    def revision(self) -> str:
        """The commit of the data set, or the hash of a local folder; `unpinned` where the hub is silent."""
        folder = Path(self._cfg.location)
        if folder.is_dir():
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            listing = "\n".join(f"{path.relative_to(folder)} {content_hash(path)}" for path in files)
            return hashlib.sha256(listing.encode()).hexdigest()
        from huggingface_hub import HfApi

        try:
            commit = HfApi().dataset_info(self._cfg.location, revision=self._cfg.revision).sha
        except Exception:  # the stream may work from a cache where the hub itself cannot be asked
            commit = None
        return commit or self._cfg.revision or "unpinned"

    def _rows(self) -> PlacedRows:
        number = 0
        try:
            for row in self._data:
                number += 1
                yield f"{self._cfg.location}, row {number}", row
        except Exception as error:
            raise SourceError(
                f"hub data set {self._cfg.location}, after row {number}: the stream broke ({_reason(error)})"
            ) from None

    def __iter__(self) -> Iterator[Record]:
        return self.read(RowCount())

    def read(self, count: RowCount) -> Iterator[Record]:
        """Records, counted."""
        return records(self._rows(), self._cfg, count)
