"""Generation and streaming: equal to transformers, to themselves one by one, and to their own pieces."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hormesis.backend.generation import decoding, sampling
from hormesis.backend.generation.generation import GenerationError, generate
from hormesis.backend.generation.sampling import draw, uniforms
from hormesis.backend.generation.streaming import Pieces, stream
from hormesis.backend.model.feed import Feed
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.models import ModelError, describe
from hormesis.backend.model.steering import HeadDirection, Intervention, SteeringError, iti
from hormesis.db.contract.methods import Scope
from tests.fixtures.tiny import some_heads, tiny_loaded, tiny_model, tiny_tokenizer

PROMPTS = [
    "the cat",
    "a quiet baker sells warm bread near",
    "rain",
    "",
    "she reads a long book about ships and",
]
SEEDS = [3, 1, 4, 1, 5]


def _heads(loaded: LoadedModel) -> list[HeadDirection]:
    rng = np.random.default_rng(1)
    heads = []
    for layer, head in ((0, 1), (1, 3), (2, 0)):
        vector = rng.normal(size=loaded.head_dim).astype(np.float32)
        heads.append(HeadDirection(layer, head, vector / np.linalg.norm(vector), 0.5))
    return heads


def _intervention(loaded: LoadedModel) -> Intervention:
    return iti(loaded.sites, _heads(loaded))


@pytest.mark.parametrize("family", ["olmo3", "gpt2", "gemma2"])
def test_greedy_equals_transformers_generate(family: str) -> None:
    """Against `model.generate`, one prompt at a time without padding, through the sliding windows of 16."""
    loaded = tiny_loaded(family)
    texts = generate(loaded, PROMPTS, seeds=SEEDS, new_tokens=20, temperature=0.0)
    for prompt, got in zip(PROMPTS, texts, strict=True):
        ids = torch.tensor([loaded.tokenizer(prompt).input_ids or [loaded.blank_id]])
        with torch.inference_mode():
            output = loaded.model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False
            )
        expected = output[0, ids.shape[1] :].tolist()
        assert got.finished == (1 in expected)
        assert list(got.ids) == (expected[: expected.index(1)] if 1 in expected else expected)
        assert got.tokens == len(got.ids)


@pytest.mark.parametrize("family", ["llama", "gpt2", "bamba", "lfm2", "qwen3_next"])
def test_a_batch_equals_one_by_one(family: str) -> None:
    loaded = tiny_loaded(family)
    intervention = iti(loaded.sites, some_heads(loaded))
    rows = [(None, 0.0), (intervention, 1.0), (intervention, 3.0), (None, 0.0), (intervention, 2.0)]
    options: dict[str, Any] = {"new_tokens": 12, "temperature": 0.8, "top_p": 0.9}
    together = generate(loaded, PROMPTS, seeds=SEEDS, rows=rows, batch_size=5, **options)
    alone = [
        generate(loaded, [prompt], seeds=[seed], rows=[row], **options)[0]
        for prompt, seed, row in zip(PROMPTS, SEEDS, rows, strict=True)
    ]
    pairs = generate(loaded, PROMPTS, seeds=SEEDS, rows=rows, batch_size=2, **options)
    assert together == alone == pairs


@pytest.mark.parametrize("family", ["llama", "gpt2", "bamba", "lfm2", "qwen3_next"])
@pytest.mark.parametrize("scope", ["generated", "all"])
def test_rows_with_one_prompt_read_it_once(
    family: str, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless its beginning is steered; their texts are those of rows by themselves."""
    loaded, options = tiny_loaded(family), {"new_tokens": 8, "temperature": 0.8}
    intervention = iti(loaded.sites, some_heads(loaded), scope)
    tasks = [
        (prompt, (intervention, strength), seed)
        for seed, prompt in enumerate(PROMPTS)
        for strength in (0.0, 2.0)
    ]
    prompts, rows, seeds = zip(*tasks, strict=True)
    read: list[tuple[int, ...]] = []
    monkeypatch.setattr(Feed, "__call__", _noting_shapes(Feed.__call__, read))
    together = generate(loaded, prompts, seeds=seeds, rows=rows, **options)
    is_shared = scope == "generated"
    assert read[0][0] == (len(PROMPTS) if is_shared else len(tasks))
    assert read[1 if is_shared else 0][0] == len(tasks)
    alone = [generate(loaded, [p], seeds=[seed], rows=[row], **options)[0] for p, row, seed in tasks]
    assert together == alone


def _noting_shapes(feed: Any, read: list[tuple[int, ...]]) -> Any:
    def noting(self: Feed, ids: torch.Tensor) -> torch.Tensor:
        read.append(tuple(ids.shape))
        logits: torch.Tensor = feed(self, ids)
        return logits

    return noting


def test_steering_and_seeds_change_the_text() -> None:
    loaded = tiny_loaded()
    intervention = _intervention(loaded)
    texts = [
        generate(loaded, ["the cat"], seeds=[seed], rows=[row], new_tokens=20)[0].ids
        for seed, row in (
            (0, (None, 0.0)),
            (0, (intervention, 0.0)),
            (0, (intervention, 6.0)),
            (1, (None, 0.0)),
        )
    ]
    assert texts[0] == texts[1] and len(set(texts)) == 3


@given(st.integers(0, 2**63), st.floats(0.05, 1.0), st.floats(0.2, 3.0), st.sampled_from([5, 300, 3000]))
@settings(max_examples=60, deadline=None)
def test_the_draw_is_inverse_cdf_in_the_nucleus(
    seed: int, top_p: float, temperature: float, size: int
) -> None:
    rng = np.random.default_rng(seed % 2**32)
    logits = rng.normal(0, 2, (3, size)).astype(np.float32)
    noise = uniforms([seed, 1, 2], 4)[:, 3]
    got = draw(torch.from_numpy(logits), noise, temperature=temperature, top_p=top_p).tolist()
    for row in range(3):
        weights = np.exp((logits[row] - logits[row].max()).astype(np.float64) / temperature)
        chances = weights / weights.sum()
        order = np.argsort(-chances)
        keep = order[: int(np.searchsorted(chances[order].cumsum(), top_p)) + 1]
        inside = np.zeros(size)
        inside[keep] = chances[keep]
        heights = inside.cumsum() / inside.sum()
        # float32 against float64: only a draw within rounding of an edge may differ.
        edges = heights[got[row]] - inside[got[row]] / inside.sum() - 1e-4, heights[got[row]] + 1e-4
        assert edges[0] <= noise[row] <= edges[1]


@pytest.mark.parametrize("looks", [(), (16,), (16, 64)])
def test_a_row_looks_further_than_others_where_its_nucleus_does(looks: tuple[int, ...]) -> None:
    """Rows from sharp to flat, and one of ties: the choice is that among the whole vocabulary sorted."""
    chances = torch.softmax(torch.randn(6, 1000) * torch.tensor([9.0, 5.0, 3.0, 2.0, 1.0, 0.0])[:, None], -1)
    noise = torch.from_numpy(uniforms(range(6), 1)[:, 0])
    together = sampling._in_nucleus(chances, noise, 0.9, looks=looks)
    assert together.equal(sampling._in_nucleus(chances, noise, 0.9, looks=()))


def test_frequencies_follow_the_distribution() -> None:
    chances = torch.tensor([0.5, 0.3, 0.15, 0.05])
    noise = uniforms(range(20_000), 1)[:, 0]
    tokens = draw(chances.log().expand(20_000, -1), noise, temperature=1.0, top_p=1.0)
    assert np.allclose(np.bincount(tokens, minlength=4) / 20_000, chances, atol=0.012)
    cut = draw(chances.log().expand(20_000, -1), noise, temperature=1.0, top_p=0.75)
    assert np.allclose(np.bincount(cut, minlength=4) / 20_000, [0.625, 0.375, 0, 0], atol=0.012)


def test_noise_depends_on_the_seed_alone() -> None:
    assert np.array_equal(uniforms([5, 9], 8)[1], uniforms([9], 30)[0, :8])


def test_long_prompts_lose_their_beginning_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    loaded = tiny_loaded()
    long = " ".join(["rain falls on the hill"] * 40)
    with caplog.at_level(logging.INFO):
        cut, short = generate(loaded, [long, "rain"], seeds=[0, 0], new_tokens=10, temperature=0.0)
    assert cut.truncated and not short.truncated and "1 prompts are longer than 54" in caplog.text
    tail = loaded.tokenizer(long).input_ids[-54:]
    with torch.inference_mode():
        expected = loaded.model.generate(torch.tensor([tail]), max_new_tokens=10, do_sample=False)
    assert cut.ids == tuple(token for token in expected[0, 54:].tolist() if token != 1)
    with pytest.raises(GenerationError, match="do not fit"):
        generate(loaded, ["rain"], seeds=[0], new_tokens=64)


def test_progress_can_stop_it_and_leaves_no_trace() -> None:
    loaded = tiny_loaded()
    pieces: list[tuple[int, int]] = []
    generate(loaded, PROMPTS, seeds=SEEDS, new_tokens=4, batch_size=2, progress=lambda *at: pieces.append(at))
    assert pieces[-1] == (5, 5) and pieces == sorted(pieces)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    rows = [(_intervention(loaded), 1.0)] * 5
    with pytest.raises(KeyboardInterrupt):
        generate(loaded, PROMPTS, seeds=SEEDS, rows=rows, new_tokens=4, progress=stop)
    assert not any(module._forward_pre_hooks for module in loaded.model.modules())


@pytest.mark.parametrize(
    "changes",
    [{"seeds": [1]}, {"new_tokens": 0}, {"temperature": -1.0}, {"temperature": float("nan")}, {"top_p": 0.0}],
)
def test_settings_out_of_range(changes: dict[str, Any]) -> None:
    options: dict[str, Any] = {"seeds": [0, 0], "new_tokens": 3} | changes
    with pytest.raises(GenerationError):
        generate(tiny_loaded(), ["a", "b"], **options)


def test_one_row_too_few_is_refused() -> None:
    with pytest.raises(SteeringError):
        generate(tiny_loaded(), ["a", "b"], seeds=[0, 0], rows=[(None, 0.0)], new_tokens=2)


@given(st.lists(st.integers(0, 319), max_size=40))
@settings(max_examples=150, deadline=None)
def test_pieces_join_to_the_text_and_break_no_character(ids: list[int]) -> None:
    tokenizer = tiny_tokenizer()
    pieces = Pieces(tokenizer)
    parts = [pieces.add(token) for token in ids]
    rest = pieces.rest()
    assert "".join(parts) + rest == tokenizer.decode(
        ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    assert not any(piece.endswith("\N{REPLACEMENT CHARACTER}") for piece in parts)


@given(st.text(max_size=30))
@settings(max_examples=80, deadline=None)
def test_pieces_of_real_text_are_whole_characters(text: str) -> None:
    tokenizer = tiny_tokenizer()
    pieces = Pieces(tokenizer)
    parts = [pieces.add(token) for token in tokenizer(text).input_ids]
    assert "".join(parts) + pieces.rest() == text


def test_a_stream_equals_generation() -> None:
    loaded = tiny_loaded("olmo")
    intervention = _intervention(loaded)
    rows = [
        (prompt, (intervention, float(index)), seed)
        for index, (prompt, seed) in enumerate(zip(PROMPTS, SEEDS, strict=True))
    ]
    streamed: dict[int, str] = {}
    tokens: dict[int, list[int]] = {}
    projections: list[tuple[int, float]] = []

    def on_token(row: int, token: int, piece: str) -> None:
        streamed[row] = streamed.get(row, "") + piece
        tokens.setdefault(row, []).append(token)

    results = stream(
        loaded,
        rows,
        on_token,
        new_tokens=12,
        head_directions=_heads(loaded),
        on_projection=lambda *at: projections.append(at),
    )
    steering = [row[1] for row in rows]
    assert results == generate(loaded, PROMPTS, seeds=SEEDS, rows=steering, new_tokens=12)
    for row, result in enumerate(results):
        assert streamed[row] == result.text
        assert tokens[row][: result.tokens] == list(result.ids)
    assert len(projections) == sum(result.tokens for result in results)
    assert not any(module._forward_pre_hooks for module in loaded.model.modules())


def test_projection_is_the_mean_over_heads_in_sigmas() -> None:
    loaded = tiny_loaded()
    heads, calls, captured = _heads(loaded), [], {}
    stream(
        loaded, [("the cat", (None, 0.0), 0)], lambda *_: None, new_tokens=1, head_directions=heads,
        on_projection=lambda row, value: calls.append(value),
    )  # fmt: skip
    handles = [
        loaded.model.get_submodule(site.module).register_forward_pre_hook(
            lambda module, args, layer=site.layer: captured.update({layer: args[0][0, -1]})
        )
        for site in loaded.sites
    ]
    with torch.inference_mode():
        loaded.model(torch.tensor([loaded.tokenizer("the cat").input_ids]))
    for handle in handles:
        handle.remove()
    expected = np.mean(
        [captured[h.layer].view(loaded.n_heads, -1)[h.head].numpy() @ h.vector / h.sigma for h in heads]
    )
    assert calls == [pytest.approx(float(expected), abs=1e-5)]


def test_a_stream_stops_when_asked_and_ends_rows_by_themselves() -> None:
    loaded = tiny_loaded()
    count: list[int] = []
    results = stream(
        loaded,
        [("rain", (None, 0.0), 0)] * 2,
        lambda *at: count.append(at[0]),
        should_stop=lambda: len(count) >= 6,
        new_tokens=50,
    )
    assert all(result.tokens <= 4 for result in results)
    model = tiny_model()
    model.generation_config.eos_token_id = list(range(160))
    early = stream(
        describe(model, tiny_tokenizer(), check=False),
        [("rain", (None, 0.0), seed) for seed in range(4)],
        lambda *_: None,
        new_tokens=50,
    )
    assert all(result.finished and min(result.ids, default=999) >= 160 for result in early)


@pytest.mark.parametrize("temperature", [5e-324, 1e-45, 1e-38, 1e-7])
def test_a_temperature_too_small_to_divide_by_is_greedy(temperature: float) -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, -1e9, 2.9]])
    assert draw(logits, np.array([[0.9], [0.1]])[:, 0], temperature=temperature, top_p=0.9).tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_become_no_text(number: float, temperature: float) -> None:
    logits = torch.tensor([[0.0, number, 1.0]])
    with pytest.raises(ModelError, match="not finite for this text"):
        draw(logits, np.array([0.5]), temperature=temperature, top_p=0.9)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3_next"])
@pytest.mark.parametrize("scope", ["generated", "all"])
def test_one_steering_for_all_rows_is_a_bias_and_no_hook(
    family: str, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits of every step equal those under hooks, and the model has its own biases again."""
    loaded = tiny_loaded(family)
    row = (iti(loaded.sites, some_heads(loaded), scope), 2.0)
    biases = {name: value.clone() for name, value in loaded.model.named_parameters() if "bias" in name}
    steps: list[torch.Tensor] = []
    hooks: list[int] = []

    def recorded(logits: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        steps.append(logits)
        hooks.append(sum(len(module._forward_pre_hooks) for module in loaded.model.modules()))
        return torch.full((len(logits),), 5)

    monkeypatch.setattr(decoding, "draw", recorded)
    for rows in ([row] * 3, [row, row, (row[0], 2.0 + 1e-9)]):
        generate(loaded, PROMPTS[:3], seeds=SEEDS[:3], rows=rows, new_tokens=6)
    torch.testing.assert_close(torch.stack(steps[:6]), torch.stack(steps[6:]), rtol=1e-5, atol=1e-5)
    assert not any(hooks[:6]) and all(hooks[6:])
    after = {name: value for name, value in loaded.model.named_parameters() if "bias" in name}
    assert after.keys() == biases.keys() and all(torch.equal(after[name], biases[name]) for name in biases)
