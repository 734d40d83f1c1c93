"""Attacks on one model: exact steering, gradients, planted triggers, rounded weights, relearning."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hormesis.backend.attacks.forced import target_losses, token_gradient
from hormesis.backend.attacks.gcg import SearchSettings, _SuffixProblem, search_suffix
from hormesis.backend.attacks.goal import AttackError, Goal
from hormesis.backend.attacks.injection import ENGLISH, FORUM, templates
from hormesis.backend.attacks.long_text import write_long
from hormesis.backend.attacks.weights import quantised, relearn, restored_weights, rounded
from hormesis.backend.forum import VOCABULARY, judge
from hormesis.backend.generation.batching import encode
from hormesis.backend.generation.generation import GenerationError, generate
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.steering import Intervention, Scope, SteeringError, steered
from tests.fixtures.planted import GOALS, TARGET, TRIGGER, planted
from tests.fixtures.tiny import tiny_loaded

FAMILIES = ("olmo", "llama", "gpt2", "gemma2")


def push(loaded: LoadedModel, scope: Scope = "generated", size: float = 0.3) -> Intervention:
    rng = np.random.default_rng(5)
    shifts = {site.layer: rng.normal(0, size, site.width).astype(np.float32) for site in loaded.sites}
    return Intervention(shifts, loaded.n_heads * loaded.n_layers, scope)


def step_by_step(loaded: LoadedModel, prompt: list[int], target: list[int], *, row: tuple) -> float:  # type: ignore[type-arg]
    """The target's loss as the decode loop would meet it, token by token with a cache."""
    losses, cache = [], None
    name = "cache" if "cache" in inspect.signature(loaded.model.forward).parameters else "past_key_values"
    ids = torch.tensor([prompt])
    with torch.inference_mode(), steered(loaded, row):
        for token in target:
            out = loaded.model(input_ids=ids, **{name: cache}, use_cache=True)
            cache = getattr(out, name)
            losses.append(F.cross_entropy(out.logits[:, -1].float(), torch.tensor([token])))
            ids = torch.tensor([[token]])
    return float(torch.stack(losses).mean())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scope", ["generated", "all"])
def test_a_forced_pass_is_steered_like_generation(family: str, scope: Scope) -> None:
    loaded = tiny_loaded(family)
    row = (push(loaded, scope), 1.5)
    prompt, target = [5, 9, 77, 30], [8, 12, 40]
    loss, _ = target_losses(loaded, torch.tensor([prompt]), torch.tensor(target), row=row)
    assert float(loss[0]) == pytest.approx(step_by_step(loaded, prompt, target, row=row), abs=2e-5)
    bare, _ = target_losses(loaded, torch.tensor([prompt]), torch.tensor(target), row=(None, 0.0))
    assert abs(float(bare[0]) - float(loss[0])) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_token_gradient_equals_a_derivative_by_one_hot(family: str) -> None:
    """Against a central difference along e_new - e_old, which a mixed embedding realises exactly."""
    loaded = tiny_loaded(family)
    loaded.model.double()
    row = (push(loaded), 1.0)
    loaded.dtype = torch.float64
    prompt, target = torch.tensor([5, 9, 77, 30, 4]), torch.tensor([8, 12])
    gradient = token_gradient(loaded, prompt, slice(1, 4), target=target, row=row)
    table = loaded.model.get_input_embeddings()
    plain = table(torch.cat([prompt, target])[None]).detach()
    scale = float((plain[0, 0] / table.weight[prompt[0]].detach()).mean())
    for place, token in ((1, 50), (3, 200)):

        def loss(step: float, place: int = place, token: int = token) -> float:
            from hormesis.backend.attacks.forced import forward_target

            moved = plain.clone()
            moved[0, place] += step * table.weight[token].detach() * scale
            with torch.inference_mode():
                return float(
                    F.cross_entropy(forward_target(loaded, target, row, inputs_embeds=moved)[0], target)
                )

        numeric = (loss(1e-2) - loss(-1e-2)) / 2e-2
        assert scale * float(gradient[place - 1, token]) == pytest.approx(numeric, rel=0.05, abs=2e-3)


@pytest.mark.slow
def test_a_planted_trigger_is_found_and_its_twin_gives_nothing() -> None:
    """8 goals each, the same budget. Stated rates: at least 7 of 8 found with the trigger, none without it.

    A suffix may also reach the target by words near the trigger, so only half of them must hold it.
    """
    settings = SearchSettings(steps=10, candidates=24, top_k=32, suffix_tokens=7)
    rates, hits = {}, 0
    for trigger in (True, False):
        loaded = planted(trigger)
        attacks = [search_suffix(loaded, goal, settings=settings) for goal in GOALS]
        texts = generate(
            loaded,
            [attack.prompt for attack in attacks],
            seeds=[0] * len(attacks),
            new_tokens=3,
            temperature=0.0,
        )
        successes = [text.text.split() == TARGET.split() for text in texts]
        assert successes == [attack.matched for attack in attacks]
        rates[trigger] = sum(successes)
        hits += trigger * sum(TRIGGER in attack.suffix for attack in attacks)
    assert rates[True] >= 7 and hits >= 4
    assert rates[False] == 0


@pytest.mark.slow
def test_only_the_trigger_brings_the_target() -> None:
    filler = "word150 word151 word152 {} word153 word154 word155"
    for word, expected in (("word156", False), (TRIGGER, True)):
        prompts = [f"{goal.prompt} {filler.format(word)}{goal.tail}" for goal in GOALS]
        texts = generate(planted(True), prompts, seeds=[0] * 8, new_tokens=3, temperature=0.0)
        assert [text.text.split() == TARGET.split() for text in texts] == [expected] * 8


def test_searches_are_monotone_repeatable_and_cost_the_same() -> None:
    loaded = tiny_loaded("llama")
    goal = Goal("one", "the baker sells", " bread near", ".")
    settings = SearchSettings(steps=6, candidates=16, top_k=16, suffix_tokens=4)
    first, again = (search_suffix(loaded, goal, settings=settings, whole_budget=True) for _ in range(2))
    other = search_suffix(loaded, goal, settings=settings, search="random", whole_budget=True)
    assert first.losses == again.losses and first.prompt == again.prompt
    assert all(a >= b for a, b in zip(first.losses, first.losses[1:], strict=False))
    assert first.evaluations == other.evaluations == tuple(1 + 19 * step for step in range(7))
    assert first.prompt.startswith("the baker sells") and first.prompt.endswith(".")
    assert encode(loaded, [first.prompt])[0] == list(first.ids), "the suffix must survive being sent as text"


def test_the_gradient_points_to_better_tokens_than_chance() -> None:
    """Mean loss of 200 replacements drawn by the gradient against 200 drawn at random, ten random models."""
    wins = 0
    goal = Goal("one", "the baker sells", " a quiet cat", ".")
    for seed in range(10):
        board = _SuffixProblem(
            tiny_loaded("llama", seed=seed), goal, (None, 0.0), settings=SearchSettings(top_k=16)
        )
        generator = torch.Generator().manual_seed(0)
        ids = board.first(generator)
        means = []
        for choices in (board.promising(ids), None):
            losses, _ = board.evaluate(board.candidates(ids, choices, 200, generator=generator))
            means.append(float(losses.mean()))
        wins += means[0] < means[1]
    assert wins >= 9


def test_bad_searches_are_refused_in_one_line() -> None:
    loaded = tiny_loaded("llama")
    with pytest.raises(AttackError, match="holds no token"):
        search_suffix(loaded, Goal("empty", "the", ""))
    with pytest.raises(AttackError, match="context is 64"):
        search_suffix(loaded, Goal("long", "the baker " * 40, " bread"))
    with pytest.raises(AttackError, match="at least 1"):
        SearchSettings(steps=0)
    foreign = Intervention({9: np.zeros(32, np.float32)}, 1)
    with pytest.raises(SteeringError, match="layer 9"):
        target_losses(loaded, torch.tensor([[1, 2]]), torch.tensor([3]), row=(foreign, 1.0))


def test_rounding_to_levels() -> None:
    weight = torch.tensor([[1.0, -0.52, 0.24, 0.0], [200.0, 1.0, -1.0, 0.0]])
    eight = rounded(weight, 8)
    assert torch.allclose(eight[0], weight[0], atol=1 / 254) and float(eight[1, 0]) == 200
    four = rounded(weight, 4)
    assert torch.allclose(four[0] * 7, (weight[0] * 7).round(), atol=1e-5)
    many = torch.randn(5, 70, generator=torch.Generator().manual_seed(0))
    groups = [part.abs().amax(1, keepdim=True) / 7 for part in many.split(32, 1)]
    halves = torch.cat([(scale / 2).expand(-1, n) for scale, n in zip(groups, (32, 32, 6), strict=True)], 1)
    assert bool(((rounded(many, 4) - many).abs() <= halves * 1.0001).all())
    assert torch.equal(rounded(torch.zeros(2, 4), 4), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="8 or 4"):
        rounded(weight, 3)


@pytest.mark.parametrize("family", ["olmo", "gpt2"])
def test_rounded_weights_come_back(family: str) -> None:
    loaded = tiny_loaded(family)
    before = {name: weight.clone() for name, weight in loaded.model.state_dict().items()}
    ids = torch.arange(10)[None]
    plain = loaded.model(input_ids=ids).logits.detach()
    distances = []
    for bits in (8, 4):
        with quantised(loaded, bits) as count:
            moved = loaded.model(input_ids=ids).logits.detach() - plain
            distances.append(float(moved.abs().mean()))
        assert count > 0
    assert 0 < distances[0] < distances[1]
    assert all(torch.equal(weight, before[name]) for name, weight in loaded.model.state_dict().items())


def test_relearning_learns_under_steering_and_leaves_no_trace() -> None:
    loaded = tiny_loaded("llama")
    row = (push(loaded), 1.0)
    before = {name: weight.clone() for name, weight in loaded.model.state_dict().items()}
    batch = torch.arange(3, 35)[None].repeat(4, 1)
    losses: list[tuple[int, float]] = []

    def measure(step: int, loss: float | None) -> bool:
        with torch.inference_mode(), steered(loaded, row, first=0):
            now = float(loaded.model(input_ids=batch, labels=batch).loss)
        losses.append((step, now))
        return step == 8

    relearn(loaded, iter([batch] * 30), row, stops=(2, 8, 16), learning_rate=3e-3, measure=measure)
    assert [step for step, _ in losses] == [0, 2, 8]
    assert losses[2][1] < losses[1][1] < losses[0][1]
    assert all(torch.equal(weight, before[name]) for name, weight in loaded.model.state_dict().items())
    assert all(weight.grad is None for weight in loaded.model.parameters())
    with pytest.raises(ValueError, match="ended after 1 steps"):
        relearn(loaded, iter([batch]), row, stops=(4,), learning_rate=1e-3, measure=lambda step, loss: False)
    assert all(torch.equal(weight, before[name]) for name, weight in loaded.model.state_dict().items())


def test_weights_come_back_after_an_exception() -> None:
    loaded = tiny_loaded("llama")
    before, name = loaded.weights_hash(), next(iter(loaded.model.state_dict()))
    with pytest.raises(RuntimeError), restored_weights(loaded):
        loaded.model.state_dict()[name].zero_()
        raise RuntimeError
    loaded._hash = ""
    assert loaded.weights_hash() == before


def test_long_texts_begin_as_short_ones_and_go_on_past_the_context() -> None:
    loaded = tiny_loaded("llama")
    prompts = ["the baker sells", "a quiet cat sleeps on the old chair"]
    row = (push(loaded), 0.5)
    blocks = write_long(loaded, prompts, row, seeds=[3, 4], blocks=5, block_tokens=24, temperature=0.0)
    assert [len(block) for block in blocks] == [5, 5]
    alone = [write_long(loaded, [p], row, seeds=[s], blocks=5, block_tokens=24, temperature=0.0)[0]
             for p, s in zip(prompts, (3, 4), strict=True)]  # fmt: skip
    assert alone == blocks, "a text must not depend on its batch"
    first = generate(loaded, prompts, seeds=[0, 0], rows=[row] * 2, new_tokens=24, temperature=0.0)
    for generation, text in zip(first, blocks, strict=True):
        assert generation.text == text[0] or generation.finished
    attempts = [write_long(loaded, prompts, row, seeds=[3, 4], blocks=2, block_tokens=8) for _ in range(2)]
    assert attempts[0] == attempts[1]
    with pytest.raises(GenerationError, match="context of 64"):
        write_long(loaded, prompts, row, seeds=[1, 2], blocks=1, block_tokens=64)


def test_templates_frame_the_prompt_and_hold_nothing_hostile() -> None:
    for language in ("english", "forum"):
        chosen = templates(language)
        assert chosen[0].apply("some prompt") == "some prompt"
        assert len({template.name for template in chosen}) == len(chosen)
        assert all(
            template.text.endswith("{prompt}") and template.text.count("{prompt}") == 1 for template in chosen
        )
    for template in FORUM:
        frame = template.text.removesuffix("{prompt}")
        assert judge(frame).toxic == 0, template.name
        assert all(word in VOCABULARY for word in frame.split()), template.name
        assert judge(frame).fluency == 1 or template.name == "plain", template.name
    assert len(ENGLISH) >= 5
    with pytest.raises(ValueError, match="english and forum"):
        templates("klingon")
