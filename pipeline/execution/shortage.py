"""Memory or disk that ran out, whichever library says so in whichever words: one line with what to lower."""

from __future__ import annotations

import errno
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

MEMORY = (
    "failed to map segment",
    "cannot allocate memory",
    "can't allocate memory",
    "unable to allocate",
    "out of memory",
    "bad_alloc",
    "can't start new thread",
)
"""What loaders of libraries, allocators and CUDA say."""
DISK = ("no space left on device", "disk quota exceeded", "inline_container", "unexpected pos")
"""What writers say; the last two are torch's, of a file that could not be written to its end."""
LITTLE = 50_000_000
LEAST = 1_500_000_000
"""Bytes of memory; where a process may use less, libraries hang or end it without a word."""
LOWER = {
    "text": "clean_tokens",
    "train": "training.batch_size",
    "probe": "probe.limit",
    "methods": "methods.pairs, or the batch_size of the method",
    "relearn": "hardness.relearn.batch_size",
    "geometry": "probe.limit",
    "project": "projection.max_points",
    "toy": "toy.features",
}
"""By stage, the setting that its memory follows most; `evaluation.batch_size` for others."""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def is_memory(error: BaseException | None) -> bool:
    """Whether an error means that memory ran out, its causes aside."""
    is_errno = isinstance(error, OSError) and error.errno == errno.ENOMEM
    is_told = isinstance(error, (ImportError, OSError, RuntimeError)) and _holds(error, MEMORY)
    # What extensions raise when the interpreter had no memory left for the real error.
    is_lost = isinstance(error, SystemError) and free_memory() < LITTLE
    return isinstance(error, MemoryError) or is_errno or is_told or is_lost


def _is_disk(error: BaseException) -> bool:
    is_errno = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    # Of safetensors' own class, which is none of the usual ones.
    return is_errno or (isinstance(error, Exception) and _holds(error, DISK))


def _holds(error: BaseException, signs: tuple[str, ...]) -> bool:
    text = str(error).lower()
    return any(sign in text for sign in signs)


def shortage(error: BaseException, *, folder: Path | None = None, stage_name: str = "") -> str | None:
    """A line for an error that means that memory or disk ran out; None for any other.

    `folder`: where files are written, if that is known; `stage_name`: of the stage under way, which decides
    what to lower.
    """
    for cause in _causes(error):
        if is_memory(cause):
            lower = LOWER.get(stage_name, "evaluation.batch_size")
            return (
                f"out of memory ({_readable(free_memory())} free): lower {lower}, take a smaller scale, or "
                "run fewer arms at a time (--workers 1)"
            )
        if _is_disk(cause):
            path, free = getattr(cause, "filename", None) or folder, ""
            if path is not None:
                place = _existing(Path(path))
                free = f" ({_readable(shutil.disk_usage(place).free)} free at '{place}')"
            return f"the disk is full{free}: free some space and run again"
    return None


class MemoryLimited(ValueError):
    """The limit on this process's memory is too low for any model; one line for the person."""


def require_memory() -> None:
    """Raise MemoryLimited where this process may use too little memory to load what works with models."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST:
        raise MemoryLimited(
            f"this process may use {_readable(limit)} of memory, and {_readable(LEAST)} are needed at least: "
            "raise its limit (ulimit -v)"
        )


def free_memory() -> int:
    """Bytes that this process can still get: of the machine, and of its own limit where it has one."""
    free: int = psutil.virtual_memory().available
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return free
    return max(0, min(free, limit - int(psutil.Process().memory_info().vms)))


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next((place for place in (path.absolute(), *path.absolute().parents) if place.exists()), Path("/"))


def _readable(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"
