"""Threads that decode: one for small models and on a busy machine, else as many as cores are free."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from hormesis.backend.generation.threads import ONE_THREAD, threads_for, threads_left


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("usual", "busy", "threads"),
    [(2, 0.0, 2), (2, 0.2, 2), (2, 0.5, 1), (2, 1.0, 1), (16, 0.5, 8), (16, 1.0, 1), (1, 0.0, 1)],
)
def test_threads_take_the_cores_that_are_free(usual: int, busy: float, threads: int) -> None:
    assert threads_left(usual, busy) == threads


def test_small_models_take_one_thread_and_the_rest_is_put_back() -> None:
    with threads_for(ONE_THREAD - 1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_a_busy_machine_leaves_one_thread_to_a_large_model() -> None:
    burn = "print(flush=True)\nwhile True: pass"
    burning = [
        subprocess.Popen([sys.executable, "-c", burn], stdout=subprocess.PIPE)
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        for process in burning:
            assert process.stdout is not None
            process.stdout.readline()
        with threads_for(ONE_THREAD):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        for process in burning:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_torch_is_there_before_the_first_request() -> None:
    program = (
        "import sys; from hormesis.backend.service.passes import prepare; assert 'torch' not in sys.modules; "
        "prepare(); assert {'torch', 'transformers'} <= sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
