"""Generation: use of the machine at three sizes, steered against not, and transformers' own `generate`."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from hormesis.backend.generation.generation import generate
from hormesis.backend.model.steering import RowSteering, iti
from hormesis.pipeline.study.scales import Scale
from tests.benchmarks.measures import (
    SIZES,
    Use,
    model_of,
    operations_per_token,
    peak,
    processor_seconds,
    table,
    used,
)
from tests.fixtures.tiny import some_heads

PROMPTS = {"nano": 128, "mini": 64, "small": 32}
PROMPT, TOKENS, ROUNDS = "a b c d e f g h", 24, 5


def compare(size: Scale, dtype: torch.dtype) -> tuple[Use, str]:
    """One size in one precision; all rows share one steering, as outside of a study."""
    loaded, count = model_of(size, dtype), PROMPTS[size]
    prompts, seeds = [PROMPT] * count, list(range(count))
    encoded = loaded.tokenizer(prompts, return_tensors="pt", padding=True)
    inputs = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    heads = some_heads(loaded, count=len(loaded.heads) // 12 + 1)

    def generation(row: RowSteering) -> Callable[[], object]:
        options: dict[str, Any] = {"rows": [row] * count, "new_tokens": TOKENS, "batch_size": count}
        return lambda: generate(loaded, prompts, seeds=seeds, **options)

    def reference() -> object:
        return loaded.model.generate(
            **inputs, do_sample=True, top_p=0.9, min_new_tokens=TOKENS, max_new_tokens=TOKENS
        )

    unsteered, steered = generation((None, 0.0)), generation((iti(loaded.sites, heads), 1.0))
    use = used(unsteered, count * TOKENS * operations_per_token(loaded.model), 1)
    # In turns, since what else the machine does comes and goes.
    times = [(processor_seconds(steered, 1), processor_seconds(unsteered, 1)) for _ in range(ROUNDS)]
    ratio = median(first / second for first, second in times)
    against = processor_seconds(reference, 1) / min(second for _, second in times)
    return use, f"steered {ratio:.3f} x, transformers' generate {against:.2f} x"


def main(dtype: torch.dtype) -> None:
    """Print a row per size in one precision."""
    table("generation", {size: compare(size, dtype) for size in SIZES}, peak(dtype))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for precision in (torch.float32, torch.bfloat16):
        print(f"-- {precision}")
        main(precision)
