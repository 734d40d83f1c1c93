"""Batched toy training: the same as one model at a time, whatever the company; frozen networks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.nn import functional

from hormesis.pipeline.toy import chains
from hormesis.pipeline.toy.config import parse_config
from hormesis.pipeline.toy.measures import measure
from hormesis.pipeline.toy.networks import Autoencoder, Transformer
from hormesis.pipeline.toy.tasks import Run, task_of
from hormesis.pipeline.toy.training import curve_steps, initial_module, train

STEPS = 60
OPTIONS = {
    "literal": {"layers": 2, "label_noise": 0.1, "norm": "layer"},
    "disjoint": {"weight_decay": 1e-3, "layers": 2},
    "bottleneck": {"batch": 32},
    "autoencoder": {"batch": 64},
}


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def drawn_tokens(weights: torch.Tensor, documents: np.ndarray, batch: int) -> torch.Tensor:
    """The batch of sequences that the counts stand for, one row per sequence drawn."""
    counts = torch.round(weights * batch).long()
    return torch.repeat_interleave(torch.from_numpy(documents), counts, dim=0)


def alone(setting: str, run: Run) -> dict[str, torch.Tensor]:
    """Weights of one model trained by a plain loop on plainly written batches and losses."""
    config = parse_config({"setting": setting, "steps": STEPS, **OPTIONS[setting]})
    task = task_of(config)
    model = initial_module(task, run.seed)
    optimiser = torch.optim.Adam(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    for step in range(STEPS):
        block, at = divmod(step, chains.BLOCK)
        batch = task.batches([run], block)(at)[0]
        if setting == "autoencoder":
            loss = functional.mse_loss(model(batch)[0], batch, reduction="sum") / len(batch)
        else:
            length = getattr(config, "length", 1)
            tokens = drawn_tokens(batch, chains.sequences(length, shared=setting == "literal"), config.batch)
            assert len(tokens) == config.batch
            logits = model(tokens[:, :-1])[0]
            noise = getattr(config, "label_noise", 0.0)
            loss = functional.cross_entropy(
                logits.flatten(0, 1), tokens[:, 1:].flatten(), label_smoothing=noise
            )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return {name: value.detach() for name, value in model.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("setting", OPTIONS)
def test_batched_training_equals_a_loop_of_single_models(setting: str, float64: None) -> None:
    """In double precision: Adam divides by gradients near zero, which blows single rounding up."""
    config = parse_config({"setting": setting, "steps": STEPS, **OPTIONS[setting]})
    runs = [Run(share, seed) for seed in (4, 9) for share in (0.1, 1.0)]
    parameters = train(config, runs).parameters
    for place, run in enumerate(runs):
        for name, value in alone(setting, run).items():
            torch.testing.assert_close(parameters[name][place], value, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_company_in_the_batch_changes_nothing_but_rounding() -> None:
    config = parse_config({"setting": "disjoint", "steps": STEPS, "layers": 2})
    runs = [Run(share, seed) for seed in range(3) for share in (0.01, 0.4, 1.0)]
    many, few = train(config, runs), train(config, [runs[7], runs[1]])
    for place, other in ((7, 0), (1, 1)):
        assert many.activations[place] == pytest.approx(few.activations[other], abs=1e-3)
        assert many.losses[place] == pytest.approx(few.losses[other], abs=1e-3)
    again = train(config, runs)
    assert (again.activations == many.activations).all()  # the same request, bit for bit


def test_runs_of_a_seed_start_alike_and_the_global_generator_is_left_alone() -> None:
    config = parse_config({"setting": "disjoint", "steps": 1})
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    networks = train(config, [Run(0.01, 5), Run(1.0, 5), Run(1.0, 6)])
    assert (torch.random.get_rng_state() == before).all()
    assert (networks.losses[0, 0] == networks.losses[1, 0]).all()
    assert (networks.losses[0, 0] != networks.losses[2, 0]).any()


def test_exact_expectation_is_the_limit_of_large_batches() -> None:
    runs = [Run(0.2, 0), Run(1.0, 0)]
    exact = train(parse_config({"setting": "bottleneck", "steps": 80}), runs)
    large = train(parse_config({"setting": "bottleneck", "steps": 80, "batch": 20_000}), runs)
    assert exact.losses[:, -1] == pytest.approx(large.losses[:, -1], rel=0.1)


def test_networks_see_only_what_came_before() -> None:
    config = parse_config({"setting": "disjoint", "length": 6})
    model = Transformer(config, 12)  # type: ignore[arg-type]
    sequence = torch.randint(0, 12, (1, 6))
    other = sequence.clone()
    other[0, 4] = (other[0, 4] + 1) % 12
    first, second = (model(tokens)[0].detach() for tokens in (sequence, other))
    assert torch.equal(first[0, :4], second[0, :4]) and not torch.equal(first[0, 4:], second[0, 4:])


def test_the_autoencoder_is_the_papers() -> None:
    model = Autoencoder(4)
    x = torch.rand(7, 12)
    w, b = model.weight.detach(), model.bias.detach()
    expected = torch.relu(torch.stack([w.T @ (w @ row) + b for row in x]))
    torch.testing.assert_close(model(x)[0].detach(), expected)


def test_a_frozen_network_shows_no_effect_under_balanced_probes_but_under_weighted_ones() -> None:
    config = parse_config({"setting": "bottleneck", "steps": 400})
    runs = [Run(share, seed) for seed in range(3) for share in (0.003, 1.0)]
    results = measure(config, runs, train(config, runs), probes=("means", "balanced", "mixture", "stopped"))

    def did(network: str, probe: str, cosine: str = "signed") -> list[float]:
        gaps = {}
        for run, measures in zip(runs, results, strict=True):
            measure = next(m for m in measures if (m.network, m.probe) == (network, probe))
            gaps[run] = getattr(measure, f"rare_{cosine}") - getattr(measure, f"control_{cosine}")
        return [gaps[Run(0.003, seed)] - gaps[Run(1.0, seed)] for seed in range(3)]

    assert did("frozen", "means") == pytest.approx([0, 0, 0], abs=1e-9)
    assert did("frozen", "balanced") == pytest.approx([0, 0, 0], abs=1e-6)
    assert np.mean(did("frozen", "mixture")) > 0.05
    assert np.mean(did("trained", "means")) > 0.3
    # The published |cos| hardly moves with the weights alone, and much where the probe is cut short.
    assert abs(np.mean(did("frozen", "mixture", "absolute"))) < 0.06
    assert np.mean(did("frozen", "stopped", "absolute")) > 0.1


def test_curves_keep_both_ends() -> None:
    steps = curve_steps(600, 40)
    assert steps[0] == 0 and steps[-1] == 600 and (np.diff(steps) > 0).all() and len(steps) <= 41
    assert curve_steps(1, 40).tolist() == [0, 1]
