"""Ratio of the batched probe solver to a loop over scikit-learn, and how far their accuracies differ.

Run as `python tests/benchmarks/bench_probes.py`; prints one line per size.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from hormesis.pipeline.probing.probe_solver import fit_logistic
from hormesis.pipeline.probing.probes import probe_heads
from hormesis.pipeline.study.config_sections import ProbeConfig
from hormesis.pipeline.text.probe_splits import split_examples
from tests.benchmarks.measures import peak

SIZES = ((32, 12, 2000), (96, 32, 2000), (384, 64, 2000))


def planted(heads: int, dimensions: int, n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Standardised correlated features [heads, n, d] whose class means differ by a head's own amount."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    mixing = rng.standard_normal((heads, dimensions, dimensions)) / dimensions**0.5
    features = rng.standard_normal((heads, n, dimensions)) @ mixing
    features += rng.standard_normal((heads, 1, dimensions)) * labels[None, :, None] * 0.3
    features -= features.mean(axis=1, keepdims=True)
    features /= features.std(axis=1, keepdims=True)
    return features.astype(np.float32), labels


def compare(heads: int, dimensions: int, n: int) -> str:
    """Fit both ways on three quarters, compare accuracies on the rest."""
    features, labels = planted(heads, dimensions, n)
    cut = n * 3 // 4
    start = time.process_time()
    fits = fit_logistic(features[:, :cut], labels[:cut])
    batched = time.process_time() - start
    # Of the Hessians alone, which are most of it.
    operations = heads * fits.steps * 2 * cut * (dimensions + 1) ** 2
    accuracies = ((fits.scores(features[:, cut:]) > 0) == labels[cut:]).mean(axis=1)
    sklearn_accuracies = np.empty(heads)
    start = time.process_time()
    for head in range(heads):
        model = LogisticRegression(C=1.0, max_iter=1000).fit(features[head, :cut], labels[:cut])
        sklearn_accuracies[head] = model.score(features[head, cut:], labels[cut:])
    loop = time.process_time() - start
    text = (
        f"{heads} heads x {dimensions} dims x {cut} examples: batched {batched:.3f} s ({fits.steps} steps, "
        f"{operations / batched / 1e9:.0f} GFLOP/s of {peak(torch.float32) / 1e9:.0f}), "
        f"scikit-learn loop {loop:.3f} s, ratio {loop / batched:.1f}, "
        f"largest accuracy difference {100 * np.abs(accuracies - sklearn_accuracies).max():.3f} points"
    )
    start = time.process_time()
    codes = split_examples([str(i) for i in range(n)]).codes
    probe_heads(features.transpose(1, 0, 2)[:, None], labels, codes, settings=ProbeConfig())
    return f"{text}; whole probing with control and intervals {time.process_time() - start:.3f} s"


if __name__ == "__main__":
    torch.set_num_threads(1)
    for size in SIZES:
        print(compare(*size), flush=True)
