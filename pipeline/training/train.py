"""Trains one model on one mix: the public door to training.

Knows mixes, scales and the Trainer (`pipeline.training.loop`); knows no database: points of the curve go to
a callable. A run lives in one folder and touches nothing outside it: `run.json` (identity and choices),
`state/` (sealed checkpoints, gone when the run is done) and `model/` (the finished checkpoint). Calling again
resumes a cut run and returns a finished one at once.

Under `torchrun` every process calls `train` alike: the global batch stays the same, so does the study; each
holds the model, or with `fsdp` a part of it (`pipeline.training.sharding`). The
Trainer sets the global random seeds of Python, numpy and torch. Threads are the caller's business.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as library_logging

from hormesis.backend.model.portable import write_model
from hormesis.backend.model.soundness import require_finite
from hormesis.db.manifest import is_intact, sealed_folder, write_sealed_json
from hormesis.pipeline.execution.progress import Stopped
from hormesis.pipeline.study.scales import TrainSettings
from hormesis.pipeline.text.mixes import Mix
from hormesis.pipeline.text.tokenization import fingerprint
from hormesis.pipeline.training.arguments import arguments_for
from hormesis.pipeline.training.compilation import compile_passes
from hormesis.pipeline.training.data import Windows
from hormesis.pipeline.training.loop import WRITING, MixTrainer, Point, TrainingError, Watch, saving
from hormesis.pipeline.training.precision import choose_precision
from hormesis.pipeline.training.sharding import (
    ShardedTrainer,
    require_finite_parts,
    sharded,
    unsharded_weights,
)
from hormesis.pipeline.training.state import latest_checkpoint, open_run

__all__ = ["Point", "Stopped", "TrainResult", "TrainSettings", "TrainingError", "initial_model", "train"]

CURVE_COST = 0.08
"""Held-out losses may take this share of the time that the clean text takes to train on."""


@dataclass(frozen=True)
class TrainResult:
    """A finished run. `seconds` is the working time of the last piece only, if the run was resumed."""

    model: Path
    """Folder with weights (SafeTensors), configuration and tokenizer."""
    steps: int
    tokens: int
    """Tokens seen: whole batches only, so up to one batch less than the mix holds."""
    parameters: int
    precision: str
    seconds: float
    curve: tuple[Point, ...]


def initial_model(config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    """Random float32 weights, decided by `config` and `seed` alone; keeps the global random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            deepcopy(config), attn_implementation="sdpa", dtype=torch.float32
        )
    return model


def train(
    folder: Path,
    *,
    mix: Mix,
    tokenizer: PreTrainedTokenizerFast,
    config: PreTrainedConfig,
    settings: TrainSettings,
    heldout_clean: NDArray[np.int64] | None = None,
    heldout_toxic: NDArray[np.int64] | None = None,
    on_point: Callable[[Point], None] = lambda point: None,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> TrainResult:
    """One pass over the mix; the finished model lies in `folder/model`.

    `heldout_*` are fixed windows, int64 [n, T] (see `Pool.windows`); the first of them are used, so many that
    the curve costs at most CURVE_COST of the training, and equally many in all arms of a study. `on_point` is
    called `settings.evaluations` times (again for points of the resumed part, so the receiver must not mind),
    only in the first process. `progress(step, steps)` is called after every step; if it raises, or
    `should_stop()` answers true, the state is saved first and then that exception, or Stopped, is raised.
    `record` is what `run.json` holds.

    A resumed run ends in the same weights as an undisturbed one. Raises TrainingError where the mix is
    shorter than one batch, the batch cannot be divided among the processes, or the disk refuses; Diverged and
    ModelError where the training is of no use.
    """
    identity = _identity(mix, tokenizer, config, settings)
    data = Windows(mix.stream, settings.sequence_length, settings.batch_size, mix.loss_mask)
    if data.steps == 0:
        needed = settings.sequence_length * settings.batch_size
        raise TrainingError(f"the mix holds {mix.tokens:,} tokens, less than one batch of {needed:,}")
    arguments = arguments_for(folder / "state", settings, data.steps, bf16=False)
    is_first, together = arguments.process_index == 0, arguments.world_size > 1
    record = open_run(folder, identity) if is_first else {}
    if is_first:
        shutil.rmtree(folder / "state" / WRITING, ignore_errors=True)  # half a checkpoint of a killed process
    if _shared("result" in record and is_intact(folder / "model"), together):
        return _finished_result(folder, record if is_first else open_run(folder, identity), on_point)
    is_sharded = settings.fsdp and together
    build = partial(initial_model, config, settings.seed)
    model = None if is_sharded else build()
    if settings.compile and model is not None:
        compile_passes(model)
    if is_first and "precision" not in record:
        length, vocabulary = settings.sequence_length, int(config.vocab_size)
        record["precision"] = choose_precision(model or build(), settings.precision, length, vocabulary)
        write_sealed_json(folder / "run.json", record)
    precision = str(_shared(record.get("precision"), together))
    if precision == "bfloat16":
        arguments = arguments_for(folder / "state", settings, data.steps, bf16=True)
    if model is None:
        model = sharded(build, bf16=arguments.bf16)
    heldout = {"clean": heldout_clean, "toxic": heldout_toxic}
    n_heldout = _curve_windows(mix, settings)
    windows = {name: rows[:n_heldout] for name, rows in heldout.items() if rows is not None and len(rows)}
    watch = Watch(on_point, should_stop, progress, windows)
    # Steps at which a point of the curve is taken, and at which a checkpoint is saved.
    points, saves = _spread(data.steps, settings.evaluations), _spread(data.steps, settings.checkpoints)
    trainer_class = ShardedTrainer if is_sharded else MixTrainer
    trainer = trainer_class(model, arguments, data, watch, points, saves - {data.steps})
    started = time.perf_counter()
    checkpoint = _shared(str(latest_checkpoint(folder / "state") or "") if is_first else None, together)
    if checkpoint:
        trainer.remember(Path(checkpoint))
    with _quiet():
        trainer.train(resume_from_checkpoint=checkpoint or None)
    if trainer.interruption is not None:
        raise trainer.interruption
    check = require_finite_parts if is_sharded else require_finite
    check(model, f"training of {data.steps} steps")  # what the last step made has had no loss yet
    result = TrainResult(
        model=folder / "model",
        steps=data.steps,
        tokens=data.steps * trainer.tokens_per_step,
        parameters=model.num_parameters(),
        precision=precision,
        seconds=time.perf_counter() - started,
        curve=tuple(trainer.curve),
    )
    weights = unsharded_weights(model) if is_sharded else None
    if is_first:
        _finish(folder, model, tokenizer, record=record, result=result, weights=weights)
    trainer.accelerator.wait_for_everyone()
    return result


def _spread(steps: int, times: int) -> set[int]:
    """`times` steps, evenly spread, the last one always among them."""
    return {max(1, round(steps * turn / times)) for turn in range(1, times + 1)}


def _curve_windows(mix: Mix, settings: TrainSettings) -> int:
    """Held-out windows per kind of text: a forward pass costs a third of a training step."""
    tokens = 3 * CURVE_COST * mix.clean_tokens / (2 * settings.evaluations)
    return max(settings.batch_size, int(tokens / settings.sequence_length))


def _identity(
    mix: Mix, tokenizer: PreTrainedTokenizerFast, config: PreTrainedConfig, settings: TrainSettings
) -> dict[str, Any]:
    """What makes two runs the same one; compared with what was read back from JSON."""
    config_values = {key: value for key, value in config.to_dict().items() if key != "transformers_version"}
    # Compared with what was read back from JSON, so only JSON's own types may stand here.
    return {
        "mix": mix.hash,
        "tokenizer": fingerprint(tokenizer),
        "config": {key: repr(value) for key, value in sorted(config_values.items())},
        # A setting that came later is no part of the runs before it.
        "settings": {
            name: value
            for name, value in asdict(settings).items()
            if name != "fsdp" and (name != "compile" or value)  # sharded or not, it goes on as the same run
        },
    }


def _shared(value: Any, together: bool) -> Any:
    """The first process's value in every process."""
    if not together:
        return value
    box = [value]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's progress bars, one of which comes with every saved checkpoint."""
    was_enabled = library_logging.is_progress_bar_enabled()
    library_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if was_enabled:
            library_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _finished_result(folder: Path, record: dict[str, Any], on_point: Callable[[Point], None]) -> TrainResult:
    values = record["result"]
    curve = tuple(Point(**point) for point in values["curve"])
    for point in curve:
        on_point(point)
    return TrainResult(**{**values, "curve": curve, "model": folder / "model"})


def _finish(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    *,
    record: dict[str, Any],
    result: TrainResult,
    weights: dict[str, torch.Tensor] | None,
) -> None:
    """Write the model folder whole (`weights`: those of a sharded model), the result beside `record` (of
    run.json), and drop the checkpoints.
    """
    model.config.use_cache = True  # the Trainer switches it off; generation without it is many times slower
    with saving(folder), sealed_folder(folder / "model") as temporary:
        write_model(model, tokenizer, temporary, weights=weights)
    values = asdict(replace(result, model=Path("model")))
    write_sealed_json(folder / "run.json", {**record, "result": {**values, "model": "model"}})
    shutil.rmtree(folder / "state", ignore_errors=True)
