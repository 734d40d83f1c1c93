"""The toy experiment as one batched model against a loop over single ones: same models, steps and batches.

Run as `python -m tests.benchmarks bench_toy`. The loop trains a few models for a part of the steps and is
scaled up; it is a plain loop over plain modules, without vmap.
"""

from __future__ import annotations

import time

import torch

from hormesis.pipeline.toy.chains import BLOCK
from hormesis.pipeline.toy.config import SHARES, ToyConfig, parse_config
from hormesis.pipeline.toy.measures import measure
from hormesis.pipeline.toy.tasks import Run, task_of
from hormesis.pipeline.toy.training import initial_module, train

SEEDS = 10
SINGLES = 3


def single(config: ToyConfig, run: Run) -> float:
    """CPU seconds of one model in a plain loop."""
    task = task_of(config)
    model = initial_module(task, run.seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    start = time.process_time()
    for step in range(config.steps):
        if step % BLOCK == 0:
            batch = task.batches([run], step // BLOCK)
        optimiser.zero_grad()
        task.objective(model, batch(step % BLOCK)[0]).backward()
        optimiser.step()
    return time.process_time() - start


def compare(setting: str) -> str:
    """Train the default request both ways."""
    config = parse_config({"setting": setting})
    runs = [Run(share, seed) for share in SHARES for seed in range(SEEDS)]
    start = time.process_time()
    trained = train(config, runs)
    batched = time.process_time() - start
    start = time.process_time()
    measure(config, runs, trained, probes=("means", "balanced", "mixture"))
    measured = time.process_time() - start
    short = config.model_copy(update={"steps": min(config.steps, 200)})
    seconds_per_model = min(single(short, run) for run in runs[:SINGLES]) * config.steps / short.steps
    loop = seconds_per_model * len(runs)
    return (
        f"{setting}: {len(runs)} models x {config.steps} steps, CPU seconds: batched {batched:.1f}, "
        f"loop {loop:.0f} ({seconds_per_model:.1f} a model), ratio {loop / batched:.1f}; "
        f"probes and measures {measured:.1f}"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in ("disjoint", "literal", "autoencoder", "bottleneck"):
        print(compare(name), flush=True)
