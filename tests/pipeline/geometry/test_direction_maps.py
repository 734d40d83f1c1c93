"""Known answers for whole models: a copy whose heads are turned and renamed lies where its original does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hormesis.backend.capture import HeadActivations, capture
from hormesis.backend.model.loaded import LoadedModel
from hormesis.pipeline.geometry.agreement import RANDOM, Heads, agreements, nearest, random_rows, unit_rows
from hormesis.pipeline.geometry.lens_profiles import lens_profiles, token_sample, vocabulary_hash
from hormesis.pipeline.geometry.projections import project
from hormesis.pipeline.probing.probe_directions import mass_mean
from hormesis.pipeline.probing.profiles import Profiles, statement_scores
from hormesis.pipeline.study.config_sections import ProjectionConfig
from tests.fixtures.tiny import HEADS, LAYERS, tiny_loaded, tiny_tokenizer

WORDS = ("baker", "bread", "river", "cat", "chair", "rain", "hill", "book", "ships", "quiet", "long", "old")
RENAMED = [2, 0, 3, 1]
"""Head of the copy to head of the original."""
SPACES = ("functional", "vocabulary", "residual")


def statements() -> tuple[list[str], np.ndarray[Any, Any]]:
    """120 short texts, and labels by whether a word of a few is in them."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 6)) for _ in range(120)]
    return texts, np.array([int("cat" in text or "rain" in text) for text in texts])


def turned_copy(loaded: LoadedModel) -> LoadedModel:
    """The same function with heads in another order, each in another basis: values turned, output undone."""
    copy = tiny_loaded("olmo")
    copy.model.load_state_dict(loaded.model.state_dict())
    rng, width = np.random.default_rng(7), loaded.head_dim
    with torch.no_grad():
        for layer in copy.model.model.layers:
            attention = layer.self_attn
            rows = {name: getattr(attention, f"{name}_proj").weight.clone() for name in "qkvo"}
            for head, original in enumerate(RENAMED):
                turn = torch.tensor(np.linalg.qr(rng.normal(size=(width, width)))[0], dtype=torch.float32)
                of_copy, of_original = (
                    slice(place * width, (place + 1) * width) for place in (head, original)
                )
                attention.q_proj.weight[of_copy] = rows["q"][of_original]
                attention.k_proj.weight[of_copy] = rows["k"][of_original]
                attention.v_proj.weight[of_copy] = turn @ rows["v"][of_original]
                attention.o_proj.weight[:, of_copy] = rows["o"][:, of_original] @ turn.T
    return copy


def mass_means(activations: HeadActivations, labels: np.ndarray[Any, Any]) -> HeadActivations:
    """Layer to mean differences [heads, head_dim]."""
    return {
        layer: mass_mean(block.transpose(1, 0, 2), labels == 1).astype(np.float32)
        for layer, block in activations.items()
    }


def profiles(loaded: LoadedModel) -> dict[str, Profiles]:
    """Profiles of a model's mass-mean directions and of three random ones, by space."""
    texts, labels = statements()
    activations = capture(loaded, texts)
    vectors = {"mass_mean": mass_means(activations, labels)}
    rng = np.random.default_rng(loaded.head_dim)
    for draw in range(3):
        vectors[f"random-{draw}"] = {
            layer: rng.normal(size=of_layer.shape).astype(np.float32)
            for layer, of_layer in vectors["mass_mean"].items()
        }
    residual, logits = lens_profiles(loaded, vectors)
    return {
        "functional": statement_scores(vectors, activations, slice(None)),
        "vocabulary": logits,
        "residual": residual,
    }


@pytest.fixture(scope="module")
def models() -> tuple[LoadedModel, LoadedModel]:
    model = tiny_loaded("olmo")
    return model, turned_copy(model)


def units_of(space: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return unit_rows(values, statements()[1] if space == "functional" else None)


def test_the_copy_is_the_same_function(models: tuple[LoadedModel, LoadedModel]) -> None:
    ids = torch.tensor([tiny_tokenizer().encode("the baker sells warm bread near the river")])
    with torch.inference_mode():
        first, second = (loaded.model(ids).logits for loaded in models)
    assert torch.allclose(first, second, atol=1e-4)
    weights = [loaded.model.model.layers[0].self_attn.v_proj.weight for loaded in models]
    assert not torch.allclose(*weights, atol=0.05)


@pytest.mark.parametrize("space", SPACES)
def test_a_copy_with_turned_and_renamed_heads_coincides(
    space: str, models: tuple[LoadedModel, LoadedModel]
) -> None:
    original, copy = (units_of(space, profiles(loaded)[space]["mass_mean"]) for loaded in models)
    twins = np.array([layer * HEADS + head for layer in range(LAYERS) for head in RENAMED])
    assert copy == pytest.approx(original[twins], abs=1e-3)
    pooled = np.concatenate([original, copy])
    names = np.repeat(["a", "b"], LAYERS * HEADS)
    candidates = names[:, None] != names[None]
    assert nearest(pooled @ pooled.T, candidates, 1)[LAYERS * HEADS :, 0].tolist() == twins.tolist()
    for method in ("pca", "umap"):
        mapped = project(
            pooled, method, 2, settings=ProjectionConfig(neighbours=4), metric="cosine"
        ).coordinates
        distances = np.linalg.norm(mapped[: len(twins), None] - mapped[None, len(twins) :], axis=2)
        of_twins = distances[twins, np.arange(len(twins))]
        assert of_twins.max() < (1e-3 if method == "pca" else 0.5) * np.median(distances)


def test_vectors_inside_the_heads_do_not_coincide(models: tuple[LoadedModel, LoadedModel]) -> None:
    """What was mapped before: the same directions, each in the basis of its own head."""
    texts, labels = statements()
    vectors = []
    for loaded in models:
        vectors.append(np.concatenate(list(mass_means(capture(loaded, texts), labels).values())))
    twins = np.array([layer * HEADS + head for layer in range(LAYERS) for head in RENAMED])
    cosines = (vectors[1] * vectors[0][twins]).sum(axis=1)
    assert np.median(np.abs(cosines)) < 0.6


def test_checkpoints_of_different_widths_and_tokenizers_are_compared_by_statements() -> None:
    """As many heads as they like, other ones in each layer or none, on one map with one figure of merit."""
    models = {
        "narrow": tiny_loaded("olmo"),
        "wide": tiny_loaded("llama", hidden_size=96, num_attention_heads=6),
        "ragged": tiny_loaded("inkling_text"),
        "hybrid": tiny_loaded("lfm2"),
    }
    counts = [len(loaded.heads) for loaded in models.values()]
    assert counts == [LAYERS * HEADS, LAYERS * 6, 2 + 2 + 4, 4]
    by_space = [profiles(loaded) for loaded in models.values()]
    for count, of_model in zip(counts, by_space, strict=True):
        assert all(len(values) == count for of_space in of_model.values() for values in of_space.values())
    scores = [of_model["functional"] for of_model in by_space]
    directions = np.concatenate([of_model["mass_mean"] for of_model in scores])
    assert directions.shape == (sum(counts), 120)
    random = np.stack(
        [np.concatenate([of_model[f"random-{draw}"] for of_model in scores]) for draw in range(3)]
    )
    names = np.repeat(list(models), counts)
    layers = np.array([layer for loaded in models.values() for layer, _ in loaded.heads])
    accuracy = np.random.default_rng(0).uniform(0.5, 1, len(names))
    heads = Heads(names, layers, accuracy, np.full(len(names), np.nan))
    labels = statements()[1]
    results = agreements(
        unit_rows(directions, labels),
        {RANDOM: lambda rng: random_rows(random, rng)},
        lambda rows: unit_rows(rows, labels),
        heads=heads,
    )
    assert {result.measure for result in results} == {"likeness", "accuracy", "layer"}
    assert all(result.checkpoints == 4 and result.independent_p is None for result in results)


def test_tokens_are_the_same_for_equal_vocabularies(models: tuple[LoadedModel, LoadedModel]) -> None:
    wide = tiny_loaded("llama", hidden_size=96, num_attention_heads=6)
    assert token_sample(wide) == token_sample(models[0]) == list(range(320))
    assert vocabulary_hash(wide) == vocabulary_hash(models[0])
    wide.tokenizer.add_tokens(["<one-more>"])
    assert vocabulary_hash(wide) != vocabulary_hash(models[0])
