"""Content hashes of files, and atomic writes: under a temporary name, then renamed; whole or not there.

A process killed while writing leaves a `.NAME.PID.tmp` behind and never a half-written result under the
final name.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from glob import escape
from pathlib import Path
from typing import Any

from hormesis.db.processes import is_running

CLOCK_TICK_NS = 20_000_000
"""Longer than the clock of any file system here takes for a step."""
_MACHINE = re.compile("m[0-9a-f]{6}")
_HASHES: dict[tuple[int, int, int, int], str] = {}
"""sha256 by (device, inode, size, mtime): a study opens its files many times within one process, and a file
that was renamed is the same one."""


def content_hash(path: Path) -> str:
    """sha256 of a file's bytes in hex, remembered while size and time of change stay the same."""
    status = path.stat()
    key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if key in _HASHES:
        return _HASHES[key]
    with path.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    # Of a file this young a second change may bear the same time.
    if time.time_ns() - status.st_mtime_ns > CLOCK_TICK_NS:
        _HASHES[key] = content
    return content


def _temporary(target: Path, ending: str = "tmp") -> Path:
    return target.parent / f".{target.name}.{os.getpid()}.{_machine()}.{ending}"


@cache
def _machine() -> str:
    """Tells machines apart that share a folder: ids of processes mean nothing on another one."""
    return "m" + hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """An empty temporary folder that replaces `target` when the block ends without an exception.

    On an exception the temporary folder is removed. Raises OSError where the disk refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(target)
    _remove(temporary)
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            old_target = _temporary(target, "old.tmp")
            _remove(old_target)
            target.rename(old_target)
            temporary.rename(target)
            _remove(old_target)
        else:
            temporary.rename(target)
    finally:
        _remove(temporary)


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """A temporary path to write to, whose file replaces `target` when the block ends without an exception.

    Its name ends in `.tmp`, and other processes may write the same target meanwhile. On an exception the
    temporary file is removed. Raises OSError where the disk refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(target)
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(target: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys so that `target` holds either the old or the new text.

    The bytes are flushed to the disk before the rename: a machine that dies keeps one of the two.
    """
    with atomic_file(target) as temporary, temporary.open("w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=1, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())


def remove_temporaries(folder: Path, name: str = "") -> None:
    """Remove what killed processes left under temporary names directly in `folder`: of one target, or of all.

    Leaves alone what belongs to another process that still runs on this machine, or ran on another one.
    """
    _remove_leftovers(folder.glob(f".{escape(name)}.*.tmp*" if name else ".*.tmp"))


def remove_all_temporaries(folder: Path) -> None:
    """The same in a folder and all below it."""
    _remove_leftovers(sorted(folder.rglob(".*.tmp")))


def _remove_leftovers(paths: Iterable[Path]) -> None:
    for path in paths:
        parts = path.name.split(".")
        machine = next((part for part in parts if _MACHINE.fullmatch(part)), _machine())
        owner_pid = int(next((part for part in reversed(parts) if part.isdigit()), "0"))
        is_leftover = owner_pid in (0, os.getpid()) or not is_running(owner_pid)
        if machine == _machine() and is_leftover:
            _remove(path)
