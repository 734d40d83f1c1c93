"""Rows of hub data sets: streamed as far as they are read, and kept, so that they are streamed once.

Knows how the package `datasets` streams a split and goes on in its middle; knows nothing of roles and
records. The package is optional and imported only here. No code of a data set is ever run: `datasets` refuses
script data sets, and nothing here asks it not to.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import zstandard

from hormesis.backend.hub_problem import LATER, hub_problem
from hormesis.db.manifest import is_intact, sealed_file, write_sealed_json
from hormesis.pipeline.sources.cache import alone, is_offline
from hormesis.pipeline.sources.hub_info import data_set_folder
from hormesis.pipeline.sources.record import SourceError
from hormesis.pipeline.sources.rows import Row, check_columns, column_names, value_of
from hormesis.pipeline.sources.tables import read_rows

FIRST_ROWS, MOST_ROWS = 500, 20_000
"""Rows of the first shard and of the largest; in between each is as large as all before it."""
BATCH = 100
"""Rows that come together; an error or Ctrl-C loses no more, which then come again."""
SHARD_SECONDS = 30.0
"""A slow stream is put into smaller shards, so that little is lost by a power cut."""


@dataclass(frozen=True)
class Split:
    """What is read of a data set: with the commit, it decides every row."""

    name: str
    """Of the data set, or a folder in the hub's layout."""
    config: str | None
    files: tuple[str, ...]
    """Files or patterns inside the repository; empty: those that its page names for the split."""
    split: str
    columns: tuple[str, ...]
    commit: str = ""
    """Empty for a folder."""

    @property
    def folder(self) -> Path:
        """Where its rows are kept."""
        parts = {key: value for key, value in asdict(self).items() if key not in ("name", "commit")}
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
        return data_set_folder(self.name) / f"{self.commit[:12]}-{self.split}-{digest}"


@dataclass(frozen=True)
class Place:
    """How far a split was read: rows so far, where `datasets` goes on, and whether there are no more."""

    rows: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    ended: bool = False


START = Place()


class Stream:
    """A split as it comes, from some place on, BATCH rows at a time. Opening may raise SourceError."""

    def __init__(self, split: Split, place: Place = START) -> None:
        """Open the split and check its columns."""
        self.split = split
        self.place = place
        """Where to go on after the latest rows."""
        self.bytes: int | None = None
        """Of the split's files, where the hub says it."""
        self.stated_rows: int | None = None
        """As the data set's page states them; unknown where files are named."""
        try:
            self._data = self._open()
            if place.state:
                self._data.load_state_dict(place.state)
            self._columns: Iterator[Mapping[str, list[Any]]] = self._data.iter(BATCH)
            first_columns = next(self._columns, None)
        except SourceError:
            raise
        # Whatever the network, the hub or the data set does wrong arrives here under many types.
        except Exception as error:
            raise SourceError(self._problem(error)) from None
        if first_columns is not None:
            first_row = {name: values[0] for name, values in first_columns.items()}
            present = dict.fromkeys([*column_names(self._data.features or {}), *column_names(first_row)])
            check_columns(f"hub data set {split.name}", split.columns, present)
            self._columns = chain([first_columns], self._columns)
        elif not place.rows:
            raise SourceError(f"hub data set {split.name}: split '{split.split}' has no rows")

    def _problem(self, error: Exception) -> str:
        split = self.split
        data_set = f"data set {split.name}" + (f" ({split.config})" if split.config else "")
        if isinstance(error, FileNotFoundError) and split.files:
            return f"{data_set} has no file {', '.join(split.files)}"
        return hub_problem(error, data_set, split.commit)

    def _open(self) -> Any:
        split = self.split
        datasets = package(split.name)
        builder = datasets.load_dataset_builder(
            split.name,
            # Named files are a configuration of their own.
            name=None if split.files else split.config,
            data_files={split.split: list(split.files)} if split.files else None,
            revision=split.commit or None,
        )
        data = builder.as_streaming_dataset(split=split.split)
        stated = (data.info.splits or {}).get(split.split)
        self.stated_rows = stated.num_examples if stated and not split.files else None
        self.bytes = _file_bytes((builder.config.data_files or {}).get(split.split, ()))
        return data

    def __iter__(self) -> Iterator[list[Row]]:
        return self

    def __next__(self) -> list[Row]:
        """The next rows, BATCH of them where there are so many."""
        columns = next(self._columns)
        rows: list[Row] = [
            dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
        ]
        self.place = Place(self.place.rows + len(rows), self._data.state_dict())
        return rows

    def close(self) -> None:
        """Let go of the connection: iterators that end with the interpreter complain."""
        self._columns = iter(())


def package(name: str) -> Any:
    """The package `datasets`, with less patience. Raises SourceError, for the data set `name`, without it."""
    try:
        import datasets
    except ImportError:
        raise SourceError(
            f"hub data set {name}: hub data sets need the package datasets (pip install 'hormesis[hub]')"
        ) from None
    # Requests are tried again by huggingface_hub below; once more around that is twenty times half a minute.
    datasets.config.STREAMING_READ_MAX_RETRIES = datasets.config.STREAMING_OPEN_MAX_RETRIES = 1
    for name in ("READ", "OPEN", "READ_SERVER_UNAVAILABLE", "READ_RATE_LIMIT"):
        setattr(datasets.config, f"STREAMING_{name}_RETRY_INTERVAL", 0)
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(logging.CRITICAL)  # one line is enough, and it is ours
    return datasets


def _file_bytes(paths: Any) -> int | None:
    """Bytes of hub files, from the listing that opening them left in memory."""
    from huggingface_hub import HfFileSystem

    remote = [path for path in paths if str(path).startswith("hf://")]
    return sum(int(HfFileSystem().info(path)["size"]) for path in remote) if remote else None


class SplitRows:
    """The rows of one split: those on this machine, then further ones from the hub, which are then here too.

    Iterating gives them from the first one, as dictionaries with the split's columns (nested ones by their
    dotted names), and raises SourceError where the hub gives no more although there are some.
    """

    def __init__(self, split: Split) -> None:
        self.split = split
        self._stream: Stream | None = None

    @property
    def place(self) -> Place:
        """How far the rows on this machine go."""
        last_shard = max(self.split.folder.glob("*.jsonl.zst"), default=None)
        ended = self.split.folder / "ended.json"
        if ended.is_file():
            return Place(int(_stored_json(ended)["rows"]), ended=True)
        return Place(**_stored_json(_place_file(last_shard))) if last_shard else Place()

    @property
    def bytes(self) -> int | None:
        """Of the split's files on the hub; None where it was not asked, or does not say."""
        path = self.split.folder / "split.json"
        size = _stored_json(path)["bytes"] if path.is_file() else None
        return size if size is None else int(size)

    def __iter__(self) -> Iterator[Row]:
        rows = 0
        while True:
            place = self.place
            for shard in sorted(self.split.folder.glob("*.jsonl.zst")):
                if rows <= int(shard.name.partition(".")[0]) < place.rows:
                    _require_intact(shard)
                    for _, row in read_rows(shard, ()):
                        rows += 1
                        yield row
            if rows < place.rows:
                raise SourceError(f"{self.split.folder}: rows are missing; delete this folder and run again")
            if place.ended:
                return
            self.extend()

    def extend(self) -> None:
        """Keep the next rows of the split, or that there are none.

        What came before an error or Ctrl-C is kept. Raises SourceError where the network is closed, the hub
        gives no answer, or the split ends before the rows that its page states.
        """
        rows_before = self.place.rows
        if is_offline():
            raise SourceError(
                f"hub data set {self.split.name}: {rows_before:,} rows of split '{self.split.split}' are on "
                "this machine, more are needed, and the network is closed (--offline)"
            )
        with alone(self.split.folder):
            place = self.place
            if place.rows > rows_before or place.ended:
                return  # another process was here meanwhile
            if self._stream is None or self._stream.place.rows != place.rows:
                self._stream = Stream(self.split, place)
                _OPEN.append(self._stream)
                self._describe(self._stream)
            self._append(self._stream, max(FIRST_ROWS, min(MOST_ROWS, place.rows)))

    def _append(self, stream: Stream, most: int) -> None:
        batches: list[tuple[list[Row], Place]] = []
        n_batches, until = most // BATCH, time.monotonic() + SHARD_SECONDS
        problem: BaseException | None = None
        try:
            for batch in islice(stream, n_batches):
                # In one step, so that wherever Ctrl-C strikes, the place is that of the rows.
                batches.append((batch, stream.place))
                if time.monotonic() > until:
                    n_batches = len(batches)
                    break
        except BaseException as error:
            problem = error
        rows = [row for batch, _ in batches for row in batch]
        if rows:
            self._write(rows, batches[-1][1])
        if problem is None and len(batches) == n_batches:
            return
        self._stream = None
        if problem is None:
            self._end(stream)
        elif isinstance(problem, Exception):
            line = hub_problem(problem, f"data set {self.split.name}", self.split.commit)
            go_on = "" if LATER in line else f"; {LATER}"
            raise SourceError(f"after row {self.place.rows:,}: {line}{go_on}") from None
        else:
            raise problem

    def _write(self, rows: list[Row], place: Place) -> None:
        shard = self.split.folder / f"{place.rows - len(rows):012}.jsonl.zst"
        columns = self.split.columns
        lines = "".join(
            json.dumps({name: value_of(row, name) for name in columns}, default=_plain) + "\n" for row in rows
        )
        # The place first: a shard without one would be rows that nothing can go on from.
        write_sealed_json(_place_file(shard), asdict(place))
        with sealed_file(shard) as temporary:
            temporary.write_bytes(zstandard.compress(lines.encode()))

    def _end(self, stream: Stream) -> None:
        rows = self.place.rows
        if stream.stated_rows is not None and rows < stream.stated_rows:
            raise SourceError(
                f"hub data set {self.split.name}: split '{self.split.split}' ended after {rows:,} rows, "
                f"where its page states {stream.stated_rows:,}; run again, or name its files (data_files)"
            )
        write_sealed_json(self.split.folder / "ended.json", {"rows": rows})

    def _describe(self, stream: Stream) -> None:
        """Write beside the rows what they are."""
        about: Mapping[str, Any] = asdict(self.split) | {
            "bytes": stream.bytes,
            "stated_rows": stream.stated_rows,
        }
        write_sealed_json(self.split.folder / "split.json", about)


def _require_intact(path: Path) -> None:
    if not is_intact(path):
        raise SourceError(f"{path} is damaged; delete its folder and run again")


def _stored_json(path: Path) -> dict[str, Any]:
    """What was kept beside the rows. Raises SourceError where it is damaged."""
    _require_intact(path)
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def _plain(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _place_file(shard: Path) -> Path:
    return shard.with_name(shard.name.replace(".jsonl.zst", ".json"))


_OPEN: list[Stream] = []


@atexit.register
def _close() -> None:
    """Streams cut while the interpreter shuts down would complain about modules that are gone."""
    for stream in _OPEN:
        stream.close()


@cache
def split_rows(split: Split, folder: Path) -> SplitRows:
    """The rows of a split, the same object for all who read it: two roles take turns with one stream.

    `folder` is the split's own; the home may change within a process.
    """
    return SplitRows(split)
