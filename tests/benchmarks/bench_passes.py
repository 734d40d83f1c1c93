"""Capture, costs and likelihoods: use of the machine at three sizes, against the bare passes they need.

The costs are those of a search: losses under four strengths of one intervention in the upper half of the
layers, with the lower half read once; its operations are those of four whole evaluations. The alternative
is the same batches through the model with nothing read, steered or pooled; for capture also pyvene and
nnsight, which read the same heads of the same batches, where they are installed (no extra of ours).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import torch
import torch.nn.functional as F

from hormesis.backend.capture import capture
from hormesis.backend.crossentropy import prepare_windows, window_losses
from hormesis.backend.generation.batching import by_length, encode, pad
from hormesis.backend.likelihood import encode_pairs, log_likelihoods
from hormesis.backend.lower_layers import LowerLayers
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.steering import iti
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
from tests.fixtures.tiny import CORPUS, some_heads

TEXTS = {"nano": 96, "mini": 24, "small": 8}
ROUNDS = 2
STRENGTHS = [0.5 * step for step in range(1, 5)]


def texts_of(count: int, words: int) -> list[str]:
    """Texts of about `words` words, of unequal lengths."""
    draw, vocabulary = random.Random(0), " ".join(CORPUS).split()
    return [" ".join(draw.choices(vocabulary, k=draw.randint(words // 2, words))) for _ in range(count)]


Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


def batches(loaded: LoadedModel, rows: list[list[int]]) -> Batches:
    """Tokens and mask [rows, tokens] of rows of like length."""
    for batch in by_length([len(row) for row in rows], 32):
        yield pad([rows[index] for index in batch], "right", loaded.pad_id, device=loaded.device)


def bare(loaded: LoadedModel, rows: list[list[int]], *, logits: bool) -> None:
    """The passes alone, with the losses of every token where there are logits."""
    with torch.inference_mode():
        for ids, mask in batches(loaded, rows):
            if not logits:
                loaded.model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
                continue
            scores = loaded.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            F.cross_entropy(scores[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none")


def by_pyvene(loaded: LoadedModel, rows: list[list[int]]) -> None:
    """Activations of all heads at the last token, by pyvene's `CollectIntervention`."""
    import pyvene

    components = [
        {"component": f"{site.module}.input", "intervention": pyvene.CollectIntervention()}
        for site in loaded.sites
    ]
    model = pyvene.IntervenableModel(components, model=loaded.model)
    with torch.inference_mode():
        for ids, mask in batches(loaded, rows):
            last = [[[int(length) - 1] for length in mask.sum(1)]] * len(components)
            inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
            model(inputs, unit_locations={"base": last})


def by_nnsight(loaded: LoadedModel, rows: list[list[int]]) -> None:
    """The same by a trace of nnsight, which gives every token; the last one is picked out of it."""
    import nnsight

    model = nnsight.NNsight(loaded.model)
    with torch.inference_mode():
        for ids, mask in batches(loaded, rows):
            inputs = []
            with model.trace(input_ids=ids, attention_mask=mask, use_cache=False):
                for layer in model.model.layers:
                    inputs.append(layer.self_attn.o_proj.input.save())
            _ = [tensor[torch.arange(len(ids)), mask.sum(1) - 1] for tensor in inputs]


READERS = {"pyvene": by_pyvene, "nnsight": by_nnsight}


def compare(size: Scale, dtype: torch.dtype) -> dict[str, tuple[Use, str]]:
    """The three kinds of passes at one size."""
    loaded, texts = model_of(size, dtype), texts_of(TEXTS[size], 40)
    per_token, body = (operations_per_token(loaded.model, logits=logits) for logits in (True, False))
    upper = [
        head for head in some_heads(loaded, count=len(loaded.heads)) if 2 * head.layer >= loaded.n_layers
    ]
    intervention, windows = iti(loaded.sites, upper), prepare_windows(loaded, texts, 256, prompt_tokens=16)
    pairs = [(text[:-20], text[-20:]) for text in texts]

    def search() -> None:
        lower = LowerLayers()
        for strength in STRENGTHS:
            window_losses(loaded, windows, rows=(intervention, strength), lower=lower)

    def row(
        work: Callable[[], object], rows: list[list[int]], times: int, *, logits: bool
    ) -> tuple[Use, str]:
        operations = times * sum(map(len, rows)) * (per_token if logits else body)
        use = used(work, operations, ROUNDS)
        against = times * processor_seconds(lambda: bare(loaded, rows, logits=logits), ROUNDS)
        return use, f"{use.seconds / against:.2f} x the bare passes"

    rows_of_texts = encode(loaded, texts)
    captured, words = row(lambda: capture(loaded, texts), rows_of_texts, 1, logits=False)
    for name in filter(find_spec, READERS):
        seconds = processor_seconds(lambda read=READERS[name]: read(loaded, rows_of_texts), ROUNDS)
        words += f", {captured.seconds / seconds:.2f} x {name}"
    window_rows = [list(ids) for ids in windows.ids]
    pair_rows = [context + continuation for context, continuation in encode_pairs(loaded, pairs)]
    return {
        "capture": (captured, words),
        "costs": row(search, window_rows, len(STRENGTHS), logits=True),
        "likelihood": row(lambda: log_likelihoods(loaded, pairs), pair_rows, 1, logits=True),
    }


def main(dtype: torch.dtype) -> None:
    """Print the rows of the three kinds of passes in one precision."""
    of_sizes = {size: compare(size, dtype) for size in SIZES}
    limit = peak(dtype)
    for name in of_sizes[SIZES[0]]:
        table(name, {size: kinds[name] for size, kinds in of_sizes.items()}, limit)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for precision in (torch.float32, torch.bfloat16):
        print(f"-- {precision}")
        main(precision)
