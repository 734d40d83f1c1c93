"""Fine-tunes one checkpoint on pairs, by supervised or preference loss: files only, resumable, seeded.

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
from hormesis.backend.model.silence import quiet
from hormesis.db.contract.methods import Tuned
from hormesis.db.files import atomic_folder, remove_temporaries, write_json
from hormesis.pipeline.methods.losses import (
    Completions,
    completions,
    preference_loss,
    sequence_log_probabilities,
    supervised_loss,
)
from hormesis.pipeline.methods.pairs import TokenPair
from hormesis.pipeline.study.config_sections import PreferenceConfig, TuningConfig

RATE: dict[Tuned, float] = {"sft": 1 / 30, "dpo": 1 / 50}
"""Default learning rates, as parts of the scale's own for pretraining."""
MEASURED_AT_ONCE = 64
FACTS = "tuning.json"


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

    method: Tuned
    settings: TuningConfig
    rate: float
    model: Any
    optimiser: torch.optim.AdamW
    reference: tuple[torch.Tensor, torch.Tensor] | None
    losses: list[float] = field(default_factory=list)


def open_tuning(folder: Path) -> TuningResult | None:
    """The finished tuning in a folder, or None."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))["result"]
        return TuningResult(
            folder / "model",
            facts["steps"],
            tuple(facts["losses"]),
            (facts["preferred"][0], facts["preferred"][1]),
            (facts["margin"][0], facts["margin"][1]),
            facts["held_out"],
            facts["learning_rate"],
        )
    except (OSError, KeyError, TypeError, json.JSONDecodeError):
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
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TuningResult:
    """Tune `loaded` in place (float32; it must not be used afterwards) and write the result to `folder`.

    A finished tuning in `folder` is given back, a cut one resumed: the folder's name must follow from
    everything that decides the result. `scale_rate`: the pretraining learning rate of the scale, of which the
    default rate is a part. `progress(step, steps)` may raise to stop; what was done since the last saved
    state is done again. Raises OSError where the disk refuses.
    """
    finished = open_tuning(folder)
    if finished is not None and (finished.model / "config.json").is_file():
        return finished
    folder.mkdir(parents=True, exist_ok=True)
    remove_temporaries(folder)
    rate = settings.learning_rate or RATE[method] * scale_rate
    before = _measure(loaded, held_out)
    run = _start(loaded, method, settings, rate, pairs)
    first = _resume(run, folder)
    order = _order(len(pairs), settings)
    saves = {settings.steps * part // settings.checkpoints for part in range(1, settings.checkpoints)}
    for step in range(first, settings.steps):
        progress(step, settings.steps)
        _step(loaded, run, pairs, order[step], step)
        if step + 1 in saves:
            _save(run, folder, step + 1)
    progress(settings.steps, settings.steps)
    after = _measure(loaded, held_out)
    facts = {
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
    with atomic_folder(folder / "model") as temporary, quiet():
        loaded.model.save_pretrained(str(temporary))
        loaded.tokenizer.save_pretrained(str(temporary))
    write_json(folder / FACTS, facts)
    shutil.rmtree(folder / "state", ignore_errors=True)
    result = open_tuning(folder)
    assert result is not None
    return result


def _start(
    loaded: LoadedModel, method: Tuned, settings: TuningConfig, rate: float, pairs: Sequence[TokenPair]
) -> _Run:
    reference = None
    if method == "dpo":  # before the first step, since the model is its own reference
        reference = (
            _log_probabilities(loaded, pairs, "chosen"),
            _log_probabilities(loaded, pairs, "rejected"),
        )
    for parameter in loaded.model.parameters():
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(loaded.model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.0)
    return _Run(method, settings, rate, loaded.model, optimiser, reference)


def _order(count: int, settings: TuningConfig) -> list[list[int]]:
    """Pairs of each step: one shuffle after another, cut into batches."""
    draw = np.random.Generator(np.random.PCG64(settings.seed))
    needed = settings.steps * settings.batch_size
    places = np.concatenate([draw.permutation(count) for _ in range(-(-needed // count))])[:needed]
    return [[int(one) for one in row] for row in places.reshape(settings.steps, settings.batch_size)]


def _batch(loaded: LoadedModel, pairs: Sequence[TokenPair], side: str) -> Completions:
    ends = [getattr(pair, side) for pair in pairs]
    return completions([pair.prompt for pair in pairs], ends, loaded.pad_id, loaded.device)


@torch.no_grad()
def _log_probabilities(loaded: LoadedModel, pairs: Sequence[TokenPair], side: str) -> torch.Tensor:
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
    difference = _log_probabilities(loaded, held_out, "chosen") - _log_probabilities(
        loaded, held_out, "rejected"
    )
    return float((difference > 0).double().mean()), float(difference.double().mean())


def _step(loaded: LoadedModel, run: _Run, pairs: Sequence[TokenPair], chosen: list[int], step: int) -> None:
    batch = [pairs[index] for index in chosen]
    if run.reference is None:
        loss = supervised_loss(run.model, _batch(loaded, batch, "chosen"))
    else:
        assert isinstance(run.settings, PreferenceConfig)
        both = [
            sequence_log_probabilities(run.model, _batch(loaded, batch, s)) for s in ("chosen", "rejected")
        ]
        places = torch.tensor(chosen, device=both[0].device)
        known = [part[places] for part in run.reference]
        loss = preference_loss(both[0], both[1], known[0], known[1], run.settings.beta).loss
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
    with atomic_folder(folder / "state") as temporary:
        save_file(tensors, temporary / "state.safetensors")
        write_json(temporary / "state.json", {"step": step, "losses": run.losses})


def _resume(run: _Run, folder: Path) -> int:
    """Take up a saved state; gives the step to go on with, 0 where there is none."""
    try:
        known = json.loads((folder / "state" / "state.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "state" / "state.safetensors")
    except (OSError, json.JSONDecodeError, SafetensorError):
        return 0
    with torch.no_grad():
        for name, parameter in run.model.named_parameters():
            parameter.copy_(tensors[f"weight/{name}"])
            run.optimiser.state[parameter] = {
                key: tensors[f"{key}/{name}"].to(parameter.device if key != "step" else "cpu")
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
    run.losses = list(known["losses"])
    return int(known["step"])
