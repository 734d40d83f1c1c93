"""Worlds that are expensive to build (studies, databases, checkpoints): built once per test run.

Workers of pytest-xdist share a temporary folder; the first that needs a world builds it there, the others
wait for its lock. A shared world is for looking at: who writes takes a copy.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def shared_world(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """The folder that `build` filled in this test run, whichever worker came first."""
    root = factory.getbasetemp()
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "worlds"
    root.mkdir(exist_ok=True)
    folder, mark = root / name, root / f"{name}.built"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            mark.touch()
    return folder


def copied_world(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """A copy of a shared world for the tests of one module to write into."""
    return shutil.copytree(shared_world(factory, name, build), factory.mktemp(name) / name)


def copy_database(source: Path, target: Path) -> str:
    """Copy a SQLite file that nobody writes to; returns the copy's URL."""
    return f"sqlite:///{shutil.copyfile(source, target)}"
