"""Training through the Trainer against a bare torch loop with the same model, batches and optimiser."""

from __future__ import annotations

import tempfile
from itertools import count
from pathlib import Path

import numpy as np
import torch

from hormesis.backend.forum import VOCABULARY, corpus
from hormesis.pipeline.study.config_sections import TrainingConfig
from hormesis.pipeline.study.scales import Scale, flops_per_token, model_config, train_settings
from hormesis.pipeline.text.mixes import build_mix
from hormesis.pipeline.text.pools import build_pool
from hormesis.pipeline.text.tokenization import make_tokenizer
from hormesis.pipeline.training.train import initial_model, train
from tests.benchmarks.measures import Use, peak, processor_seconds, table, used

STEPS: dict[Scale, int] = {"nano": 100, "mini": 3, "small": 3}
BATCHES: dict[Scale, int] = {"nano": 8, "mini": 8, "small": 1}
"""Sequences at each step, fewer than the scale's own so that a step takes seconds."""


def bare(model: torch.nn.Module, ids: torch.Tensor, rate: float) -> None:
    """A plain loop over [steps, batch, length]."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, fused=True)
    for batch in ids:
        model(input_ids=batch, labels=batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()


def compare(scale: Scale, folder: Path) -> tuple[Use, str]:
    """Both ways on the forum language at one scale; the ratio in words."""
    wishes = TrainingConfig(evaluations=1, checkpoints=1, batch_size=BATCHES[scale], precision="float32")
    settings = train_settings(scale, wishes, seed=0)
    tokens = STEPS[scale] * settings.batch_size * settings.sequence_length
    tokenizer = make_tokenizer("word", folder / "tokenizer", words=VOCABULARY)
    texts = ((post.text, "forum") for post in corpus("clean"))
    pool = build_pool(texts, tokenizer, folder / "pool", role="clean", tokens=tokens)
    mix = build_mix(folder / "mix", clean=pool, clean_tokens=tokens)
    config = model_config(scale, len(tokenizer), eos=tokenizer.eos_token_id)
    shape = (-1, settings.batch_size, settings.sequence_length)
    ids, numbers = torch.from_numpy(np.asarray(mix.stream, np.int64)).reshape(shape), count()

    def through() -> None:
        run = folder / f"run-{next(numbers)}"
        train(run, mix=mix, tokenizer=tokenizer, config=config, settings=settings)

    use = used(through, tokens * flops_per_token(config, settings.sequence_length), 2)
    against = processor_seconds(lambda: bare(initial_model(config, 0), ids, settings.learning_rate), 2)
    return use, f"{use.seconds / against:.2f} x a bare loop, files written included"


def main() -> None:
    """Print use of the machine and the ratio to the bare loop at three sizes."""
    torch.set_num_threads(1)
    rows = {}
    for scale in STEPS:
        with tempfile.TemporaryDirectory() as name:
            rows[scale] = compare(scale, Path(name))
    table("training", rows, peak(torch.float32))


if __name__ == "__main__":
    main()
