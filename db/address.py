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


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file; signs in its name that mean something in a URL are quoted."""
    return URL.create("sqlite", database=str(path)).render_as_string()


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
    """(inode, bytes, ns of last change, 1 where a log lies beside it), which change as the file does."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0, int(has_log(path)))
    return (status.st_ino, status.st_size, status.st_mtime_ns, int(has_log(path)))


def network_type(path: Path, mounts: str | None = None) -> str | None:
    """The network file system that holds `path`, e.g. `nfs4`; None where it is local or cannot be told.

    `mounts` is the text of /proc/mounts: device, mount point and type of a file system in each line.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
    nearest_mount, file_system = "", ""
    real_path = os.path.realpath(path)
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        mount_point = fields[1].replace("\\040", " ")
        is_inside = real_path == mount_point or real_path.startswith(mount_point.rstrip("/") + "/")
        if is_inside and len(mount_point) >= len(nearest_mount):
            nearest_mount, file_system = mount_point, fields[2]
    remote = file_system in NETWORK or file_system.startswith(("fuse.sshfs", "fuse.s3"))
    return file_system if remote else None


def _size(name: str) -> int:
    try:
        return Path(name).stat().st_size
    except OSError:
        return 0
