"""What can be told of a SQLite database from its address and its folder, without opening it.

Never opens the file: closing a handle of one's own would drop the locks that SQLite holds in this process.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import URL

NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "lustre", "beegfs", "gpfs", "ceph"}
)
Signature = tuple[int, int, int, int]


def sqlite_path(url: URL) -> Path | None:
    """The file a SQLite URL names; None for other databases and for one in memory."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    if url.database.startswith("file:"):
        return Path(url.database.removeprefix("file:").split("?")[0]).absolute()
    return Path(url.database).absolute()


def readonly_uri(path: Path, *, immutable: bool) -> str:
    """The SQLite URI that opens `path` without changing any file.

    `immutable` is for a file with no writer: SQLite then makes no -wal and -shm beside it. Otherwise
    `readonly_shm` joins a writer's shared index without writing to it.
    """
    options = "immutable=1" if immutable else "readonly_shm=1"
    return f"file:{quote(str(path))}?mode=ro&{options}"


def has_log(path: Path) -> bool:
    """True where a writer is, or was when it died: changes lie beside the file, not yet inside."""
    return _size(f"{path}-wal") > 0 or _size(f"{path}-journal") > 0


def signature(path: Path) -> Signature:
    """Changes when the file is written or replaced, or when a log appears beside it."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0, int(has_log(path)))
    return (status.st_ino, status.st_size, status.st_mtime_ns, int(has_log(path)))


def network_type(path: Path, mounts: str | None = None) -> str | None:
    """The network file system that holds `path`, e.g. `nfs4`; None where it is local or cannot be told.

    `mounts` is the text of /proc/mounts.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
    best, kind = "", ""
    where = os.path.realpath(path)
    for line in mounts.splitlines():
        parts = line.split()
        if len(parts) < 3:
            continue
        point = parts[1].replace("\\040", " ")
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, parts[2]
    remote = kind in NETWORK or kind.startswith(("fuse.sshfs", "fuse.s3"))
    return kind if remote else None


def _size(name: str) -> int:
    try:
        return Path(name).stat().st_size
    except OSError:
        return 0
