"""How often intervals hold the truth, and how each claim comes out on planted studies of every preset's size.

Run as `python -m tests.benchmarks bench_rules [--draws N] [--presets NAME ...]`; by default 100 draws of each
truth at the size of `forum` and `forum-full`, 10 at that of other presets: about an hour. With fewer draws
both are tests of the check.
"""

from __future__ import annotations

import argparse

import numpy as np
import scipy
from numpy.typing import NDArray

from hormesis.pipeline.statistics import SCORE, contrast, log_odds, over_seeds, share_spread
from hormesis.pipeline.study.config import PRESETS, load_study
from tests.planted_studies import reached

RATES = {"rare": (0.025, 0.05, 0.10, 0.20), "usual": (0.10, 0.15, 0.25, 0.35)}
"""Toxicity of four arms that pool their seeds."""
PROMPTS, PROMPT_SPREAD = 256, 1.5
CONTRASTS = {"dose": (-1, 0, 1, 0), "largest": (0, 0, -1, 1), "mean": (0.25, 0.25, 0.25, 0.25)}
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(41)
NORMAL = WEIGHTS / WEIGHTS.sum()


def intercept(rate: float) -> float:
    """Log-odds of the middle prompt where the mean over prompts is `rate`."""

    def excess(centre: float) -> float:
        return float((NORMAL * scipy.special.expit(centre + PROMPT_SPREAD * NODES)).sum()) - rate

    return float(scipy.optimize.brentq(excess, -20, 20))


def seed_mean(centre: float, spread: float) -> float:
    """Mean over seeds of the log-odds of one seed's rate."""
    rates = (NORMAL * scipy.special.expit(centre + spread * NODES[:, None] + PROMPT_SPREAD * NODES)).sum(
        axis=1
    )
    return float((NORMAL * scipy.special.logit(rates)).sum())


def coverage(rates: tuple[float, ...], seeds: int, spread: float, *, trials: int) -> dict[str, float]:
    """Parts of nominal 95 % intervals that hold the truth: contrasts, a change from a base, one arm's mean.

    `spread`: standard deviation of seeds in log-odds. Answers are 0 or 1.
    """
    rng = np.random.default_rng([seeds, int(100 * spread)])
    centres = np.array([intercept(rate) for rate in rates])
    truths = np.array([seed_mean(centre, spread) for centre in centres])
    hits = dict.fromkeys((*CONTRASTS, "change", "mean of one arm"), 0.0)
    for _ in range(trials):
        steered, base = (_answers(rng, centres + shift, seeds, spread) for shift in (0.0, 1.0))
        means = [log_odds(arm) for arm in steered]
        for name, weights in CONTRASTS.items():
            effect = contrast(means, weights, pool=means)
            hits[name] += effect is not None and abs(effect.value - np.dot(weights, truths)) <= effect.reach()
        falls = [mean - log_odds(before) for mean, before in zip(means, base, strict=True)]
        effect = contrast([falls[2], falls[0]], [1, -1], pool=falls)
        expected = (
            truths[2] - truths[0] - seed_mean(centres[2] + 1, spread) + seed_mean(centres[0] + 1, spread)
        )
        hits["change"] += effect is not None and abs(effect.value - expected) <= effect.reach()
        pooled = share_spread([arm.mean(axis=1) for arm in steered], [PROMPTS] * len(steered))
        single = over_seeds(list(steered[1]), spread=pooled, bounds=SCORE)
        truth = float(scipy.special.expit(truths[1]))
        hits["mean of one arm"] += (single.low or 0.0) <= truth <= (single.high or 0.0)
    return {name: count / trials for name, count in hits.items()}


def _answers(
    rng: np.random.Generator, centres: NDArray[np.float64], seeds: int, spread: float
) -> NDArray[np.float64]:
    """Answers of every arm, [arms, seeds, prompts]; all arms answer the same prompts."""
    hard = rng.normal(0, PROMPT_SPREAD, PROMPTS)
    odds = centres[:, None, None] + hard + rng.normal(0, spread, (len(centres), seeds, 1))
    return np.asarray(rng.random(odds.shape) < scipy.special.expit(odds), dtype=np.float64)


def print_coverage() -> None:
    """Coverage of every kind of interval at several rates, seeds and spreads."""
    for name, rates in RATES.items():
        for seeds in (2, 3, 5):
            for spread in (0.0, 0.2, 0.5):
                parts = coverage(rates, seeds, spread, trials=1000)
                text = ", ".join(f"{estimand} {100 * part:.1f}" for estimand, part in parts.items())
                print(f"{name} rates, {seeds} seeds, spread {spread:g}: {text} %", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("bench_rules")
    parser.add_argument("--draws", type=int, help="studies drawn of each truth; 0: coverage alone")
    parser.add_argument("--presets", nargs="*", help="default: every preset, after the coverage of intervals")
    options = parser.parse_args()
    if options.presets is None:
        print_coverage()
    for preset in options.presets or sorted(path.stem for path in PRESETS.glob("*.toml")):
        draws = options.draws if options.draws is not None else 100 if preset.startswith("forum") else 10
        for line in reached(load_study(preset), draws):
            print(line, flush=True)
