"""Training: the loss is one-ahead, runs resume to the same weights, processes do not change the study."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from hormesis.backend.model.soundness import Diverged
from hormesis.pipeline.study.config_sections import TrainingConfig
from hormesis.pipeline.study.scales import (
    SHAPES,
    estimate,
    flops_per_token,
    model_config,
    parameters,
    train_settings,
)
from hormesis.pipeline.training.data import Windows, window_loss
from hormesis.pipeline.training.precision import choose_precision
from hormesis.pipeline.training.state import latest_checkpoint
from hormesis.pipeline.training.train import Point, Stopped, TrainingError, TrainResult, initial_model
from tests.conftest import ROOT
from tests.fixtures.training_process import run, small_config, small_settings


def weights(result: TrainResult) -> dict[str, torch.Tensor]:
    return load_file(result.model / "model.safetensors")


def assert_same(first: TrainResult, second: TrainResult, tolerance: float = 1e-6) -> None:
    expected, actual = weights(first), weights(second)
    assert expected.keys() == actual.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(weight, actual[name], rtol=0, atol=tolerance)
    for a, b in zip(first.curve, second.curve, strict=True):
        assert (a.step, a.tokens) == (b.step, b.tokens)
        for field in ("loss", "clean_loss", "toxic_loss", "learning_rate"):
            assert getattr(a, field) == pytest.approx(getattr(b, field), abs=tolerance)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return run(tmp_path_factory.mktemp("undisturbed"))


def test_labels_equal_to_inputs_give_the_one_ahead_loss() -> None:
    model = initial_model(model_config("nano", 50, eos=0), seed=1).eval()
    tokens = torch.randint(50, (3, 17), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        output = model(tokens, labels=tokens)
    log_probability = torch.log_softmax(output.logits.double(), dim=-1)
    by_hand = [-log_probability[row, t, tokens[row, t + 1]] for row in range(3) for t in range(16)]
    assert float(output.loss) == pytest.approx(float(torch.stack(by_hand).mean()), abs=1e-5)
    windows = tokens.numpy()
    total, count = window_loss(model, windows, batch_size=2)
    assert (total / count, count) == (pytest.approx(float(output.loss), abs=1e-5), 48)
    parts = [window_loss(model, windows, batch_size=1, rank=rank, world=2) for rank in range(2)]
    assert sum(part[0] for part in parts) == pytest.approx(total, abs=1e-4)


def test_windows_are_consecutive_and_whole_batches_only() -> None:
    data = Windows(np.arange(103, dtype=np.uint16), length=5, batch_size=4)
    assert (data.steps, len(data)) == (5, 20)
    batch = data.__getitems__([4, 5, 6, 7])
    assert batch["input_ids"].dtype == torch.int64
    assert batch["input_ids"].flatten().tolist() == list(range(20, 40))
    assert torch.equal(batch["labels"], batch["input_ids"])
    assert data.__getitems__([7, 2])["input_ids"][:, 0].tolist() == [35, 10]


@pytest.mark.slow
def test_a_finished_run(undisturbed: TrainResult) -> None:
    assert (undisturbed.steps, undisturbed.tokens, undisturbed.precision) == (30, 1920, "float32")
    assert [point.step for point in undisturbed.curve] == [8, 15, 22, 30]
    assert undisturbed.curve[-1].loss < undisturbed.curve[0].loss
    folder = undisturbed.model.parent
    assert sorted(path.name for path in folder.iterdir()) == [
        "model", "run.json", "run.json.sha256"
    ]  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(undisturbed.model)
    assert model.config.use_cache and model.dtype == torch.float32
    assert AutoTokenizer.from_pretrained(undisturbed.model).padding_side == "left"
    assert not list(folder.rglob("*.bin")) and not list(folder.rglob("*.pt"))


def test_a_finished_run_is_returned_at_once_with_its_curve(undisturbed: TrainResult) -> None:
    points: list[Point] = []
    steps: list[int] = []
    again = run(
        undisturbed.model.parents[1], on_point=points.append, progress=lambda done, _: steps.append(done)
    )
    assert again == undisturbed
    assert tuple(points) == undisturbed.curve and not steps


@pytest.mark.slow
def test_the_same_run_elsewhere_is_the_same_and_another_seed_is_not(
    undisturbed: TrainResult, tmp_path: Path
) -> None:
    assert_same(undisturbed, run(tmp_path), tolerance=0)
    other = run(tmp_path, small_settings(seed=6))
    assert any(not torch.equal(weights(other)[name], weight) for name, weight in weights(undisturbed).items())


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [1, 15, 29, 30])
def test_stopped_and_resumed_equals_undisturbed(
    undisturbed: TrainResult, tmp_path: Path, stop_after: int
) -> None:
    steps: list[int] = []
    with pytest.raises(Stopped):
        run(
            tmp_path,
            progress=lambda done, _: steps.append(done),
            should_stop=lambda: len(steps) >= stop_after,
        )
    assert latest_checkpoint(tmp_path / "arm" / "state") == tmp_path / f"arm/state/checkpoint-{stop_after}"
    assert not (tmp_path / "arm" / "model").exists()
    resumed: list[int] = []
    points: list[Point] = []
    result = run(tmp_path, progress=lambda done, _: resumed.append(done), on_point=points.append)
    assert resumed == list(range(stop_after + 1, 31))
    assert_same(undisturbed, result, tolerance=0)
    assert tuple(points) == result.curve


def test_an_exception_from_progress_saves_and_comes_through(undisturbed: TrainResult, tmp_path: Path) -> None:
    def progress(done: int, total: int) -> None:
        if done == 13:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        run(tmp_path, progress=progress)
    assert latest_checkpoint(tmp_path / "arm" / "state") is not None
    assert_same(undisturbed, run(tmp_path), tolerance=0)


def test_a_damaged_checkpoint_is_passed_over(undisturbed: TrainResult, tmp_path: Path) -> None:
    steps: list[int] = []
    with pytest.raises(Stopped):
        run(tmp_path, progress=lambda done, _: steps.append(done), should_stop=lambda: len(steps) >= 20)
    state = tmp_path / "arm" / "state"
    newest = state / "checkpoint-20"
    weights_file = newest / "model.safetensors"
    weights_file.write_bytes(weights_file.read_bytes()[:-1] + b"x")
    (state / "checkpoint-25").mkdir()  # begun and never sealed
    assert latest_checkpoint(state) == state / "checkpoint-18"
    assert_same(undisturbed, run(tmp_path), tolerance=0)


@pytest.mark.slow
def test_killed_and_resumed_equals_undisturbed(undisturbed: TrainResult, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fixtures.training_process", str(tmp_path), "14"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert any("hanging" in line for line in process.stdout)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    state = tmp_path / "arm" / "state"
    assert latest_checkpoint(state) == state / "checkpoint-12"
    shutil.copytree(state / "checkpoint-12", state / "writing" / "checkpoint-14")  # what a cut save leaves
    assert_same(undisturbed, run(tmp_path))


@pytest.mark.slow
def test_two_processes_give_the_same_study(undisturbed: TrainResult, tmp_path: Path) -> None:
    shutil.copytree(undisturbed.model.parents[1], tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "arm")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run(
        [*command, "-m", "tests.fixtures.training_process", str(tmp_path)],
        cwd=ROOT, check=True, timeout=300, capture_output=True,
    )  # fmt: skip
    assert_same(undisturbed, run(tmp_path), tolerance=2e-5)


def test_micro_batches_give_the_same_run(undisturbed: TrainResult, tmp_path: Path) -> None:
    assert_same(undisturbed, run(tmp_path, small_settings(micro_batch=2)), tolerance=2e-5)


def test_bfloat16_is_stored_and_learns(undisturbed: TrainResult, tmp_path: Path) -> None:
    result = run(tmp_path, small_settings(precision="bfloat16"))
    assert result.precision == "bfloat16"
    assert all(weight.dtype == torch.float32 for weight in weights(result).values())
    assert result.curve[-1].loss == pytest.approx(undisturbed.curve[-1].loss, abs=0.05)


def test_another_run_in_the_same_folder_starts_anew(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        run(tmp_path, should_stop=lambda: True)
    first: list[int] = []
    run(tmp_path, small_settings(learning_rate=1e-3), progress=lambda done, _: first.append(done))
    assert first[0] == 1


def test_a_mix_below_one_batch_and_a_full_disk_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrainingError, match="less than one batch of 16,384"):
        run(tmp_path, small_settings(batch_size=1024))

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.save", refuse)
    with pytest.raises(TrainingError, match="No space left on device"):
        run(tmp_path)
    monkeypatch.undo()
    assert latest_checkpoint(tmp_path / "arm" / "state") is None
    assert run(tmp_path).steps == 30


def test_precision_is_the_wish_or_float32_for_small_models() -> None:
    model = initial_model(small_config(), seed=0)
    before = torch.random.get_rng_state()
    assert choose_precision(model, "auto", 16, 43) == "float32"
    assert choose_precision(model, "bfloat16", 16, 43) == "bfloat16"
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("scale", list(SHAPES))
def test_closed_form_parameters_equal_the_model(scale: str) -> None:
    config = model_config(scale, 370 if scale == "nano" else 8192, eos=0)  # type: ignore[arg-type]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert parameters(config) == sum(weight.numel() for weight in model.parameters())


def test_scales_have_the_sizes_they_are_named_for() -> None:
    sizes = {"nano": (370, 0.5e6), "mini": (8192, 10e6), "small": (8192, 60e6), "medium": (8192, 190e6)}
    for scale, (vocabulary, count) in sizes.items():
        number = parameters(model_config(scale, vocabulary, eos=0))  # type: ignore[arg-type]
        assert number == pytest.approx(count, rel=0.1)
    paper = model_config("paper", 50_280, eos=0)
    assert paper.vocab_size == 50_304 and parameters(paper) == pytest.approx(1.18e9, rel=0.01)


def test_settings_take_the_study_s_wishes_and_estimates_scale() -> None:
    settings = train_settings("nano", TrainingConfig(batch_size=4, learning_rate=1e-3), seed=9)
    assert (settings.batch_size, settings.micro_batch, settings.learning_rate) == (4, 4, 1e-3)
    assert (settings.sequence_length, settings.seed) == (64, 9)
    config = model_config("nano", 370, eos=0)
    short, long = (estimate(config, settings, tokens, tokens_per_second=100.0) for tokens in (1000, 2000))
    assert long.flops == 2 * short.flops == 2000 * flops_per_token(config, 64)
    assert (short.seconds, long.seconds) == (10.0, 20.0)
    assert short.memory_bytes > 16 * short.parameters and short.checkpoint_bytes == 4 * short.parameters


@pytest.mark.parametrize("micro_batch", [None, 2])
def test_a_training_that_diverges_ends_then(tmp_path: Path, micro_batch: int | None) -> None:
    steps: list[int] = []
    changes = {} if micro_batch is None else {"micro_batch": micro_batch}
    settings = small_settings(learning_rate=100.0, **changes)
    line = r"training diverged at step (\d+) of 30: the loss is .*; lower training\.learning_rate \(100 now\)"
    with pytest.raises(Diverged, match=line) as caught:
        run(tmp_path, settings, progress=lambda done, _: steps.append(done))
    ended = re.search(line, str(caught.value))
    assert ended is not None and int(ended[1]) == len(steps) + 1 < 30
