"""Data sets of the Hugging Face hub, or a folder in its layout, as a source.

Knows what a study's settings mean here; how rows come and are kept is `hub_rows`, what the hub says of a data
set `hub_info`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path

from hormesis.db.files import content_hash, write_json
from hormesis.pipeline.sources.hub_info import hub_info, stored_info
from hormesis.pipeline.sources.hub_rows import Split, SplitRows, Stream, package, split_rows
from hormesis.pipeline.sources.record import FetchReport, Record, RowCount, SourceError
from hormesis.pipeline.sources.rows import Row, records, source_columns
from hormesis.pipeline.sources.tables import PlacedRows
from hormesis.pipeline.study.source_config import SourceConfig


class HubSource:
    """Records of one split of a hub data set.

    Opening asks nothing; `revision` asks the hub the first time and reads the first rows, so that it raises
    SourceError for everything that can be known before more is read. A folder is read where it lies.
    """

    def __init__(self, cfg: SourceConfig) -> None:
        self._cfg = cfg
        self.title = cfg.title
        self._columns = tuple(source_columns(cfg))
        self._folder = Path(cfg.location) if Path(cfg.location).is_dir() else None
        if self._folder is not None:
            Stream(self._split("")).close()
        elif cfg.location.startswith((".", "/", "~")) or cfg.location.count("/") > 1:
            raise SourceError(f"{cfg.location}: no such folder (a data set of the hub is named OWNER/NAME)")

    def _split(self, commit: str) -> Split:
        cfg = self._cfg
        return Split(cfg.location, cfg.config, cfg.data_files, cfg.split, self._columns, commit)

    @cached_property
    def _resolved_rows(self) -> SplitRows:
        """Rows of the commit that the revision means, the first ones here. Asks the hub where needed."""
        if not self.stored_rows:
            package(self._cfg.location)
        info = hub_info(self._cfg.location, self._cfg.revision)
        if info.refused:
            raise SourceError(info.refused)
        rows = self._rows_of(info.commit)
        if not rows.place.rows:
            rows.extend()
        return rows

    def _rows_of(self, commit: str) -> SplitRows:
        split = self._split(commit)
        return split_rows(split, split.folder)

    @property
    def _stored(self) -> SplitRows | None:
        """The rows as far as they are here; None where the hub was never asked. Asks nothing."""
        info = stored_info(self._cfg.location, self._cfg.revision)
        return self._rows_of(info.commit) if info and info.commit else None

    @property
    def revision(self) -> str:
        """The commit of the data set, or the hash of a local folder."""
        if self._folder is None:
            return self._resolved_rows.split.commit
        files = sorted(path for path in self._folder.rglob("*") if path.is_file())
        listing = "\n".join(f"{path.relative_to(self._folder)} {content_hash(path)}" for path in files)
        return hashlib.sha256(listing.encode()).hexdigest()

    @property
    def stored_revision(self) -> str | None:
        """The commit, where it is known without asking the hub."""
        if self._folder is not None:
            return self.revision
        return self._stored.split.commit if self._stored else None

    @property
    def size(self) -> int | None:
        """Bytes of the split's files on the hub; None where it was not asked."""
        return self._stored.bytes if self._stored else None

    @property
    def stored_rows(self) -> int:
        """Rows on this machine."""
        return self._stored.place.rows if self._stored else 0

    @property
    def is_cached(self) -> bool:
        """Whether the source can be read to its limit, or the split to its end, without network."""
        if self._folder is not None:
            return True
        return self._stored is not None and (self._stored.place.ended or self._mark(self._stored).is_file())

    def _mark(self, rows: SplitRows) -> Path:
        """A file that says that this source was once read to its limit."""
        settings = json.dumps(self._cfg.model_dump(mode="json"), sort_keys=True)
        return rows.split.folder / f"{hashlib.sha256(settings.encode()).hexdigest()[:16]}.read"

    @property
    def remark(self) -> str:
        """What reading it gave, in a few words; empty where it was never read to its limit or end."""
        mark = self._mark(self._stored) if self._stored else None
        if mark is None or not mark.is_file():
            return ""
        reading = json.loads(mark.read_text(encoding="utf-8"))
        rows, used, limit = reading["rows"], reading["records"], self._cfg.limit
        sentence = f"{used:,} records of {rows:,} rows"
        return sentence + (
            f"; the split ended before the limit of {limit:,}" if limit and used < limit else ""
        )

    def fetch(self, report: FetchReport) -> None:
        """Have everything here that reading the source takes; `report` is told of records."""
        for number, _ in enumerate(self, 1):
            report(number, self._cfg.limit)

    def _rows(self) -> PlacedRows:
        stream = Stream(self._split("")) if self._folder is not None else ()
        rows: Iterator[Row] = (
            chain.from_iterable(stream) if self._folder is not None else iter(self._resolved_rows)
        )
        for number, row in enumerate(rows, 1):
            yield f"{self._cfg.location}, row {number}", row

    def __iter__(self) -> Iterator[Record]:
        return self.read(RowCount())

    def read(self, count: RowCount) -> Iterator[Record]:
        """Records, counted."""
        yield from records(self._rows(), self._cfg, count)
        if self._folder is None:
            write_json(self._mark(self._resolved_rows), {"rows": count.read, "records": count.used})
