"""Steered against unsteered decoding, and our decode loop against transformers' own `generate`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from hormesis.backend.generation.generation import generate
from hormesis.backend.model.steering import HeadDirection, RowSteering, iti
from tests.fixtures.tiny import tiny_loaded

PROMPTS, TOKENS, ROUNDS = 128, 24, 5


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Print medians over interleaved rounds and their ratios."""
    torch.set_num_threads(1)
    loaded = tiny_loaded("olmo", hidden_size=96, num_attention_heads=8, num_hidden_layers=4)
    rng = np.random.default_rng(0)
    heads = []
    for layer in range(loaded.n_layers):
        vector = rng.standard_normal(loaded.head_dim).astype(np.float32)
        heads.append(HeadDirection(layer, 0, vector / np.linalg.norm(vector), 1.0))
    steering: RowSteering = (iti(loaded.sites, heads), 1.0)
    prompts = ["a b c d e f g h"] * PROMPTS
    seeds = list(range(PROMPTS))

    def generation(row: RowSteering) -> Callable[[], object]:
        return lambda: generate(
            loaded, prompts, seeds=seeds, rows=[row] * PROMPTS, new_tokens=TOKENS, batch_size=PROMPTS
        )

    encoded = loaded.tokenizer(prompts, return_tensors="pt", padding=True)
    inputs = {name: encoded[name] for name in ("input_ids", "attention_mask")}

    def theirs() -> object:
        return loaded.model.generate(
            **inputs, do_sample=True, top_p=0.9, min_new_tokens=TOKENS, max_new_tokens=TOKENS
        )

    works = {"bare": generation((None, 0.0)), "steered": generation(steering), "generate": theirs}
    timings: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(ROUNDS):
        for name, work in works.items():
            timings[name].append(seconds(work))
    middle = {name: statistics.median(values) for name, values in timings.items()}
    print(
        f"{PROMPTS} prompts x {TOKENS} tokens, CPU seconds: ours {middle['bare']:.2f}, steered "
        f"{middle['steered']:.2f} (ratio {middle['steered'] / middle['bare']:.2f}), transformers generate "
        f"{middle['generate']:.2f} (ours / theirs {middle['bare'] / middle['generate']:.2f})"
    )


if __name__ == "__main__":
    main()
