"""Files and folders that are either whole or not there: written under a temporary name, then renamed.

Knows only the file system. A process killed while writing leaves a `.NAME.PID.tmp` behind and never a
half-written result under the final name.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def _temporary(target: Path) -> Path:
    return target.parent / f".{target.name}.{os.getpid()}.tmp"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path, *, keep_existing: bool = False) -> Iterator[Path]:
    """Give an empty temporary folder that becomes `target` when the block ends without an exception.

    An existing target is replaced; with `keep_existing` it wins instead (two processes that build the same
    thing side by side: the second one's work is dropped). On an exception the temporary folder is removed.
    Raises OSError where the disk refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(target)
    _remove(temporary)
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            if keep_existing:
                return
            old = target.parent / f".{target.name}.{os.getpid()}.old.tmp"
            _remove(old)
            target.rename(old)
            temporary.rename(target)
            _remove(old)
        else:
            try:
                temporary.rename(target)
            except OSError:
                if not (keep_existing and target.exists()):
                    raise
    finally:
        _remove(temporary)


def write_json(target: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys so that `target` holds either the old or the new text.

    The bytes are flushed to the disk before the rename: a machine that dies keeps one of the two.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(target)
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            json.dump(value, stream, indent=1, sort_keys=True)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    finally:
        _remove(temporary)


def sweep(folder: Path) -> None:
    """Remove what killed processes left under temporary names directly in `folder`.

    Leaves alone what belongs to a process that still lives on this machine.
    """
    for path in folder.glob(".*.tmp"):
        owner = next((part for part in reversed(path.name.split(".")) if part.isdigit()), "")
        if not owner or not _alive(int(owner)):
            _remove(path)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return pid != os.getpid()
