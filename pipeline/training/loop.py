"""The Trainer as this project uses it: sequential windows, sealed checkpoints, points of the training curve.

Knows transformers' Trainer and the files of `pipeline.training.state`. Knows nothing of studies or databases:
what it measures goes to callables. Most of the Trainer's own book-keeping is switched off because it costs as
much as the mathematics at the smallest scale.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from hormesis.backend.model.soundness import require_converging
from hormesis.db.manifest import seal
from hormesis.pipeline.execution.progress import Stopped
from hormesis.pipeline.training.data import Windows, as_is, window_loss
from hormesis.pipeline.training.state import prune

MEMORY = "curve.json"
WRITING = "writing"
"""The folder of a checkpoint that is not whole yet."""
STOP_EVERY = 8
"""With several processes the wish to stop is agreed on, and on a GPU losses are looked at, only every so many
steps."""
WORST = 3.0
"""A mean loss above so many times that of guessing evenly (the log of the vocabulary) is of no use."""


class TrainingError(ValueError):
    """Training cannot go on; the message is one line for the person."""


@dataclass(frozen=True)
class Point:
    """One point of a training curve. Losses in nats per token; `loss` is the mean since the last point."""

    step: int
    tokens: int
    loss: float
    clean_loss: float | None
    toxic_loss: float | None
    learning_rate: float
    tokens_per_second: float


@dataclass
class Watch:
    """What the caller wants to see and say while a run goes on."""

    on_point: Callable[[Point], None]
    should_stop: Callable[[], bool]
    progress: Callable[[int, int], None]
    heldout: dict[str, NDArray[np.int64]]
    """`clean` and `toxic`: fixed windows [n, T]."""


@contextmanager
def saving(folder: Path) -> Iterator[None]:
    """Turn what a full or refusing disk raises while a model is saved into one line; no half of it stays."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        shutil.rmtree(folder / WRITING, ignore_errors=True)
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TrainingError(f"could not save in '{folder}': {reason}") from error


class MixTrainer(Trainer):
    """Trainer over `Windows` whose checkpoints are sealed and whose losses wait on the device until asked."""

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        windows: Windows,
        watch: Watch,
        point_steps: set[int],
        save_steps: set[int],
    ) -> None:
        """`loss_sum` counts from step `loss_from`, `seconds` from step `timed_from`, up to moment `clock`."""
        super().__init__(model=model, args=args, train_dataset=windows, data_collator=as_is)  # type: ignore[arg-type]
        self.remove_callback(PrinterCallback)
        self.watch, self.point_steps = watch, point_steps
        self.bare_model = model
        self.curve: list[Point] = []
        self.loss_sum = torch.zeros((), dtype=torch.float64)
        self.loss_from = 0
        self.step_losses: list[torch.Tensor] = []
        self.vocabulary_size = int(model.config.vocab_size)  # type: ignore[union-attr,arg-type]
        self.seconds, self.timed_from, self.clock = 0.0, 0, 0.0
        self.tokens_per_step = len(windows) // windows.steps * windows.length
        self.interruption: BaseException | None = None
        self.add_callback(_Flow(self, save_steps))

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Nothing: the Trainer would walk all parameters at every step; `pipeline.study.scales` has the
        figure.
        """
        return 0

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """At least 1: a batch whose tokens are all masked (arm kind `slung`) has the loss 0, not 0 / 0."""
        counted = super()._get_num_items_in_batch(batch_samples, device)
        return counted.clamp(min=1) if torch.is_tensor(counted) else counted

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One forward and backward pass; its loss is added up on the device, without waiting for it."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        self.loss_sum = self.loss_sum.to(loss.device) + loss
        self.step_losses.append(loss)
        return loss

    def require_converging(self, step: int, steps: int) -> None:
        """Raise Diverged where a loss since the last look is of no use; `step` of `steps` is the last.

        Not after every step on a GPU, where looking waits for the device, nor with several processes, which
        must agree.
        """
        is_alone = self.args.world_size == 1 and not self.loss_sum.is_cuda
        if not self.step_losses or (not is_alone and step % STOP_EVERY and step < steps):
            return
        micro_batches = torch.stack(self.step_losses).view(-1, self.args.gradient_accumulation_steps)
        self.step_losses.clear()
        require_converging(
            self.mean_over_processes(*micro_batches.sum(1).tolist()),
            "training",
            step,
            steps,
            setting="training.learning_rate",
            rate=self.args.learning_rate,
            most=WORST * math.log(self.vocabulary_size),
        )

    def mean_over_processes(self, *values: float) -> list[float]:
        """Mean of each value over the processes; the values themselves in a single one."""
        if self.args.world_size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.args.device)
        dist.all_reduce(tensor)
        return [float(value) / self.args.world_size for value in tensor]

    def take_point(self, step: int, learning_rate: float) -> None:
        """Close the interval since the last point, take held-out losses (nats per token), tell the caller."""
        (loss_sum,) = self.mean_over_processes(float(self.loss_sum))  # waits for the device
        self.tick()
        rate = (step - self.timed_from) * self.tokens_per_step / max(self.seconds, 1e-9)
        heldout: dict[str, float | None] = {"clean": None, "toxic": None}
        for name, windows in self.watch.heldout.items():
            batch = 4 * self.args.per_device_train_batch_size
            rank, world = self.args.process_index, self.args.world_size
            nats, n = self.mean_over_processes(
                *window_loss(self.bare_model, windows, batch, rank=rank, world=world)
            )
            heldout[name] = nats / n
        point = Point(
            step=step,
            tokens=step * self.tokens_per_step,
            loss=loss_sum / (step - self.loss_from),
            clean_loss=heldout["clean"],
            toxic_loss=heldout["toxic"],
            learning_rate=learning_rate,
            tokens_per_second=rate,
        )
        self.loss_sum, self.loss_from = torch.zeros_like(self.loss_sum), step
        self.seconds, self.timed_from, self.clock = 0.0, step, time.perf_counter()
        self.curve.append(point)
        if self.is_world_process_zero():
            self.watch.on_point(point)

    def tick(self) -> None:
        """Add the time since the last mark to the interval's working time."""
        now = time.perf_counter()
        self.seconds, self.clock = self.seconds + now - self.clock, now

    def remember(self, checkpoint: Path) -> None:
        """Take up the curve and the half-summed loss of a checkpoint, and tell its points again."""
        memory = json.loads((checkpoint / MEMORY).read_text(encoding="utf-8"))
        self.curve = [Point(**point) for point in memory["curve"]]
        self.loss_sum = torch.tensor(memory["loss_sum"], dtype=torch.float64)
        self.loss_from = memory["loss_from"]
        if self.is_world_process_zero():
            for point in self.curve:
                self.watch.on_point(point)

    def _get_output_dir(self, trial: Any) -> str:
        return str(Path(self.args.output_dir or "") / WRITING)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save under `writing/`, seal, then rename: a checkpoint is there whole or not at all."""
        state = Path(self.args.output_dir or "")
        final = state / f"checkpoint-{self.state.global_step}"
        (loss_sum,) = self.mean_over_processes(float(self.loss_sum))
        with saving(state):
            if self.is_world_process_zero():
                shutil.rmtree(state / WRITING, ignore_errors=True)
            self.accelerator.wait_for_everyone()
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.is_world_process_zero():
                written = state / WRITING / final.name
                memory = {
                    "loss_sum": loss_sum,
                    "loss_from": self.loss_from,
                    "curve": [asdict(p) for p in self.curve],
                }
                (written / MEMORY).write_text(json.dumps(memory), encoding="utf-8")
                seal(written)
                shutil.rmtree(final, ignore_errors=True)
                written.rename(final)
                prune(state)
            self.accelerator.wait_for_everyone()


class _Flow(TrainerCallback):
    """Decides after every step whether a point, a checkpoint or a stop is due."""

    def __init__(self, trainer: MixTrainer, save_steps: set[int]) -> None:
        self.trainer, self.save_steps = trainer, save_steps
        self.learning_rate = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.trainer.timed_from, self.trainer.clock = state.global_step, time.perf_counter()

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if (
            state.global_step + 1 in self.trainer.point_steps
        ):  # the rate this step used; the schedule moves on next
            self.learning_rate = float(kwargs["lr_scheduler"].get_last_lr()[0])

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take a point, ask for a checkpoint or end the training, as this step is due."""
        step = state.global_step
        self.trainer.require_converging(step, state.max_steps)
        if step in self.trainer.point_steps:
            self.trainer.take_point(step, self.learning_rate)
        is_asked_to_stop = self._asked_to_stop(step, state.max_steps)
        if is_asked_to_stop or step in self.save_steps:
            self.trainer.tick()
            control.should_save = True
        control.should_training_stop = control.should_training_stop or is_asked_to_stop

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.trainer.clock = time.perf_counter()  # saving is not training time

    def _asked_to_stop(self, step: int, steps: int) -> bool:
        """Whether to stop after this step of `steps`, in one process or by what any of them wants."""
        trainer = self.trainer
        if trainer.interruption is None:
            try:
                if trainer.is_world_process_zero():
                    trainer.watch.progress(step, steps)
                if trainer.watch.should_stop():
                    trainer.interruption = Stopped(f"stopped after step {step} of {steps}")
            except Exception as error:  # the caller's own way to stop: save first, then let it through
                trainer.interruption = error
        if trainer.args.world_size == 1:
            return trainer.interruption is not None
        if step % STOP_EVERY and step < steps:
            return False
        (stopping_share,) = trainer.mean_over_processes(float(trainer.interruption is not None))
        if stopping_share and trainer.interruption is None:
            trainer.interruption = Stopped(f"stopped after step {step} of {steps} by another process")
        return stopping_share > 0
