"""Tasks of lm-evaluation-harness on a condition, through the harness's own API.

The model object that carries our steering is handed over as it is (`HFLM(pretrained=...)`), so the harness
knows nothing of steering and cannot get it wrong; a condition's prefix is put before every context. Needs the
extra `harness`; the data of a task is the harness's business and usually needs the hub.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
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


def task_manager(tasks: Sequence[str], folder: Path | None = None) -> Any:
    """The harness's list of tasks, in which all of `tasks` are; `folder` holds task files of one's own.

    Raises CapabilityError, one line, where the harness is not installed or a task is unknown.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise CapabilityError("harness tasks need lm-evaluation-harness: pip install 'hormesis[harness]'")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with quiet():
        from lm_eval.tasks import TaskManager

        # Listing the harness's own thousands of task files takes seconds; plain tasks of `folder` need none.
        manager = TaskManager(include_path=str(folder), include_defaults=False) if folder else None
        if manager is None or not set(tasks) <= set(manager.all_subtasks):
            manager = TaskManager(include_path=str(folder) if folder else None)
        unknown = [name for name in tasks if not manager.match_tasks([name])]
    if unknown:
        raise CapabilityError(f"lm-evaluation-harness knows no task '{unknown[0]}'")
    return manager


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
    """The harness's numbers: by task, values named `measure,filter`; only those of filter `none` count."""
    for task, values in results["results"].items():
        data = f"lm_eval {version}, task {results.get('versions', {}).get(task, '')}"
        for name, value in values.items():
            measure, _, filter_name = name.partition(",")
            is_number = isinstance(value, int | float) and not measure.endswith("_stderr")
            if filter_name == "none" and is_number:
                items = _items(results, task, measure, float(value))
                is_share = bool(((items >= 0) & (items <= 1)).all())
                yield Scored(
                    task, "", measure, unit="fraction" if is_share else "harness", data=data, chance=None,
                    top=items, bottom=np.ones(len(items)),
                )  # fmt: skip


def _items(results: Any, task: str, measure: str, value: float) -> Floats:
    """What each item of a task, or of a group's tasks, adds to a measure that is their mean; else `[value]`.

    A number that is no mean of items (a perplexity, F1 of a whole set) has no interval.
    """
    parts = results.get("group_subtasks", {}).get(task) or [task]
    samples = [sample for part in parts for sample in results.get("samples", {}).get(part, ())]
    numbers = [sample.get(measure) for sample in samples if sample["filter"] == "none"]
    if numbers and all(isinstance(number, bool | int | float) for number in numbers):
        items = np.array(numbers, dtype=np.float64)
        if np.isclose(items.mean(), value, rtol=1e-6, atol=1e-9):
            return items
    return np.array([value])


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
