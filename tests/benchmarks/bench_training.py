"""Training through the Trainer against a bare torch loop with the same model, batches and optimiser."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from hormesis.backend.forum import VOCABULARY, corpus
from hormesis.pipeline.study.config_sections import TrainingConfig
from hormesis.pipeline.study.scales import model_config, train_settings
from hormesis.pipeline.text.mixes import build_mix
from hormesis.pipeline.text.pools import build_pool
from hormesis.pipeline.text.tokenization import make_tokenizer
from hormesis.pipeline.training.train import initial_model, train

TOKENS = 102_400
ROUNDS = 3


def bare(model: torch.nn.Module, ids: torch.Tensor, rate: float) -> float:
    """Seconds of a plain loop over [steps, batch, length]."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, fused=True)
    started = time.perf_counter()
    for batch in ids:
        model(input_ids=batch, labels=batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
    return time.perf_counter() - started


def main() -> None:
    """Print tokens per second both ways and their ratio."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = make_tokenizer("word", folder / "tokenizer", words=VOCABULARY)
        texts = ((post.text, "forum") for post in corpus("clean"))
        pool = build_pool(texts, tokenizer, folder / "pool", role="clean", tokens=TOKENS)
        mix = build_mix(folder / "mix", clean=pool, clean_tokens=TOKENS)
        config = model_config("nano", len(tokenizer), eos=tokenizer.eos_token_id)
        settings = train_settings("nano", TrainingConfig(evaluations=1, checkpoints=1), seed=0)
        shape = (-1, settings.batch_size, settings.sequence_length)
        ids = torch.from_numpy(np.asarray(mix.stream, np.int64)).reshape(shape)
        through, plain = [], []
        for number in range(ROUNDS):
            plain.append(bare(initial_model(config, 0), ids, settings.learning_rate))
            result = train(
                folder / f"run-{number}", mix=mix, tokenizer=tokenizer, config=config, settings=settings
            )
            through.append(result.seconds)
    rate, plain_loop = TOKENS / statistics.median(through), TOKENS / statistics.median(plain)
    print(
        f"nano, 1 thread: Trainer {rate:,.0f} tokens/s, bare loop {plain_loop:,.0f}, ratio "
        f"{rate / plain_loop:.2f}"
    )


if __name__ == "__main__":
    main()
