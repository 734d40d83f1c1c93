"""The Trainer's own settings for a run: optimiser, schedule, batch per process, and everything switched off.

Knows `TrainSettings` and the processes this one was launched with; opens no file.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from transformers import TrainingArguments

from hormesis.pipeline.study.scales import TrainSettings
from hormesis.pipeline.training.loop import TrainingError


def arguments_for(state: Path, settings: TrainSettings, steps: int, *, bf16: bool) -> TrainingArguments:
    """AdamW (0.9, 0.95) with a cosine schedule to zero after a linear warm-up, gradients clipped at norm 1.

    `settings.batch_size` is the global batch: each process takes its part, in micro batches if that part is
    too large. Logging, evaluation and saving by the Trainer are off (`pipeline.training.loop` does them).
    Raises TrainingError where the batch cannot be divided among the processes.
    """
    on_cpu = not torch.cuda.is_available()
    n_launched = int(os.environ.get("WORLD_SIZE", "1"))  # set by torchrun
    arguments = TrainingArguments(
        output_dir=str(state),
        max_steps=steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(settings.warmup_fraction * steps),
        weight_decay=settings.weight_decay,
        adam_beta2=0.95,
        optim="adamw_torch_fused",
        max_grad_norm=1.0,
        bf16=bf16,
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and n_launched > 1 else None,
        ddp_find_unused_parameters=False,
        train_sampling_strategy="sequential",
        dataloader_drop_last=True,
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,
        seed=settings.seed,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        eval_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )
    n_processes = arguments.world_size * max(1, arguments.n_gpu)
    if settings.batch_size % n_processes:
        raise TrainingError(
            f"a batch of {settings.batch_size} sequences cannot be divided among {n_processes} processes"
        )
    process_batch = settings.batch_size // n_processes
    micro_batch = next(
        size for size in range(min(process_batch, settings.micro_batch), 0, -1) if process_batch % size == 0
    )
    arguments.per_device_train_batch_size = micro_batch
    arguments.gradient_accumulation_steps = process_batch // micro_batch
    return arguments
