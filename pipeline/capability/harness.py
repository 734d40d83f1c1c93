"""Tasks of lm-evaluation-harness on a condition, through the harness's own API.

The model object that carries our steering is handed over as it is (`HFLM(pretrained=...)`), so the harness
knows nothing of steering and cannot get it wrong; a condition's prefix is put before every context. Needs the
extra `harness`; the data of a task is the harness's business and usually needs the hub.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hormesis.backend.model.silence import quiet
from hormesis.backend.model.steering import steered
from hormesis.pipeline.capability.items import CapabilityError
from hormesis.pipeline.methods import OpenedCondition
from hormesis.pipeline.statistics import Estimate

BATCH_SIZE = 16


@dataclass(frozen=True)
class HarnessScore:
    """One number of the harness, e.g. measure `acc` of task `mmlu_anatomy`."""

    task: str
    measure: str
    value: float
    stderr: float | None
    n: int
    version: str
    """Version of the harness and of the task."""

    @property
    def estimate(self) -> Estimate:
        """The number with a normal interval, where the harness gives a standard error."""
        if self.stderr is None:
            return Estimate(self.value, None, None, self.n, "none given")
        half, method = 1.96 * self.stderr, "normal, by the harness's standard error"
        return Estimate(self.value, self.value - half, self.value + half, self.n, method)


def run_harness(
    opened: OpenedCondition,
    tasks: Sequence[str],
    *,
    limit: int | None = None,
    folder: Path | None = None,
) -> list[HarnessScore]:
    """Evaluate tasks by name. `folder` holds task files of one's own (YAML); `limit`: items of each task.

    Raises CapabilityError, one line, where the harness is not installed, a task is unknown, or its data
    cannot be had.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise CapabilityError("harness tasks need lm-evaluation-harness: pip install 'hormesis[harness]'")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with quiet():
        import lm_eval
        from lm_eval.tasks import TaskManager

        # Listing the harness's own thousands of task files takes seconds; plain tasks of `folder` need none.
        manager = TaskManager(include_path=str(folder), include_defaults=False) if folder else None
        if manager is None or not set(tasks) <= set(manager.all_subtasks):
            manager = TaskManager(include_path=str(folder) if folder else None)
        unknown = [name for name in tasks if not manager.match_tasks([name])]
        if unknown:
            raise CapabilityError(f"lm-evaluation-harness knows no task '{unknown[0]}'")
        with steered(opened.loaded, opened.steering, every_position=True):
            try:
                results = lm_eval.simple_evaluate(
                    model=_model(opened),
                    tasks=list(tasks),
                    limit=limit,
                    task_manager=manager,
                    bootstrap_iters=0,
                    log_samples=False,
                    random_seed=0,
                    numpy_random_seed=0,
                    torch_random_seed=0,
                )
            except Exception as error:
                reason = " ".join(str(error).split())[:160] or type(error).__name__
                raise CapabilityError(f"the harness could not run {', '.join(tasks)}: {reason}") from error
    return list(_scores(results, str(getattr(lm_eval, "__version__", "unknown"))))


def _scores(results: Any, version: str) -> Any:
    """The harness's numbers: by task, values named `measure,filter`; only those of filter `none` count."""
    for task, values in results["results"].items():
        n = results.get("n-samples", {}).get(task, {}).get("effective", 0)
        task_version = results.get("versions", {}).get(task, "")
        for name, value in values.items():
            measure, _, filter_name = name.partition(",")
            if filter_name != "none" or measure.endswith("_stderr") or not isinstance(value, int | float):
                continue
            stderr = values.get(f"{measure}_stderr,none")
            stderr = float(stderr) if isinstance(stderr, int | float) else None
            data_version = f"lm_eval {version}, task {task_version}"
            yield HarnessScore(task, measure, float(value), stderr=stderr, n=int(n), version=data_version)


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
        tokenizer=loaded.tokenizer,
        batch_size=BATCH_SIZE,
        max_length=loaded.context or 2048,
        device=str(loaded.device),
    )
