"""Probes of a model in a notebook: every head's accuracy and direction, ranked, and the heads to steer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from hormesis.backend.capture import capture
from hormesis.backend.model.directions import HeadDirection
from hormesis.backend.model.steering import SteeringError
from hormesis.db.contract.methods import DirectionKind
from hormesis.db.display import Displayed
from hormesis.pipeline.probing.probes import (
    ProbeError,
    ProbeRun,
    probe_heads,
    resolve_heads,
    select_heads,
    split_examples,
)
from hormesis.pipeline.study.config_sections import ProbeConfig
from hormesis.pipeline.text.probe_splits import require_both_classes
from hormesis.pipeline.text.text_keys import words_key

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

Heads = int | Sequence[tuple[int, int]] | None
"""So many of the best heads, heads as (layer, head), or None for those selected."""
_POSITIONS = {"last": "the last token", "mean": "the mean over tokens"}


class Probes(Displayed):
    """Linear probes of all heads: fitted on train, ranked by select, reported on test. Made by `Model.probe`.

    frame: a row per head, best first. Columns: layer, head, rank (missing where not selected for steering),
    accuracy (balanced) and auroc with low and high (95 % stratified bootstrap over test statements),
    selectivity (accuracy less that of a probe on shuffled labels, Hewitt and Liang 2019), shuffled_accuracy,
    majority, separation (d', pooled standard deviations), select_accuracy, n_train, n_select, n_test.

    directions: unit vectors that point to toxicity, best head first, by `mass_mean` (difference of class
    means) and `probe` (the probe's weight), after Li et al. 2023 (arXiv 2306.03341). Columns: method, layer,
    head, rank, sigma (standard deviation of train activations along it), vector (float32 [head_dim]).
    """

    def __init__(self, name: str, run: ProbeRun, count: int, *, position: str) -> None:
        """`count` heads are selected; places are (layer, head), best first; `table` has a row per head."""
        self.name = name
        self.position = position
        table = run.table(count)
        table["selectivity"] = table["accuracy"] - table["shuffled_accuracy"]
        places = select_heads(run.results, len(run.results))
        index_of = {place: index for index, place in enumerate(places)}
        heads = list(zip(table["layer"], table["head"], strict=True))
        self.frame = table.iloc[sorted(range(len(table)), key=lambda row: index_of[heads[row]])].reset_index(
            drop=True
        )
        self.directions = self._directions(run, places)

    def _directions(self, run: ProbeRun, places: list[tuple[int, int]]) -> pd.DataFrame:
        """A row per method and head, as in `places`; no rank where not selected; vectors [head_dim]."""
        methods: tuple[DirectionKind, ...] = ("mass_mean", "probe")
        ranks = self.frame["rank"].tolist()
        rows = [
            (method, direction.layer, direction.head, rank, direction.sigma, direction.vector)
            for method in methods
            for rank, direction in zip(ranks, run.directions(method, places), strict=True)
        ]
        columns = ["method", "layer", "head", "rank", "sigma", "vector"]
        return pd.DataFrame(rows, columns=columns).astype({"rank": "Int64"})

    def _sizes(self) -> tuple[int, int, int]:
        """Statements of test, train and select."""
        test, train, select = (int(self.frame[name].iloc[0]) for name in ("n_test", "n_train", "n_select"))
        return test, train, select

    @property
    def statements(self) -> str:
        """What the directions were fitted on, in words."""
        test, train, select = self._sizes()
        return (
            f"{train:,} statements labelled toxic or not, by {self.name} at {_POSITIONS[self.position]} "
            f"({select:,} more ranked the heads, {test:,} tested them)"
        )

    def _title(self) -> str:
        return f"Probes of {self.name}"

    def _properties(self) -> dict[str, str]:
        best = self.frame.iloc[0]
        test, train, select = self._sizes()
        n = f"{test:,} test ({train:,} train, {select:,} select)"
        return {
            "heads": f"{len(self.frame)}, {self.frame['rank'].notna().sum()} selected for steering",
            "statements": f"{n}, read at {_POSITIONS[self.position]}",
            "best head": f"layer {int(best['layer'])}, head {int(best['head'])}",
            "accuracy": _with_interval(self.frame, "accuracy")[0],
            "AUROC": _with_interval(self.frame, "auroc")[0],
            "selectivity": f"{best['selectivity']:+.3f} over shuffled labels",
        }

    def _tables(self) -> Sequence[pd.DataFrame]:
        best = self.frame.head(10)
        words = best[["layer", "head", "rank"]].assign(
            accuracy=_with_interval(best, "accuracy"), AUROC=_with_interval(best, "auroc")
        )
        return [words.assign(selectivity=best["selectivity"], n=best["n_test"])]


def _with_interval(table: pd.DataFrame, name: str) -> list[str]:
    columns = (table[column] for column in (name, f"{name}_low", f"{name}_high"))
    return [f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in zip(*columns, strict=True)]


def probe_model(
    loaded: LoadedModel,
    texts: Iterable[str],
    labels: Iterable[object],
    *,
    name: str,
    groups: Iterable[str | None] | None = None,
    settings: ProbeConfig,
    seed: int = 0,
    batch_size: int = 32,
    max_tokens: int | None = None,
) -> Probes:
    """Capture every head's output over labelled texts and probe it; see `Model.probe`."""
    statements = [str(text) for text in texts]
    toxic = _labels(labels, len(statements))
    split = split_examples(
        [words_key(text) for text in statements],
        None if groups is None else list(groups),
        select_fraction=settings.select_fraction,
        test_fraction=settings.test_fraction,
        seed=seed,
    )
    require_both_classes(toxic, split.codes)
    count = resolve_heads(settings.heads, len(loaded.heads))
    with TemporaryDirectory(prefix="hormesis-") as folder:
        activations = capture(
            loaded,
            statements,
            path=Path(folder) / "heads.npy",
            position=settings.position,
            batch_size=batch_size,
            max_tokens=max_tokens,
        )
        # One BLAS thread: several contend over the many small products and end up slower.
        with threadpool_limits(1, "blas"):
            run = probe_heads(activations, toxic, split.codes, settings=settings, seed=seed)
    return Probes(name, run, count, position=settings.position)


def probe_settings(**options: Any) -> ProbeConfig:
    """Settings of a probe as a study has them. Raises ProbeError, one line, for a value out of range."""
    try:
        return ProbeConfig(**options)
    except ValidationError as error:
        first = error.errors()[0]
        raise ProbeError(f"{first['loc'][0]}: {first['msg']}, not {first['input']!r}") from None


def _labels(labels: Iterable[object], n_texts: int) -> NDArray[np.bool_]:
    """Labels as booleans [n], true where toxic. Raises ProbeError for other values than 0 and 1."""
    values = list(labels)
    if len(values) != n_texts:
        raise ProbeError(f"{len(values)} labels for {n_texts} texts")
    odd = next((value for value in values if value not in (0, 1)), None)
    if odd is not None:
        raise ProbeError(f"labels are 1 (toxic) or 0 (not), or booleans, not {odd!r}")
    return np.array(values, dtype=bool)


def head_directions(
    directions: Probes | pd.DataFrame, heads: Heads, *, method: str = "mass_mean"
) -> list[HeadDirection]:
    """The heads to steer, from probes or from a table of directions whose best heads come first.

    The table: layer, head, sigma and vector (float32 [head_dim], unit length), and where it has them method
    and rank. Raises SteeringError where there are no such heads or columns.
    """
    table = directions.directions if isinstance(directions, Probes) else directions
    lacking = {"layer", "head", "sigma", "vector"} - set(table.columns)
    if lacking:
        raise SteeringError(f"the directions lack the column '{min(lacking)}'")
    if "method" in table:
        methods = ", ".join(dict.fromkeys(table["method"]))
        table = table[table["method"] == method]
        if table.empty:
            raise SteeringError(f"no directions by '{method}' (methods: {methods or 'none'})")
    if heads is None:
        table = table[table["rank"].notna()] if "rank" in table else table
    elif isinstance(heads, int):
        if not 1 <= heads <= len(table):
            raise SteeringError(f"cannot steer {heads} heads: there are directions of {len(table)}")
        table = table.head(heads)
    columns = (table[name] for name in ("layer", "head", "vector", "sigma"))
    by_place = {
        (int(layer), int(head)): HeadDirection(
            int(layer), int(head), np.asarray(vector, np.float32), float(sigma)
        )
        for layer, head, vector, sigma in zip(*columns, strict=True)
    }
    places = (
        list(by_place) if heads is None or isinstance(heads, int) else [(int(a), int(b)) for a, b in heads]
    )
    missing = next((place for place in places if place not in by_place), None)
    if missing is not None or not places:
        layer, head = missing or (0, 0)
        raise SteeringError(
            f"no direction of head {head} in layer {layer}" if missing else "no head to steer"
        )
    return [by_place[place] for place in places]
