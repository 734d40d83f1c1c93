"""Cross-entropy: equal to a one-ahead sum written out by hand, per document, bare and steered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hormesis.backend import crossentropy
from hormesis.backend.crossentropy import (
    DocumentLosses,
    LossError,
    Windows,
    position_losses,
    prepare_windows,
    window_losses,
)
from hormesis.backend.forum import VOCABULARY
from hormesis.backend.generation import decoding
from hormesis.backend.generation.batching import encode
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.models import describe
from hormesis.backend.model.steering import HeadDirection, Intervention, RowSteering, iti, steered
from hormesis.db.contract.methods import Scope
from hormesis.pipeline.text.prefixes import FORUM_PROMPT
from hormesis.pipeline.text.tokenization import make_tokenizer
from tests.fixtures.tiny import tiny_loaded, tiny_model

DOCUMENTS = [
    "the baker sells warm bread near the river",
    "",
    "rain",
    "stars and ships and the old chair " * 4,
]


def _intervention(loaded: LoadedModel, scope: Scope = "generated") -> Intervention:
    vector = np.zeros(loaded.head_dim, np.float32)
    vector[0] = 1.0
    return iti(loaded.sites, [HeadDirection(0, 1, vector, 1.0), HeadDirection(1, 2, vector, 1.0)], scope)


def token_losses(loaded: LoadedModel, texts: list[str], window: int, **options: Any) -> DocumentLosses:
    return window_losses(loaded, prepare_windows(loaded, texts, window), **options)


def by_hand(loaded: LoadedModel, text: str, window: int) -> tuple[float, int]:
    """Sum over windows of -log p(next token), in float64, one position at a time."""
    ids = loaded.tokenizer(text).input_ids
    nats, count = 0.0, 0
    for start in range(0, len(ids), window):
        piece = ids[start : start + window]
        with torch.inference_mode():
            logits = loaded.model(torch.tensor([piece])).logits[0].double()
        for at in range(len(piece) - 1):
            nats -= float(torch.log_softmax(logits[at], -1)[piece[at + 1]])
            count += 1
    return nats, count


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_the_models_own_loss_is_one_ahead(family: str) -> None:
    loaded = tiny_loaded(family)
    ids = torch.tensor([loaded.tokenizer(DOCUMENTS[0]).input_ids])
    with torch.inference_mode():
        model_loss = float(loaded.model(ids, labels=ids).loss)
    nats, count = by_hand(loaded, DOCUMENTS[0], 64)
    assert model_loss == pytest.approx(nats / count, abs=1e-5)
    assert token_losses(loaded, DOCUMENTS[:1], window=64).cross_entropy == pytest.approx(model_loss, abs=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
@pytest.mark.parametrize("window", [7, 64])
@pytest.mark.parametrize("logits_at_once", [1, 1000])
def test_equals_the_sum_by_hand(
    family: str, window: int, logits_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossentropy, "LOSSES_AT_ONCE", logits_at_once)
    loaded = tiny_loaded(family)
    got = token_losses(loaded, DOCUMENTS, window=window, batch_size=3)
    expected = [by_hand(loaded, text, window) for text in DOCUMENTS]
    np.testing.assert_allclose(got.nats, [nats for nats, _ in expected], rtol=1e-5, atol=1e-5)
    assert got.tokens.tolist() == [count for _, count in expected] and got.tokens.dtype == np.int64
    assert got.cross_entropy == pytest.approx(got.nats.sum() / got.tokens.sum())


def test_every_position_is_steered_and_documents_apart() -> None:
    loaded = tiny_loaded()
    intervention = _intervention(loaded)
    windows = prepare_windows(loaded, DOCUMENTS, 16)
    rows = [(intervention, 4.0), (None, 0.0), (intervention, 1.0), (intervention, 2.0)]
    together = window_losses(loaded, windows, rows=rows, batch_size=8)
    for index, (row_intervention, strength) in enumerate(rows):
        with steered(loaded, (row_intervention, strength), first=0):
            nats, _ = by_hand(loaded, DOCUMENTS[index], 16)
        assert together.nats[index] == pytest.approx(nats, abs=1e-4)
        alone = window_losses(loaded, windows, rows=(row_intervention, strength))
        assert together.nats[index] == pytest.approx(alone.nats[index], abs=1e-4)
    bare = window_losses(loaded, windows)
    assert abs(together.nats[0] - bare.nats[0]) > 1e-2
    assert not any(module._forward_pre_hooks for module in loaded.model.modules())


def _decoding(
    loaded: LoadedModel, prompt: list[int], targets: Sequence[int], *, row: RowSteering, monkeypatch: Any
) -> list[float]:
    """Loss of each target where generation's own loop is made to say them one after the other."""
    stepwise: list[float] = []

    def teach(logits: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        target = targets[len(stepwise)]
        stepwise.append(-float(torch.log_softmax(logits[0].float(), -1)[target]))
        return torch.tensor([target])

    monkeypatch.setattr(decoding, "draw", teach)
    decoding.decode(loaded, [prompt], row, seeds=[0], new_tokens=len(targets), temperature=1.0, top_p=1.0,
                    on_step=lambda _: None)  # fmt: skip
    return stepwise


@pytest.mark.parametrize("prefix", ["", "be kind.\n"])
@pytest.mark.parametrize("scope", ["generated", "all"])
@pytest.mark.parametrize("family", ["olmo", "gpt2"])
def test_one_pass_scores_as_decoding_token_by_token_would(
    family: str, scope: Scope, prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Log-probability of every token behind the prompt, in both scopes, own tokenizer and an imported one."""
    loaded, texts = tiny_loaded(family), [DOCUMENTS[0], DOCUMENTS[3]]
    if family == "olmo":
        tokenizer = make_tokenizer("word", tmp_path, words=VOCABULARY)
        loaded = describe(tiny_model(family, vocab_size=len(tokenizer)), tokenizer, "forum", check=False)
        texts, prefix = [FORUM_PROMPT, f"{FORUM_PROMPT} " * 5], prefix and f"{FORUM_PROMPT}\n"
    rows = [(_intervention(loaded, scope), 4.0), (_intervention(loaded, scope), -2.0)]
    prefix_ids = encode(loaded, [prefix])[0] if prefix else []
    windows = prepare_windows(loaded, texts, 24, prompt_tokens=5)
    sums = np.zeros(len(texts))
    for ids, owner in zip(windows.ids, windows.documents, strict=True):
        prompt = [*prefix_ids, *ids[:5]]
        stepwise = _decoding(loaded, prompt, ids[5:], row=rows[owner], monkeypatch=monkeypatch)
        first = len(prefix_ids) + 4
        with torch.inference_mode(), steered(loaded, rows[owner], first=first):
            at_once = position_losses(loaded, [[*prefix_ids, *ids]], [first])[0, first:]
        np.testing.assert_allclose(at_once, stepwise, atol=1e-5)
        sums[owner] += sum(stepwise)
    losses = window_losses(loaded, windows, rows=rows, batch_size=3, prefix=prefix_ids)
    np.testing.assert_allclose(losses.nats, sums, atol=1e-4)
    everywhere = window_losses(loaded, replace(windows, prompt_tokens=1), rows=rows, prefix=prefix_ids)
    assert (everywhere.tokens > losses.tokens).all()


def test_strength_zero_costs_exactly_nothing() -> None:
    loaded = tiny_loaded("gpt2")
    windows = prepare_windows(loaded, DOCUMENTS, 16)
    bare, zero = (
        window_losses(loaded, windows),
        window_losses(loaded, windows, rows=(_intervention(loaded), 0.0)),
    )
    assert np.array_equal(bare.nats, zero.nats)


def test_one_leading_token_of_the_tokenizers_own_serves_prefix_and_window() -> None:
    loaded = tiny_loaded("llama")
    bos = loaded.tokenizer.bos_token_id
    losses = window_losses(loaded, Windows(((bos, 5, 6, 7),), np.array([0]), 1, 8), prefix=(bos, 68))
    ids = [bos, 68, 5, 6, 7]
    with torch.inference_mode():
        chances = torch.log_softmax(loaded.model(torch.tensor([ids])).logits[0].double(), -1)
    expected = -sum(float(chances[at - 1, ids[at]]) for at in (2, 3, 4))
    assert losses.nats == pytest.approx([expected], abs=1e-4) and losses.tokens.tolist() == [3]


def test_windows_that_cannot_be() -> None:
    loaded = tiny_loaded()
    for window in (1, 65):
        with pytest.raises(LossError, match="window"):
            prepare_windows(loaded, DOCUMENTS, window)
    nothing = token_losses(loaded, [], window=8)
    assert nothing.nats.shape == (0,) and np.isnan(nothing.cross_entropy)
    assert token_losses(loaded, ["", ""], window=8).tokens.tolist() == [0, 0]


def test_progress_can_stop_it() -> None:
    loaded = tiny_loaded()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        token_losses(loaded, DOCUMENTS, rows=(_intervention(loaded), 1.0), window=8, progress=stop)
    assert not any(module._forward_pre_hooks for module in loaded.model.modules())
