"""Training many small models as one: their weights stacked, one forward and backward pass for all.

Knows tasks and torch. Each model's numbers depend on its own share and seed; whom it shares the batch with
changes them by rounding only. `torch.func.vmap` over one functional call, and Adam on the stacked weights,
whose steps are element by element and so the same as those of an optimiser per model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from hormesis.pipeline.toy.chains import BLOCK
from hormesis.pipeline.toy.config import ToyConfig
from hormesis.pipeline.toy.tasks import Run, Task, task_of

Floats = NDArray[np.float64]
Report = Callable[[int, int], None]
REPORT_EVERY = 10


@dataclass(frozen=True, eq=False)
class TrainedModels:
    """Curves, activations and weights of trained models, in the order of the runs."""

    steps: NDArray[np.int64]
    """Steps at which curves were taken, [points]; the last one is the end."""
    losses: Floats
    """[runs, points, 12]"""
    accuracies: Floats
    """[runs, points, 12]"""
    activations: Floats
    """[runs, n, width]"""
    labels: NDArray[np.int64]
    """Feature of each activation, [n]."""
    dimensions: int
    parameters: dict[str, Tensor]
    """Final weights, each [runs, ...]."""


def initial_module(task: Task, seed: int) -> nn.Module:
    """A module whose weights the seed alone decides; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return task.build()


def curve_steps(steps: int, points: int) -> NDArray[np.int64]:
    """Steps at which curves are taken: 0, the end, and between them denser early on."""
    grid = np.rint(steps * np.linspace(0, 1, points) ** 1.5)
    return np.unique(np.concatenate([[0, steps], grid])).astype(np.int64)


def train(config: ToyConfig, runs: Sequence[Run], report: Report | None = None) -> TrainedModels:
    """Train all runs together and read their activations.

    `report` gets steps done and all steps, and may raise to stop. Raises ValueError without runs.
    """
    if not runs:
        raise ValueError("no runs to train")
    task = task_of(config)
    modules = {seed: initial_module(task, seed) for seed in sorted({run.seed for run in runs})}
    parameters, buffers = stack_module_state([modules[run.seed] for run in runs])
    base = copy.deepcopy(modules[runs[0].seed]).to("meta")

    def model(weights: dict[str, Tensor], fixed: dict[str, Tensor], values: Tensor) -> tuple[Tensor, Tensor]:
        outputs: tuple[Tensor, Tensor] = functional_call(base, (weights, fixed), (values,))
        return outputs

    def objective(weights: dict[str, Tensor], fixed: dict[str, Tensor], batch: Tensor) -> Tensor:
        return task.objective(partial(model, weights, fixed), batch)

    def score(weights: dict[str, Tensor], fixed: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return task.score(partial(model, weights, fixed))

    def points(weights: dict[str, Tensor], fixed: dict[str, Tensor]) -> Tensor:
        return task.points(partial(model, weights, fixed))

    optimiser = torch.optim.Adam(
        parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay, foreach=True
    )
    losses, scores = vmap(objective), vmap(score)
    points_at = curve_steps(config.steps, config.points)
    curve: list[tuple[Tensor, Tensor]] = []
    point_steps = set(points_at.tolist())
    for step in range(config.steps + 1):
        if step in point_steps:
            with torch.no_grad():
                curve.append(scores(parameters, buffers))
        if step == config.steps:
            break
        if step % BLOCK == 0:
            batch = task.batches(runs, step // BLOCK)
        optimiser.zero_grad()
        losses(parameters, buffers, batch(step % BLOCK)).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if report is not None and (step + 1) % REPORT_EVERY == 0:
            report(step + 1, config.steps)
    with torch.no_grad():
        activations = vmap(points)(parameters, buffers).double().numpy()
    return TrainedModels(
        steps=points_at,
        losses=torch.stack([loss for loss, _ in curve], dim=1).double().numpy(),
        accuracies=torch.stack([accuracy for _, accuracy in curve], dim=1).double().numpy(),
        activations=activations,
        labels=task.labels,
        dimensions=task.dimensions,
        parameters={name: value.detach() for name, value in parameters.items()},
    )
