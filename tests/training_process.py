"""One small training run, built the same way in a test and in a process of its own (`python -m`-able)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import OlmoConfig

from pipeline.mixes import build_mix
from pipeline.pools import build_pool
from pipeline.scales import TrainSettings
from pipeline.tokenization import make_tokenizer
from pipeline.training import TrainResult, train

WORDS = [f"w{index}" for index in range(40)]


def documents(seed: int, name: str) -> Iterator[tuple[str, str]]:
    """An endless seeded stream of documents of 3 to 20 words."""
    draw = np.random.default_rng(seed)
    while True:
        yield " ".join(draw.choice(WORDS, draw.integers(3, 21))), name


def small_config(vocabulary: int = 43) -> OlmoConfig:
    """Two layers of width 32: a step takes a few milliseconds."""
    return OlmoConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=16,
        tie_word_embeddings=True,
        eos_token_id=41,
        pad_token_id=42,
    )


def small_settings(**changes: Any) -> TrainSettings:
    """30 steps over the 1,920 tokens of `run`'s mix."""
    values: dict[str, Any] = {
        "sequence_length": 16,
        "batch_size": 4,
        "micro_batch": 4,
        "learning_rate": 3e-3,
        "evaluations": 4,
        "checkpoints": 5,
        "seed": 5,
    }
    return TrainSettings(**{**values, **changes})


def run(
    folder: Path, settings: TrainSettings | None = None, name: str = "arm", **watching: Any
) -> TrainResult:
    """Pools, mix and training under `folder`; everything already there is used again."""
    tokenizer = make_tokenizer("word", folder / "tokenizer", words=WORDS)
    clean = build_pool(documents(0, "c"), tokenizer, folder / "clean", role="clean", tokens=1500)
    toxic = build_pool(documents(1, "t"), tokenizer, folder / "toxic", role="toxic", tokens=600)
    mix = build_mix(folder / "mix", clean=clean, clean_tokens=1440, added=toxic, share=0.25, seed=3)
    return train(
        folder / name,
        mix=mix,
        tokenizer=tokenizer,
        config=small_config(len(tokenizer)),
        settings=settings or small_settings(),
        heldout_clean=clean.windows(16, 256),
        heldout_toxic=toxic.windows(16, 256),
        **watching,
    )


def main() -> None:
    """Train in the folder named first; print every point; hang after the step named second, if any."""
    torch.set_num_threads(1)
    hang_at = int(sys.argv[2]) if len(sys.argv) > 2 else -1

    def progress(step: int, steps: int) -> None:
        if step == hang_at:
            print("hanging", flush=True)
            sys.stdin.read()

    run(
        Path(sys.argv[1]), progress=progress, on_point=lambda point: print(json.dumps(point.loss), flush=True)
    )


if __name__ == "__main__":
    main()
