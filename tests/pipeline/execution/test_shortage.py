"""Memory and disk that run out: a line with the stage, what is free and what to lower; no half file stays."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from hormesis.db.files import atomic_file, remove_all_temporaries
from hormesis.pipeline import cli
from hormesis.pipeline.execution.shortage import LOWER, free_memory, shortage
from hormesis.pipeline.execution.stage import plain_words
from hormesis.pipeline.stages import GRAPH
from hormesis.pipeline.training.loop import WRITING, TrainingError, saving
from tests.fixtures.tiny_study import environment

MEMORY = r"out of memory \(\d+\.\d [GM]B free\): lower training\.batch_size, take a smaller scale"
DISK = r"the disk is full \(\d+\.\d [GM]B free at '.+'\): free some space and run again"


def numpy_array() -> object:
    return np.empty(2**60, np.uint8)


def torch_tensor() -> object:
    return torch.empty(2**60, dtype=torch.uint8)


@pytest.mark.parametrize("allocate", [numpy_array, torch_tensor])
def test_allocators_that_refuse_are_understood(allocate: Callable[[], object]) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        allocate()
    assert re.match(MEMORY, plain_words(caught.value, stage_name="train"))
    wrapped = ValueError("could not go on")
    wrapped.__cause__ = caught.value
    assert re.match(MEMORY, plain_words(wrapped, stage_name="train"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImportError("libgomp.so.1: failed to map segment from shared object"), "out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "out of memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (
            RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 902080 vs 901968"),
            "the disk",
        ),
        (
            SafetensorError("Error while serializing: No space left on device (os error 28)"),
            "the disk is full",
        ),
    ],
)
def test_what_libraries_say_is_understood(error: Exception, words: str, tmp_path: Path) -> None:
    line = shortage(error, folder=tmp_path / "not there yet")
    assert line is not None and line.startswith(words) and ("--workers" in line or str(tmp_path) in line)


def test_a_command_tells_it_in_a_line_whatever_class_it_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def save() -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(cli, "app", save)
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    assert capsys.readouterr().err == "hormesis: the disk is full: free some space and run again\n"


@pytest.mark.parametrize(
    "error", [ValueError("no memory of it"), ImportError("no module"), OSError(13, "no")]
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert shortage(error) is None
    for context in (MemoryError(), BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")):
        error.__context__, error.__suppress_context__ = context, True  # as by `from None`
        assert shortage(error) is None


@pytest.mark.parametrize("arguments", [["run", "forum"], ["import", "model"]])
def test_a_limit_below_what_libraries_need_is_told_before_they_are_loaded(
    arguments: list[str], tmp_path: Path
) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (800_000_000, -1))\n"
    code = f"{limited}import sys; sys.argv[1:] = {arguments}\nfrom hormesis.pipeline.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.stderr == (
        "hormesis: this process may use 0.8 GB of memory, and 1.5 GB are needed at least: raise its limit "
        "(ulimit -v)\n"
    )
    assert done.returncode == 2 and not list(tmp_path.iterdir())


def test_every_stage_that_is_named_is_one() -> None:
    assert set(LOWER) <= {stage.name for stage in GRAPH.stages} and free_memory() > 0


def test_a_checkpoint_that_does_not_fit_leaves_no_half_of_it(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: writers fail in the middle of one."""
    (tmp_path / WRITING).mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(TrainingError) as caught, saving(tmp_path):
            torch.save(torch.zeros(200_000), tmp_path / WRITING / "optimizer.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / WRITING).exists()
    assert re.match(DISK, plain_words(caught.value, folder=tmp_path))


def test_parts_of_killed_processes_are_removed_below_a_home(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "deep" / "er" / "a.bin") as temporary:
        temporary.touch()
        name = temporary.name
    dead = name.replace(f".{os.getpid()}.", ".999999999.")
    elsewhere = re.sub(r"\.m[0-9a-f]{6}\.", ".m000000.", dead)
    for leftover in (dead, elsewhere, name.replace(f".{os.getpid()}.", ".1.")):
        (tmp_path / "deep" / "er" / leftover).touch()
    remove_all_temporaries(tmp_path)
    assert sorted(path.name for path in (tmp_path / "deep" / "er").iterdir()) == sorted(
        ["a.bin", elsewhere, name.replace(f".{os.getpid()}.", ".1.")]
    ), "what runs, or is another machine's, stays"
