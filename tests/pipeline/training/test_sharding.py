"""Sharded training: each process holds its part, the run is the same, any number of processes goes on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
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
from hormesis.pipeline.study.config_sections import TrainingConfig
from hormesis.pipeline.study.scales import train_settings
from hormesis.pipeline.training.data import window_loss
from hormesis.pipeline.training.state import latest_checkpoint
from hormesis.pipeline.training.train import TrainResult
from tests.fixtures.training_process import run, small_settings

NOISE = 2e-5
"""Nats, and of weights: gradients are summed in another order."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return run(tmp_path_factory.mktemp("undisturbed"))


def launch(folder: Path, n_processes: int, **orders: Any) -> subprocess.Popen[str]:
    """Sharded processes in a session of their own; `orders`: see `sharded_process`."""
    arguments = [str(folder), str(n_processes), json.dumps(orders)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fixtures.sharded_process", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(launcher: subprocess.Popen[str], exit_codes: list[int]) -> str:
    """Wait for processes that must end with these codes; what they wrote about errors."""
    try:
        output, errors = launcher.communicate(timeout=300)
    finally:
        kill(launcher)
    assert output.strip() == str(exit_codes), errors
    return errors


def kill(launcher: subprocess.Popen[str]) -> None:
    """Kill whatever of the session still runs."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(launcher.pid, signal.SIGKILL)
    launcher.communicate()


def kill_when_hanging(launcher: subprocess.Popen[str]) -> None:
    """Kill all as soon as the first says that it hangs."""
    assert launcher.stdout is not None
    is_hanging = any("hanging" in line for line in launcher.stdout)
    kill(launcher)
    assert is_hanging


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


def holdings(folder: Path, n_processes: int) -> list[dict[str, Any]]:
    return [json.loads((folder / f"holdings-{rank}.json").read_text()) for rank in range(n_processes)]


@pytest.mark.slow
@pytest.mark.parametrize("n_processes", [2, 4])
def test_each_process_holds_its_part_and_the_run_is_the_same(
    undisturbed: TrainResult, tmp_path: Path, n_processes: int
) -> None:
    finish(launch(tmp_path, n_processes), [0] * n_processes)
    parts = holdings(tmp_path, n_processes)
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
    finish(launch(tmp_path / "sharded", 2, settings=changes), [0, 0])
    assert holdings(tmp_path / "sharded", 2)[0]["dtypes"] == ["torch.float32"]
    assert_same(plain, run(tmp_path / "sharded", small_settings(fsdp=True, **changes)), tolerance=2e-3)


@pytest.mark.slow
def test_numbers_that_are_not_finite_in_a_single_process_end_all(tmp_path: Path) -> None:
    errors = finish(launch(tmp_path, 2, spoil_at=30), [1, 1])
    assert len(re.findall("ModelError: .* numbers that are not finite", errors)) == 2, errors
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
    assert train_settings("nano", TrainingConfig(fsdp=True), seed=0).fsdp
    with pytest.raises(ConfigError, match="compile and fsdp do not go together") as raised:
        parse_study({"name": "x", "training": {"compile": True, "fsdp": True}})
    assert "\n" not in str(raised.value)
