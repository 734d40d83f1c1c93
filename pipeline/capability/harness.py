"""Tasks of lm-evaluation-harness on a condition, through the harness's own API.

The model object that carries our steering is handed over as it is (`HFLM(pretrained=...)`), so the harness
knows nothing of steering and cannot get it wrong; a condition's prefix is put before every context. Needs the
extra `harness`; the data of a task is the harness's business and usually needs the hub.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hormesis.backend.encoding import as_data
from hormesis.backend.model.silence import quiet
from hormesis.backend.model.steering import steered
from hormesis.pipeline.capability.items import CapabilityError
from hormesis.pipeline.capability.scoring import Scored
from hormesis.pipeline.methods.opened_condition import OpenedCondition
from hormesis.pipeline.statistics import Floats

BATCH_SIZE = 16
SMOOTH = ("perplexity", "weighted_perplexity", "bits_per_byte", "f1", "matthews_corrcoef", "brier_score")
"""How the harness makes a number of a whole set, where leaving one item out changes it a little."""
MOST_ITEMS = 6_000
"""Items that are left out one by one; with more the time grows with their square."""


def task_manager(tasks: Sequence[str], folder: Path | None = None) -> Any:
    """The harness's list of tasks, in which all of `tasks` are; `folder` holds task files of one's own.

    Raises CapabilityError, one line, where the harness is not installed or a task is unknown.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise CapabilityError("harness tasks need lm-evaluation-harness: pip install 'hormesis[harness]'")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    # Listing the harness's own thousands of task files takes seconds; plain tasks of `folder` need none.
    manager = _listed(folder, False) if folder else None
    if manager is None or not set(tasks) <= set(manager.all_subtasks):
        manager = _listed(folder, True)
    unknown = [name for name in tasks if not manager.match_tasks([name])]
    if unknown:
        raise CapabilityError(f"lm-evaluation-harness knows no task '{unknown[0]}'")
    return manager


@cache
def _listed(folder: Path | None, include_defaults: bool) -> Any:
    """The tasks of a folder, and the harness's own; once a process, as every condition asks for them."""
    with quiet():
        from lm_eval.tasks import TaskManager

        return TaskManager(include_path=str(folder) if folder else None, include_defaults=include_defaults)


def run_harness(
    opened: OpenedCondition,
    tasks: Sequence[str],
    *,
    limit: int | None = None,
    folder: Path | None = None,
) -> list[Scored]:
    """Evaluate tasks by name, item by item, e.g. measure `acc` of task `mmlu_anatomy`.

    `folder` holds task files of one's own (YAML); `limit`: items of each task.

    Raises CapabilityError, one line, where the harness is not installed, a task is unknown, or its data
    cannot be had.
    """
    manager = task_manager(tasks, folder)
    with quiet():
        import lm_eval

        with steered(opened.loaded, opened.steering, first=0):
            try:
                results = lm_eval.simple_evaluate(
                    model=_model(opened),
                    tasks=list(tasks),
                    limit=limit,
                    task_manager=manager,
                    bootstrap_iters=0,
                    log_samples=True,
                    random_seed=0,
                    numpy_random_seed=0,
                    torch_random_seed=0,
                )
            except Exception as error:
                reason = " ".join(str(error).split())[:160] or type(error).__name__
                raise CapabilityError(f"the harness could not run {', '.join(tasks)}: {reason}") from error
    return list(harness_scores(results, str(getattr(lm_eval, "__version__", "unknown"))))


def harness_scores(results: Any, version: str) -> Iterator[Scored]:
    """The harness's numbers: by task, values named `measure,filter`; only those of filter `none` count.

    Its own standard errors are not asked for (a bootstrap in processes of its own, once a number): intervals
    are of the items, like all others here, so that conditions are paired and seeds are summed up.
    """
    for task, values in results["results"].items():
        data = f"lm_eval {version}, task {results.get('versions', {}).get(task, '')}"
        for name, value in values.items():
            measure, _, filter_name = name.partition(",")
            is_number = isinstance(value, int | float) and not measure.endswith("_stderr")
            if filter_name == "none" and is_number:
                items, is_mean = _items(results, task, measure, float(value))
                is_share = is_mean and bool(((items >= 0) & (items <= 1)).all())
                yield Scored(
                    task, "", measure, unit="fraction" if is_share else "harness", data=data, chance=None,
                    top=items, bottom=np.ones(len(items)),
                )  # fmt: skip


def _items(results: Any, task: str, measure: str, value: float) -> tuple[Floats, bool]:
    """What each item of a task, or of a group's tasks, adds to a measure; and whether it is their mean.

    A number of the whole set (a perplexity, F1) is the mean of its items' `influences` where it is a smooth
    function of them, else it stands alone, `[value]`, without an interval.
    """
    parts = results.get("group_subtasks", {}).get(task) or [task]
    samples = [sample for part in parts for sample in results.get("samples", {}).get(part, ())]
    items = [sample[measure] for sample in samples if sample["filter"] == "none" and measure in sample]
    if items and all(isinstance(item, bool | int | float) for item in items):
        numbers = np.array(items, dtype=np.float64)
        if np.isclose(numbers.mean(), value, rtol=1e-6, atol=1e-9):
            return numbers, True
    aggregate = _aggregate(results, task, measure)
    is_smooth = aggregate is not None and 1 < len(items) <= MOST_ITEMS
    if aggregate is not None and is_smooth and np.isclose(aggregate(items), value, rtol=1e-6):
        return influences(items, aggregate), False
    return np.array([value]), False


def influences(items: Sequence[Any], aggregate: Callable[[Sequence[Any]], float]) -> Floats:
    """A number of a whole set as a mean over its items: itself and, by the jackknife, each item's influence.

    Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, chapter 6. [items]
    """
    n = len(items)
    without = np.array([aggregate([*items[:place], *items[place + 1 :]]) for place in range(n)])
    return np.asarray(aggregate(items) + (n - 1) * (without.mean() - without))


def _aggregate(results: Any, task: str, measure: str) -> Callable[[Sequence[Any]], float] | None:
    """How the harness makes a measure of a task from its items, where that is smooth; None else."""
    import lm_eval.api.metrics  # noqa: F401  (fills the registries)
    from lm_eval.api.registry import aggregation_registry, metric_agg_registry

    metrics = results.get("configs", {}).get(task, {}).get("metric_list") or ()
    stated = next((entry.get("aggregation") for entry in metrics if entry.get("metric") == measure), None)
    if isinstance(stated, str):
        stated = aggregation_registry.get(stated, None)
    function = stated or metric_agg_registry.get(measure, None)
    return function if function in [aggregation_registry.get(name, None) for name in SMOOTH] else None


def _model(opened: OpenedCondition) -> Any:
    """The condition as the harness takes models."""
    from lm_eval.models.huggingface import HFLM

    def prefixed(requests: Any) -> list[Any]:
        pairs = [(request, *request.args) for request in requests]
        return [replace(request, arguments=(opened.prompt(text), more)) for request, text, more in pairs]

    class Prefixed(HFLM):  # type: ignore[misc, unused-ignore]
        """The same with the condition's prefix before every context."""

        def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
            return super().loglikelihood(prefixed(requests), disable_tqdm=True)

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> Any:
            return super().generate_until(prefixed(requests), disable_tqdm=True)

    loaded = opened.loaded
    return Prefixed(
        pretrained=loaded.model,
        tokenizer=as_data(loaded.tokenizer),
        batch_size=BATCH_SIZE,
        max_length=loaded.context or 2048,
        device=str(loaded.device),
    )
