"""Atomic writes leave the old content or the new, also when the process is killed; which processes run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hormesis.db.files import _machine, atomic_file, atomic_folder, remove_temporaries, write_json
from hormesis.db.processes import is_running


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_the_old_one_until_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "made" / "a.txt"
    with atomic_file(target) as temporary:
        temporary.write_text("old", encoding="utf-8")
        assert not target.exists()
    with pytest.raises(RuntimeError), atomic_file(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
        raise RuntimeError
    assert target.read_text(encoding="utf-8") == "old"
    with atomic_file(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
    assert (names(target.parent), target.read_text(encoding="utf-8")) == (["a.txt"], "new")


def test_a_folder_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for name in ("a", "b"):
        with atomic_folder(target) as temporary:
            (temporary / name).touch()
    with pytest.raises(RuntimeError), atomic_folder(target) as temporary:
        (temporary / "c").touch()
        raise RuntimeError
    assert (names(tmp_path), names(target)) == (["model"], ["b"])


def test_json_that_cannot_be_written_leaves_the_old(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_json(target, {"b": [1], "a": "ß"})
    with pytest.raises(TypeError):
        write_json(target, {"b": object()})
    assert (names(tmp_path), json.loads(target.read_text(encoding="utf-8"))) == (
        ["a.json"],
        {"a": "ß", "b": [1]},
    )


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_writes_stays(tmp_path: Path) -> None:
    program = """if True:
        import sys, time
        from pathlib import Path
        from hormesis.db.files import atomic_file, atomic_folder
        folder = Path(sys.argv[1])
        with atomic_file(folder / "a.b") as file, atomic_folder(folder / "f") as inner:
            file.write_text("half")
            (inner / "half").touch()
            print("writing", flush=True)
            time.sleep(600)
    """
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"writing\n"
        machine = _machine()
        left = [f".a.b.{child.pid}.{machine}.tmp", f".f.{child.pid}.{machine}.tmp"]
        (tmp_path / f".old.{os.getpid()}.tmp").touch()
        (tmp_path / "kept.tmp").touch()
        remove_temporaries(tmp_path)
        assert names(tmp_path) == [*left, "kept.tmp"]
    finally:
        os.kill(child.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while is_running(child.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    # Not yet waited for, the child is a zombie here.
    remove_temporaries(tmp_path)
    child.communicate()
    assert names(tmp_path) == ["kept.tmp"]


def test_a_process_runs_and_is_not_a_later_one_of_its_id() -> None:
    assert is_running(os.getpid()) and is_running(os.getpid(), time.time())
    assert not is_running(os.getpid(), time.time() - 10 * 86_400)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not is_running(child.pid)
