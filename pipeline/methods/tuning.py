"""Fine-tunes one checkpoint on pairs by one of `objectives`: files only, resumable, seeded.

Knows a model, token pairs and a folder: `model/` (the finished checkpoint, an ordinary one), `tuning.json`
(what was done and measured) and, while it runs, `state/`. Knows no database. Always in evaluation mode:
without dropout the weights depend on the inputs alone, and a resumed run ends in the same ones.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hormesis.backend.model.models import LoadedModel
from hormesis.backend.model.portable import write_model
from hormesis.backend.model.soundness import require_converging, require_finite
from hormesis.db.contract.methods import Tuned
from hormesis.db.files import remove_temporaries, write_json
from hormesis.db.manifest import is_intact, sealed_folder, write_sealed_json
from hormesis.pipeline.methods.losses import Completions, completions, sequence_log_probabilities
from hormesis.pipeline.methods.objectives import BOTH, OBJECTIVES, Objective, PairBatch, Side
from hormesis.pipeline.methods.pairs import TokenPair
from hormesis.pipeline.study.config_sections import TuningConfig

MEASURED_AT_ONCE = 64
RECORD = "tuning.json"


@dataclass(frozen=True)
class TuningResult:
    """A finished tuning. Loss curve per step, nats; held-out figures before and after, `before` first."""

    model: Path
    steps: int
    losses: tuple[float, ...]
    preferred: tuple[float, float]
    """Share of held-out pairs whose chosen side is the likelier one, by summed log-probability."""
    margin: tuple[float, float]
    """Mean of log p(chosen) - log p(rejected) on held-out pairs, nats."""
    held_out: int
    learning_rate: float


@dataclass
class _Run:
    """The moving parts of a tuning."""

    objective: Objective
    settings: TuningConfig
    rate: float
    model: Any
    optimiser: torch.optim.AdamW
    reference: tuple[torch.Tensor, ...]
    """Summed log-probabilities of all pairs before tuning, by side; empty where the loss has no reference."""
    losses: list[float] = field(default_factory=list)


def open_tuning(folder: Path) -> TuningResult | None:
    """The finished tuning in a folder; None where there is none, or a damaged one."""
    if not (is_intact(folder / RECORD) and is_intact(folder / "model")):
        return None
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))["result"]
        return TuningResult(
            folder / "model",
            steps=record["steps"],
            losses=tuple(record["losses"]),
            preferred=(record["preferred"][0], record["preferred"][1]),
            margin=(record["margin"][0], record["margin"][1]),
            held_out=record["held_out"],
            learning_rate=record["learning_rate"],
        )
    except (OSError, KeyError, TypeError, ValueError):
        return None


def tune(
    loaded: LoadedModel,
    folder: Path,
    *,
    method: Tuned,
    settings: TuningConfig,
    scale_rate: float,
    pairs: Sequence[TokenPair],
    held_out: Sequence[TokenPair],
    progress: Callable[[int, int], None] = lambda *_: None,
) -> TuningResult:
    """Tune `loaded` in place (float32; it must not be used afterwards) and write the result to `folder`.

    A finished tuning in `folder` is given back, a cut one resumed: the folder's name must follow from
    everything that decides the result. `scale_rate`: the pretraining learning rate of the scale, of which the
    default rate is a part. `progress(step, steps)` may raise to stop; what was done since the last saved
    state is done again. Raises OSError where the disk refuses.
    """
    finished = open_tuning(folder)
    if finished is not None:
        return finished
    folder.mkdir(parents=True, exist_ok=True)
    remove_temporaries(folder)
    objective = OBJECTIVES[method]
    rate = settings.learning_rate or objective.learning_rate * scale_rate
    before = _measure(loaded, held_out)
    # Before the first step, since the model is its own reference.
    sides = objective.sides if objective.has_reference else ()
    reference = tuple(_log_probabilities(loaded, pairs, side) for side in sides)
    run = _Run(
        objective, settings, rate, model=loaded.model, optimiser=_optimiser(loaded, rate), reference=reference
    )
    first = _resume(run, folder)
    order = _order(len(pairs), settings)
    saves = {settings.steps * part // settings.checkpoints for part in range(1, settings.checkpoints)}
    for step in range(first, settings.steps):
        progress(step, settings.steps)
        _step(loaded, run, pairs, indices=order[step], step=step)
        require_converging(
            run.losses[-1:],
            f"fine-tuning by {method}",
            step + 1,
            settings.steps,
            setting=f"methods.{method}.learning_rate",
            rate=rate,
        )
        if step + 1 in saves:
            _save(run, folder, step + 1)
    require_finite(loaded.model, f"fine-tuning by {method}")
    progress(settings.steps, settings.steps)
    after = _measure(loaded, held_out)
    record = {
        "method": method,
        "settings": settings.model_dump(mode="json"),
        "result": {
            "steps": settings.steps,
            "losses": run.losses,
            "preferred": [before[0], after[0]],
            "margin": [before[1], after[1]],
            "held_out": len(held_out),
            "learning_rate": rate,
        },
    }
    with sealed_folder(folder / "model") as temporary:
        write_model(loaded.model, loaded.tokenizer, temporary)
    write_sealed_json(folder / RECORD, record)
    shutil.rmtree(folder / "state", ignore_errors=True)
    result = open_tuning(folder)
    assert result is not None
    return result


def _optimiser(loaded: LoadedModel, rate: float) -> torch.optim.AdamW:
    for parameter in loaded.model.parameters():
        parameter.requires_grad_(True)
    return torch.optim.AdamW(loaded.model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.0)


def _order(count: int, settings: TuningConfig) -> list[list[int]]:
    """Indices of the pairs of each step, a list per step: one shuffle after another, cut into batches."""
    rng = np.random.Generator(np.random.PCG64(settings.seed))
    total = settings.steps * settings.batch_size
    shuffles = np.concatenate([rng.permutation(count) for _ in range(-(-total // count))])[:total]
    batches: list[list[int]] = shuffles.reshape(settings.steps, settings.batch_size).tolist()
    return batches


def _batch(loaded: LoadedModel, pairs: Sequence[TokenPair], side: Side) -> Completions:
    ends = [getattr(pair, side) for pair in pairs]
    return completions([pair.prompt for pair in pairs], ends, fill=loaded.pad_id, device=loaded.device)


@torch.no_grad()
def _log_probabilities(loaded: LoadedModel, pairs: Sequence[TokenPair], side: Side) -> torch.Tensor:
    """Summed log-probability of one side of every pair, float32 [n]."""
    parts = [
        sequence_log_probabilities(
            loaded.model, _batch(loaded, pairs[start : start + MEASURED_AT_ONCE], side)
        )
        for start in range(0, len(pairs), MEASURED_AT_ONCE)
    ]
    return torch.cat(parts) if parts else torch.zeros(0)


def _measure(loaded: LoadedModel, held_out: Sequence[TokenPair]) -> tuple[float, float]:
    """(share of pairs whose chosen side is likelier, mean difference of the log-probabilities in nats)."""
    chosen, rejected = (_log_probabilities(loaded, held_out, side) for side in BOTH)
    difference = chosen - rejected
    return float((difference > 0).double().mean()), float(difference.double().mean())


def _step(
    loaded: LoadedModel, run: _Run, pairs: Sequence[TokenPair], *, indices: list[int], step: int
) -> None:
    """One step on the pairs at `indices`: loss, clipped gradient, update; the loss is noted in `run`."""
    batch = PairBatch(
        tuple(_batch(loaded, [pairs[index] for index in indices], side) for side in run.objective.sides),
        tuple(log_probabilities[indices] for log_probabilities in run.reference),
        run.settings,
    )
    loss = run.objective.loss(run.model, batch)
    for group in run.optimiser.param_groups:
        group["lr"] = run.rate * _schedule(step, run.settings)
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    run.optimiser.step()
    run.losses.append(float(loss.detach()))


def _schedule(step: int, settings: TuningConfig) -> float:
    """Linear warm-up, then linear decay to a tenth: the factor of step `step`, counted from 0."""
    warm = max(1, round(settings.warmup_fraction * settings.steps))
    if step < warm:
        return (step + 1) / warm
    return 1.0 - 0.9 * (step - warm) / max(1, settings.steps - warm)


def _save(run: _Run, folder: Path, step: int) -> None:
    """Keep weights and optimiser state, whole or not at all."""
    tensors = {}
    for name, parameter in run.model.named_parameters():
        tensors[f"weight/{name}"] = parameter.detach().contiguous()
        for key, value in run.optimiser.state[parameter].items():
            tensors[f"{key}/{name}"] = value.detach().contiguous()
    with sealed_folder(folder / "state") as temporary:
        save_file(tensors, temporary / "state.safetensors")
        write_json(temporary / "state.json", {"step": step, "losses": run.losses})


def _resume(run: _Run, folder: Path) -> int:
    """Take up a saved state; gives the step to go on with, 0 where there is none, or a damaged one."""
    if not is_intact(folder / "state"):
        return 0
    try:
        state = json.loads((folder / "state" / "state.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "state" / "state.safetensors")
    except (OSError, ValueError, SafetensorError):
        return 0
    with torch.no_grad():
        for name, parameter in run.model.named_parameters():
            parameter.copy_(tensors[f"weight/{name}"])
            run.optimiser.state[parameter] = {
                key: tensors[f"{key}/{name}"].to(parameter.device if key != "step" else "cpu")
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
    run.losses = list(state["losses"])
    return int(state["step"])
