"""One linear probe per head: fit on train, chosen by select, reported on test; and the heads to steer.

Numbers in, numbers out: knows no model, no text and no database. Activations are taken layer by layer and
in blocks of heads, so memory does not grow with the number of layers. Standardisation, directions and sigma
come from the train split alone; the shuffled-label control follows Hewitt and Liang (2019), with a shuffle of
its own for each head, so that means over heads hold no luck that all share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hormesis.db.contract.methods import DirectionKind
from hormesis.pipeline.probing.probe_directions import (
    Activations,
    Direction,
    layers_of,
    mass_mean,
    random_directions,
    sigma_along,
    unit,
)
from hormesis.pipeline.probing.probe_solver import fit_logistic
from hormesis.pipeline.statistics.discrimination import auroc, balanced_accuracy, discriminate
from hormesis.pipeline.study.config_sections import ProbeConfig
from hormesis.pipeline.text.probe_splits import (
    SELECT,
    TEST,
    TRAIN,
    Codes,
    ProbeError,
    Split,
    draw_examples,
    require_both_classes,
    split_codes,
    split_examples,
)

__all__ = [
    "Direction",
    "ProbeError",
    "ProbeResult",
    "ProbeRun",
    "Split",
    "default_heads",
    "draw_examples",
    "probe_heads",
    "random_directions",
    "resolve_heads",
    "select_heads",
    "split_codes",
    "split_examples",
]

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]
_CELLS = 12_000_000  # activations of one block of heads, as float32 48 MB


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A row of the `probe` table (without its keys), and `select_auroc`, which breaks ties of selection."""

    layer: int
    head: int
    select_accuracy: float
    select_auroc: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    auroc: float
    auroc_low: float
    auroc_high: float
    shuffled_accuracy: float
    majority: float
    separation: float
    n_train: int
    n_select: int
    n_test: int


@dataclass(frozen=True, eq=False)
class ProbeRun:
    """All probes and directions of a checkpoint."""

    results: list[ProbeResult]
    mass_mean: list[Direction]
    probe: list[Direction]
    hits: list[NDArray[np.bool_]] = field(default_factory=list)
    """For every head, which test statements it got right [n_test], in the order of the examples."""
    scores: list[NDArray[np.float32]] = field(default_factory=list)
    """For every head, log odds of toxic of the test statements [n_test]."""

    def table(self, count: int | None = None) -> pd.DataFrame:
        """One row per head, with `rank` among the `count` selected heads (missing where not selected)."""
        frame = pd.DataFrame([asdict(result) for result in self.results])
        selected = select_heads(self.results, len(frame) if count is None else count)
        rank_of = {head: rank for rank, head in enumerate(selected, start=1)}
        heads = zip(frame["layer"], frame["head"], strict=True)
        frame["rank"] = pd.array([rank_of.get(head) for head in heads], dtype="Int64")
        return frame

    def directions(
        self, method: DirectionKind, heads: list[tuple[int, int]] | None = None
    ) -> list[Direction]:
        """Directions of all heads, or of these heads in this order."""
        directions = self.mass_mean if method == "mass_mean" else self.probe
        if heads is None:
            return directions
        by_head = {(direction.layer, direction.head): direction for direction in directions}
        missing = set(heads) - set(by_head)
        if missing:
            layer, head = min(missing)
            raise ProbeError(f"no head {head} in layer {layer}")
        return [by_head[head] for head in heads]


def default_heads(n_heads_total: int) -> int:
    """Heads to steer: 30 of 384 as in the paper, in proportion, at least 4 and no more than there are."""
    return min(n_heads_total, max(4, round(n_heads_total * 30 / 384)))


def resolve_heads(count: int | Literal["auto"], n_heads_total: int) -> int:
    """The number of heads a study asks for. Raises ProbeError where the model has fewer."""
    if count == "auto":
        return default_heads(n_heads_total)
    if not 1 <= count <= n_heads_total:
        raise ProbeError(f"cannot steer {count} heads: the model has {n_heads_total}")
    return count


def select_heads(results: list[ProbeResult], count: int) -> list[tuple[int, int]]:
    """(layer, head) of the best by balanced accuracy on the select split, AUROC there breaking ties."""
    best = sorted(results, key=lambda r: (-r.select_accuracy, -r.select_auroc, r.layer, r.head))
    return [(result.layer, result.head) for result in best[:count]]


def probe_heads(
    activations: Activations,
    labels: ArrayLike,
    codes: Codes,
    *,
    settings: ProbeConfig,
    seed: int = 0,
    shuffle_seed: int = 0,
    balanced: bool = True,
    progress: Progress | None = None,
) -> ProbeRun:
    """Probe every head.

    `activations` [n, layers, heads, d], or by layer [n, heads, d] (any float type, memory maps welcome);
    `labels` [n], 1 toxic; `codes` int8 [n], places in SPLITS. `balanced` gives both classes equal weight in
    the fit. `shuffle_seed`: of the control's labels, another for each model, so that seeds and arms share no
    luck. Results are ordered by layer and head. `progress(heads done, heads)` may raise.
    Raises ProbeError for a split without both classes, wrong shapes, or activations that are not finite.
    """
    toxic = np.asarray(labels).astype(bool)
    require_both_classes(toxic, codes)
    task = _Task(toxic=toxic, codes=codes, settings=settings, seed=seed, shuffle_seed=shuffle_seed,
                 balanced=balanced)  # fmt: skip
    run = ProbeRun([], [], [])
    for layer, values in layers_of(activations):
        if len(values) != len(toxic):
            raise ProbeError(f"layer {layer}: {len(values)} examples for {len(toxic)} labels")
        heads = values.shape[1]
        heads_per_block = max(1, _CELLS // (len(toxic) * values.shape[2]))
        for start in range(0, heads, heads_per_block):
            block = np.ascontiguousarray(
                np.asarray(values[:, start : start + heads_per_block], dtype=np.float32).transpose(1, 0, 2)
            )
            if not np.isfinite(block).all():
                raise ProbeError(f"layer {layer}: activations are not finite")
            _probe_block(task, run, layer, first=start, block=block)
            if progress is not None:
                progress(len(run.results), _total(activations))
    return run


def _total(activations: Activations) -> int:
    return sum(block.shape[1] for _, block in layers_of(activations))


@dataclass(frozen=True, eq=False)
class _Task:
    """What is the same for every block of heads."""

    toxic: NDArray[np.bool_]
    codes: Codes
    settings: ProbeConfig
    seed: int
    shuffle_seed: int
    balanced: bool

    def shuffled(self, layer: int, heads: range) -> NDArray[np.bool_]:
        """The train split's labels in an order of each head's own, [heads, n]."""
        labels = self.toxic[self.codes == TRAIN]
        generators = (np.random.default_rng([self.shuffle_seed, layer, head]) for head in heads)
        return np.stack([generator.permutation(labels) for generator in generators])


def _probe_block(task: _Task, run: ProbeRun, layer: int, *, first: int, block: NDArray[np.float32]) -> None:
    """Fit and measure a block [heads, n, d], whose first head in the layer is `first`; append to the run."""
    parts = {code: block[:, task.codes == code] for code in (TRAIN, SELECT, TEST)}
    truth = {code: task.toxic[task.codes == code] for code in parts}
    train = parts[TRAIN]
    mean, spread = train.mean(axis=1, dtype=np.float64), train.std(axis=1, dtype=np.float64)
    spread = np.where(spread > 1e-12, spread, 1.0)
    scaled = {
        code: ((part - mean[:, None]) / spread[:, None]).astype(np.float32) for code, part in parts.items()
    }
    logistic_fits = fit_logistic(scaled[TRAIN], truth[TRAIN], l2=task.settings.l2, balanced=task.balanced)
    shuffled = task.shuffled(layer, range(first, first + len(block)))
    shuffled_fits = fit_logistic(scaled[TRAIN], shuffled, l2=task.settings.l2, balanced=task.balanced)
    select_scores = logistic_fits.scores(scaled[SELECT])
    scores = logistic_fits.scores(scaled[TEST])
    discrimination = discriminate(scores, truth[TEST], draws=task.settings.bootstrap, seed=task.seed)
    run.hits.extend((scores > 0) == truth[TEST])
    run.scores.extend(scores.astype(np.float32))
    measures = {
        "select_accuracy": balanced_accuracy(select_scores, truth[SELECT]),
        "select_auroc": auroc(select_scores, truth[SELECT]),
        "accuracy": discrimination.accuracy,
        "accuracy_low": discrimination.accuracy_low,
        "accuracy_high": discrimination.accuracy_high,
        "auroc": discrimination.auroc,
        "auroc_low": discrimination.auroc_low,
        "auroc_high": discrimination.auroc_high,
        "shuffled_accuracy": balanced_accuracy(shuffled_fits.scores(scaled[TEST]), truth[TEST]),
    }
    means, weights = mass_mean(train, truth[TRAIN]), unit(logistic_fits.weights / spread)
    measures["separation"] = separation(parts[TEST], truth[TEST], means)
    majority = float(max(truth[TEST].mean(), 1 - truth[TEST].mean()))
    train_count, select_count, test_count = (len(truth[code]) for code in (TRAIN, SELECT, TEST))
    for index in range(len(block)):
        numbers = {name: float(of_heads[index]) for name, of_heads in measures.items()}
        run.results.append(
            ProbeResult(
                layer,
                first + index,
                majority=majority,
                n_train=train_count,
                n_select=select_count,
                n_test=test_count,
                **numbers,
            )
        )
    for method, vectors, into in (("mass_mean", means, run.mass_mean), ("probe", weights, run.probe)):
        for index, (vector, sigma) in enumerate(zip(vectors, sigma_along(train, vectors), strict=True)):
            into.append(Direction(layer, first + index, method, vector.astype(np.float32), float(sigma)))


def separation(test: NDArray[np.floating], toxic: NDArray[np.bool_], vectors: Floats) -> Floats:
    """d': (mean toxic - mean non-toxic) along the vectors over the pooled standard deviation, [heads].

    `test` [heads, n, d], `toxic` [n], `vectors` [heads, d]; 0 where nothing varies.
    """
    along = np.matmul(test, vectors[:, :, None])[:, :, 0]
    positives, negatives = along[:, toxic], along[:, ~toxic]
    pooled = np.sqrt((positives.var(axis=1, ddof=1) + negatives.var(axis=1, ddof=1)) / 2)
    distance = positives.mean(axis=1) - negatives.mean(axis=1)
    return np.asarray(distance / np.where(pooled > 0, pooled, np.inf))
