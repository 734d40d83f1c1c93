"""Where a number came from: package versions, git revision, host. Gathered once per process."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from hormesis.db.digest import digest as digest

PACKAGES = ("hormesis", "numpy", "scikit-learn", "scipy", "tokenizers", "torch", "transformers", "umap-learn")


@cache
def packages() -> dict[str, str]:
    """Versions of the packages that decide the numbers, and of Python."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@cache
def git_revision() -> str | None:
    """Revision of the source tree, with `+` where files differ from it; None outside a git checkout."""
    folder = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def host() -> str:
    """Name of the machine."""
    return platform.node()
