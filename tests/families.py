"""Which families of models are supported, degraded or refused, on tiny random checkpoints; as Markdown.

`python -m tests.families [MODEL_TYPE ...]`: supported means that logits equal transformers' own through every
way we read them (hooks at strength 0, batches with padding, a cache, a saved model) and that steering by hook
equals steering by bias at every site; degraded, that under half of the layers have sites. In brackets the
largest error as a fraction: of the logits in float32, of the steering's effect in bfloat16.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn

from hormesis.backend.capture import capture
from hormesis.backend.crossentropy import prepare_windows, window_losses
from hormesis.backend.generation.generation import generate
from hormesis.backend.model.added_vectors import with_vectors
from hormesis.backend.model.export import ExportError, with_biases
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.models import ModelError, describe
from hormesis.backend.model.residual import decoder_layer, stream_width
from hormesis.backend.model.steering import iti, steered
from hormesis.backend.model.verify import prove
from hormesis.db.contract.sites import degraded
from tests.fixtures.families import OPTIONS
from tests.fixtures.tiny import some_heads, tiny_model, tiny_tokenizer

TEXTS = (
    "she reads a long book about ships and stars, then feeds the cat",
    "a quiet cat sleeps, then it feeds",
    "the river",
)
"""Longer than the windows and blocks of the tiny models, across them once padded, and shorter."""
IDS = torch.arange(3, 27).reshape(3, 8)
NEW_TOKENS = 4
EXACT, HALF = 1e-4, 0.25
"""Largest error allowed in float32 and in bfloat16, see `error_of`."""
SUPPORTED, DEGRADED, REFUSED = "supported", "degraded", "refused"


class WrongFamily(AssertionError):
    """A family that passes our proof at load and yet gives other numbers than transformers."""


@dataclass(frozen=True)
class Outcome:
    """What a family is in one dtype; `detail`: why not supported; `unsaved`: why biases cannot hold it."""

    family: str
    status: str
    detail: str = ""
    error: float = 0.0
    unsaved: str = ""


def check(family: str, dtype: torch.dtype = torch.float32) -> Outcome:
    """Check a family in every way. Raises WrongFamily where any of them disagrees with transformers."""
    model = tiny_model(family, dtype=dtype)
    try:
        loaded = describe(model, tiny_tokenizer(), family, check=False)
        proof = prove(loaded)
    except ModelError as error:
        return Outcome(family, REFUSED, str(error).removeprefix(f"{family}: "))
    errors = {
        "steering by bias": proof.steering,
        "a batch": proof.batch,
        "strength 0": _strength_zero(loaded),
        "captured heads": _captured(loaded),
        "cross-entropy": _losses(loaded),
        "the residual stream": _residual(loaded),
    }
    unsaved = ""
    try:
        errors["a saved model"] = _saved(loaded)
    except ExportError as error:
        unsaved = str(error)
    name, error = max(errors.items(), key=lambda item: item[1])
    if not error <= (EXACT if dtype is torch.float32 else HALF):
        raise WrongFamily(f"{family}, {dtype}: {name} is off by {error:.1e}")
    if dtype is torch.float32:
        _require_equal_generation(loaded)
    detail = degraded(loaded.shapes, loaded.n_layers)
    return Outcome(family, DEGRADED if detail else SUPPORTED, detail, error, unsaved)


def error_of(values: torch.Tensor, expected: torch.Tensor, effect: torch.Tensor | None = None) -> float:
    """Root mean square of the difference, as a fraction of that of `effect` (by default `expected`)."""
    scale = (expected if effect is None else effect).float().square().mean().sqrt()
    return float((values.float() - expected.float()).square().mean().sqrt() / scale)


def _logits(loaded: LoadedModel) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = loaded.model(IDS).logits
    return logits


def _strength_zero(loaded: LoadedModel) -> float:
    """What a steered neighbour in the batch does to rows that are not steered."""
    bare, errors = _logits(loaded), []
    for scope in ("all", "generated"):
        intervention = iti(loaded.sites, some_heads(loaded), scope)  # type: ignore[arg-type]
        with steered(loaded, [(intervention, 0.0), (intervention, 3.0), (None, 5.0)]):
            mixed = _logits(loaded)
        if torch.equal(mixed[1], bare[1]):
            raise WrongFamily(f"{loaded.source}: steering changes nothing")
        errors.append(error_of(mixed[::2], bare[::2], mixed[1] - bare[1]))
    return max(errors)


def _captured(loaded: LoadedModel) -> float:
    """Heads read in a padded batch against heads read alone."""
    together, alone = capture(loaded, TEXTS), [capture(loaded, [text]) for text in TEXTS]
    errors = []
    for site in loaded.sites:
        if together[site.layer].shape != (len(TEXTS), site.n_heads, site.head_dim):
            raise WrongFamily(f"{loaded.source}: heads of layer {site.layer} have another shape")
        expected = np.concatenate([activations[site.layer] for activations in alone])
        errors.append(error_of(torch.from_numpy(together[site.layer]), torch.from_numpy(expected)))
    return max(errors)


def _losses(loaded: LoadedModel) -> float:
    """Summed losses in a padded batch against transformers' own loss of a text alone."""
    losses = window_losses(loaded, prepare_windows(loaded, TEXTS, 64))
    expected = []
    for text in TEXTS:
        logits_of = torch.tensor([loaded.tokenizer(text).input_ids])
        with torch.inference_mode():
            mean = loaded.model(logits_of, labels=logits_of).loss
        expected.append(float(mean) * (logits_of.shape[1] - 1))
    return error_of(torch.from_numpy(losses.nats), torch.tensor(expected))


def _residual(loaded: LoadedModel) -> float:
    """A vector added behind the first layer against what the second layer is then handed."""
    vector = np.random.default_rng(0).normal(size=stream_width(loaded)).astype(np.float32)
    row = with_vectors(loaded, (None, 0.0), "all", heads={}, residual={0: vector})
    inputs: list[torch.Tensor] = []

    def keep(_: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        inputs.append(args[0] if args else keywords["hidden_states"])

    handle = decoder_layer(loaded, 1).register_forward_pre_hook(keep, with_kwargs=True)
    try:
        _logits(loaded)
        with steered(loaded, row):
            _logits(loaded)
    finally:
        handle.remove()
    expected = inputs[0] + torch.from_numpy(vector).to(loaded.dtype)
    return error_of(inputs[1], expected, torch.from_numpy(vector))


def _saved(loaded: LoadedModel) -> float:
    """The model with steering in its biases against the live one. Raises ExportError where it has none."""
    intervention = iti(loaded.sites, some_heads(loaded), "all")
    model = with_biases(loaded, intervention, 2.0)
    with torch.inference_mode(), steered(loaded, (intervention, 2.0)):
        live = _logits(loaded)
        by_bias = model(IDS).logits
    return error_of(by_bias, live, live if loaded.dtype is torch.float32 else live - _logits(loaded))


def _require_equal_generation(loaded: LoadedModel) -> None:
    """A padded batch at strength 0 says what `model.generate` says to each prompt alone."""
    row = (iti(loaded.sites, some_heads(loaded)), 0.0)
    options: dict[str, Any] = {"new_tokens": NEW_TOKENS, "temperature": 0.0}
    rows, seeds = [row] * len(TEXTS), range(len(TEXTS))
    for text, continuation in zip(
        TEXTS, generate(loaded, TEXTS, seeds=seeds, rows=rows, **options), strict=True
    ):
        ids = torch.tensor([loaded.tokenizer(text).input_ids])
        with torch.inference_mode():
            output = loaded.model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False
            )
        expected = output[0, ids.shape[1] :].tolist()
        expected = expected[: expected.index(1)] if 1 in expected else expected
        if list(continuation.ids) != expected:
            raise WrongFamily(f"{loaded.source}: generates {continuation.ids}, transformers {expected}")


def table(outcomes: Iterable[tuple[Outcome, Outcome]]) -> list[str]:
    """A Markdown table of pairs (float32, bfloat16), families that fare alike in one row."""
    groups: dict[tuple[str, str, str], list[tuple[Outcome, Outcome]]] = defaultdict(list)
    for exact, half in outcomes:
        groups[exact.status, half.status, exact.detail if exact.status == REFUSED else ""].append(
            (exact, half)
        )
    order = [SUPPORTED, DEGRADED, REFUSED]
    lines = ["| `model_type` | float32 | bfloat16 |", "|---|---|---|"]
    for (status, half_status, reason), pairs in sorted(
        groups.items(), key=lambda group: order.index(group[0][0])
    ):
        names = ", ".join(sorted(f"`{exact.family}`" for exact, _ in pairs))
        cells = [
            _cell(status, [exact.error for exact, _ in pairs]),
            _cell(half_status, [half.error for _, half in pairs]),
        ]
        cells[0] += f": {reason}" if reason else ""
        lines.append(f"| {names} | {' | '.join(cells)} |")
    return lines


def _cell(status: str, errors: list[float]) -> str:
    return status if status == REFUSED else f"{status} ({min(errors):.0e} to {max(errors):.0e})"


def main() -> int:
    """Print the table; returns 1 where a family is silently wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("families", nargs="*", metavar="MODEL_TYPE", help=f"some of: {', '.join(OPTIONS)}")
    names = parser.parse_args().families or list(OPTIONS)
    if unknown := set(names) - set(OPTIONS):
        parser.error(f"no tiny model of '{min(unknown)}'")
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    outcomes, wrong = [], []
    for family in names:
        try:
            outcomes.append((check(family), check(family, torch.bfloat16)))
        except WrongFamily as error:
            wrong.append(str(error))
    print("\n".join(table(outcomes)))
    unsaved = [f"`{exact.family}`" for exact, _ in outcomes if exact.unsaved]
    print(f"\nCannot be saved, having no bias to hold the steering: {', '.join(sorted(unsaved)) or 'none'}.")
    print(*(f"SILENTLY WRONG: {line}" for line in wrong), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
