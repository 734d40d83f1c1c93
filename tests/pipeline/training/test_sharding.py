"""Sharded training: each process holds its part, the run is the same, any number of processes goes on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from hormesis.pipeline.study.config import ConfigError, parse_study
from hormesis.pipeline.training.data import window_loss
from hormesis.pipeline.training.state import latest_checkpoint
from hormesis.pipeline.training.train import TrainResult
from tests.conftest import ROOT
from tests.fixtures.training_process import run, small_settings

NOISE = 2e-5
"""Nats, and of weights: gradients are summed in another order."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return run(tmp_path_factory.mktemp("undisturbed"))


def launch(folder: Path, n_processes: int, **orders: Any) -> list[subprocess.Popen[str]]:
    """Sharded processes as torchrun starts them, without its own start; `orders`: see `sharded_process`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launched = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": str(n_processes),
        "LOCAL_WORLD_SIZE": str(n_processes),
    }
    return [
        subprocess.Popen(
            [sys.executable, "-m", "tests.fixtures.sharded_process", str(folder), json.dumps(orders)],
            cwd=ROOT,
            env=os.environ | launched | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(n_processes)
    ]


def finish(processes: list[subprocess.Popen[str]]) -> None:
    """Wait for processes that must end well."""
    try:
        for process in processes:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            process.kill()


def kill_when_hanging(processes: list[subprocess.Popen[str]]) -> None:
    """Kill all as soon as the first says that it hangs."""
    try:
        assert processes[0].stdout is not None
        assert any("hanging" in line for line in processes[0].stdout), processes[0].communicate()[1]
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
        for process in processes:
            process.communicate()


def assert_same(first: TrainResult, second: TrainResult, tolerance: float = NOISE) -> None:
    losses = [
        [(point.step, point.loss, point.clean_loss, point.toxic_loss) for point in result.curve]
        for result in (first, second)
    ]
    np.testing.assert_allclose(*losses, rtol=0, atol=tolerance)
    expected, actual = (load_file(result.model / "model.safetensors") for result in (first, second))
    assert expected.keys() == actual.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(actual[name], weight, rtol=0, atol=tolerance)


def held(folder: Path, n_processes: int) -> list[dict[str, Any]]:
    return [json.loads((folder / f"held-{rank}.json").read_text()) for rank in range(n_processes)]


@pytest.mark.slow
@pytest.mark.parametrize("n_processes", [2, 4])
def test_each_process_holds_its_part_and_the_run_is_the_same(
    undisturbed: TrainResult, tmp_path: Path, n_processes: int
) -> None:
    finish(launch(tmp_path, n_processes))
    parts = held(tmp_path, n_processes)
    assert {tuple(part["placements"]) for part in parts} == {("(Shard(dim=0),)",)}
    total = parts[0]["bytes"]
    assert sum(part["local_bytes"] for part in parts) == total
    for part in parts:  # the vocabulary has 43 rows, which 2 and 4 do not divide
        assert part["local_bytes"] / total == pytest.approx(1 / n_processes, rel=0.03)
    assert_same(undisturbed, run(tmp_path, small_settings(fsdp=True)))  # returned at once
    files = [
        sorted(path.name for path in folder.iterdir())
        for folder in (undisturbed.model, tmp_path / "arm/model")
    ]
    assert files[0] == files[1]


@pytest.mark.slow
def test_killed_on_two_processes_and_on_four_it_ends_on_one(undisturbed: TrainResult, tmp_path: Path) -> None:
    state = tmp_path / "arm" / "state"
    kill_when_hanging(launch(tmp_path, 2, hang_at=14))
    assert latest_checkpoint(state) == state / "checkpoint-12"
    with safe_open(state / "checkpoint-12" / "model.safetensors", "pt") as file:
        assert set(file.keys()) == set(load_file(undisturbed.model / "model.safetensors"))
    kill_when_hanging(launch(tmp_path, 4, hang_at=20))
    assert latest_checkpoint(state) == state / "checkpoint-18"
    steps: list[int] = []
    ended = run(tmp_path, small_settings(fsdp=True), progress=lambda step, _: steps.append(step))
    assert steps[0] == 19
    assert_same(undisturbed, ended)


@pytest.mark.slow
def test_bfloat16_and_micro_batches_change_as_little_as_unsharded(tmp_path: Path) -> None:
    changes = {"precision": "bfloat16", "micro_batch": 1}
    plain = run(tmp_path / "plain", small_settings(**changes))
    finish(launch(tmp_path / "sharded", 2, settings=changes))
    assert held(tmp_path / "sharded", 2)[0]["dtypes"] == ["torch.float32"]
    assert_same(plain, run(tmp_path / "sharded", small_settings(fsdp=True, **changes)), tolerance=2e-3)


@pytest.mark.slow
def test_numbers_that_are_not_finite_in_a_single_process_end_all(tmp_path: Path) -> None:
    processes = launch(tmp_path, 2, spoil_at=30)
    errors = [process.communicate(timeout=300)[1] for process in processes]
    for process, error in zip(processes, errors, strict=True):
        assert process.returncode == 1 and "numbers that are not finite" in error, error
    assert not (tmp_path / "arm" / "model").exists()


def test_a_single_process_shards_nothing(undisturbed: TrainResult, tmp_path: Path) -> None:
    assert_same(undisturbed, run(tmp_path, small_settings(fsdp=True)), tolerance=0)


def test_held_out_windows_are_read_equally_often_by_all_ranks() -> None:
    class Counting(torch.nn.Linear):
        calls = 0

        def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
            self.calls += 1
            return type("Output", (), {"loss": input_ids.float().mean()})

    model, windows = Counting(1, 1), np.arange(15).reshape(5, 3)
    sums, calls = [], []
    for rank in range(3):
        model.calls = 0
        sums.append(window_loss(model, windows, 1, rank=rank, world=3))
        calls.append(model.calls)
    assert calls == [2, 2, 2]
    assert [n for _, n in sums] == [4, 4, 2]
    assert sum(nats for nats, _ in sums) == pytest.approx(2 * windows.mean(axis=1).sum())


def test_the_setting_is_part_of_a_study_only_where_it_is_on_and_never_with_compile() -> None:
    plain, off, on = (
        parse_study({"name": "x", "training": training}).hash
        for training in ({}, {"fsdp": False}, {"fsdp": True})
    )
    assert plain == off != on
    with pytest.raises(ConfigError, match="compile and fsdp do not go together") as raised:
        parse_study({"name": "x", "training": {"compile": True, "fsdp": True}})
    assert "\n" not in str(raised.value)
