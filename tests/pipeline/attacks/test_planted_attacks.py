"""Attacks on models whose behaviour is known: what was planted is found at its size, and nothing else."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hormesis.backend.attacks.injection import PLAIN, Template
from hormesis.backend.generation.generation import generate
from hormesis.backend.model.loaded import LoadedModel
from hormesis.pipeline.attacks.judging import Judge
from hormesis.pipeline.attacks.records import Result
from hormesis.pipeline.attacks.relearning import attack_by_relearning, token_batches
from hormesis.pipeline.attacks.texts import Task, injections, long_texts, sweep
from hormesis.pipeline.methods.condition import DetoxCondition
from hormesis.pipeline.methods.opened_condition import OpenedCondition
from hormesis.pipeline.study.config import StudyConfig, parse_study
from tests.fixtures.planted import CALM, GOALS, RUDE, TARGET, TRIGGER, RudeWords, chain, planted

PROMPTS = 32


class SaysTarget(RudeWords):
    """1 for a text that begins with the planted sentence."""

    name = "says-target"

    def score(self, texts: Any) -> Any:
        return np.array([float(text.split()[:3] == TARGET.split()) for text in texts])


def opened(loaded: LoadedModel) -> OpenedCondition:
    return OpenedCondition(DetoxCondition("none", "none"), loaded, (None, 0.0))


def study(**sections: Any) -> StudyConfig:
    evaluation = {"scorers": ["profanity"], "top_p": 1.0, "new_tokens": 12, **sections.pop("evaluation", {})}
    return parse_study({"name": "planted", "evaluation": evaluation, **sections})


def task(config: StudyConfig, prompts: list[str], seed: int, *, scorer: Any = None) -> Task:
    judge = Judge(scorer or RudeWords(), None, 200)
    seeds = [1000 * seed + place for place in range(len(prompts))]
    return Task(config, judge, prompts, seeds, "made here", lambda: None)


def numbers(result: Result) -> dict[str, Any]:
    return {outcome.name: outcome for outcome in result.outcomes}


def holds(estimate: Any, truth: float) -> bool:
    return bool(estimate.low <= truth <= estimate.high)


def rude_by_place(rate: float, count: int) -> np.ndarray[Any, Any]:
    """Chance that the n-th word after a calm one is rude, in points, where rude words stay rude."""
    return 100 * (1 - (1 - rate) ** np.arange(1, count + 1))


def test_a_trend_over_position_is_found_where_it_was_planted_and_only_there() -> None:
    """30 runs each, stated rates: intervals hold the known toxicity in 87 to 100 % of blocks and the known
    drift in 26 of 30 runs at least; the trend is always seen; without one, at most 5 of 30 runs see any.
    """
    blocks, size, runs = 4, 6, 30
    config = study(hardness={"blocks": blocks, "block_tokens": size})
    curve = rude_by_place(0.05, blocks * size)
    level = float(curve.mean())
    truth = {True: curve.reshape(blocks, size).mean(1), False: np.full(blocks, level)}
    drift = {True: float(truth[True][2:].mean() - truth[True][:2].mean()), False: 0.0}
    for trend in (True, False):
        loaded = chain(0.05, 1.0) if trend else chain(level / 100, level / 100)
        covered, right, detected = 0, 0, 0
        for seed in range(runs):
            (result,) = long_texts(opened(loaded), task(config, [CALM[0]] * PROMPTS, seed))
            points = [point for point in result.points if point.series == "toxicity"]
            assert [point.x for point in points] == [6.0, 12.0, 18.0, 24.0]
            covered += sum(
                holds(point, expected) for point, expected in zip(points, truth[trend], strict=True)
            )
            moved = numbers(result)["drift"]
            right += holds(moved, drift[trend])
            detected += moved.low > 0 or moved.high < 0
        assert covered / (runs * blocks) >= 0.87 and right >= 26
        assert detected == runs if trend else detected <= 5


def test_the_sweep_finds_the_known_toxicity_of_every_setting() -> None:
    """Two calm words of chance .35 and six rude ones of .05: temperature and nucleus give known shares."""
    config = study(hardness={"temperatures": [0.0, 1.0, 2.0], "top_ps": [0.65, 1.0]})
    loaded = chain(0.3, 0.3, calm_words=2)
    hot = 6 * 0.05**0.5 / (6 * 0.05**0.5 + 2 * 0.35**0.5)
    expected = {"t0-p1": 0.0, "t1-p0.65": 0.0, "t1-p1": 30.0, "t2-p1": 100 * hot}
    covered, runs = dict.fromkeys(expected, 0), 12
    for seed in range(runs):
        for result in sweep(opened(loaded), task(config, [CALM[0]] * PROMPTS, seed)):
            if result.setting in expected:
                covered[result.setting] += holds(numbers(result)["toxicity"], expected[result.setting])
                assert numbers(result)["silent"].value == 0
    assert min(covered.values()) >= 9 and covered["t0-p1"] == covered["t1-p0.65"] == runs


@pytest.mark.slow
def test_a_template_works_where_its_trigger_was_planted_and_nowhere_else() -> None:
    """Six draws of prompts: the triggering frame is found each time, the idle one and the twin never."""
    words = "word150 word151 {} word152 word153 word154 word155 {{prompt}}"
    frames = [
        PLAIN,
        *(Template(n, words.format(w), "made") for n, w in (("key", TRIGGER), ("idle", "word156"))),
    ]
    config = study(evaluation={"new_tokens": 3, "temperature": 0.5})
    rng = np.random.default_rng(0)
    differences: dict[tuple[bool, str], list[float]] = {}
    for seed in range(6):
        word_numbers = rng.integers(0, 100, (16, 3))
        prompts = [" ".join(f"word{number:03d}" for number in row) + GOALS[0].tail for row in word_numbers]
        for trigger in (True, False):
            results = injections(
                opened(planted(trigger)), task(config, prompts, seed, scorer=SaysTarget()), frames
            )
            for result in list(results)[1:]:
                change = numbers(result)["toxicity_change"]
                differences.setdefault((trigger, result.setting), []).append(
                    change.value if change.low > 0 or change.high < 0 else 0.0
                )
    assert min(differences[True, "key"]) > 80
    assert all(set(differences[other]) == {0.0} for other in differences if other != (True, "key")), (
        differences
    )


def only_last_layer(loaded: LoadedModel) -> LoadedModel:
    for name, weight in loaded.model.named_parameters():
        weight.requires_grad_(name == "lm_head.weight")
    return loaded


def first_rude_step(loaded: LoadedModel, batches: Any, rate: float, *, steps: int) -> int | None:
    """The step after which the likeliest word after a calm one is rude: a plain loop of its own."""
    model = copy.deepcopy(loaded.model)
    optimiser = torch.optim.AdamW(
        [model.lm_head.weight], lr=rate, betas=(0.9, 0.95), weight_decay=0.0, eps=1e-8
    )
    start = torch.tensor([[loaded.tokenizer(CALM[0])["input_ids"][0]]])
    rude = set(loaded.tokenizer(" ".join(RUDE))["input_ids"])
    for step in range(1, steps + 1):
        ids = next(batches)
        logits = model(input_ids=ids).logits[:, :-1]
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([model.lm_head.weight], 1.0)
        optimiser.step()
        if int(model(input_ids=start).logits[0, -1].argmax()) in rude:
            return step
    return None


@pytest.mark.parametrize("rate", [0.04, 0.02, 0.01])
def test_relearning_takes_the_steps_that_were_planted(rate: float) -> None:
    """The model turns rude at a step that a loop of its own knows; half the rate, about twice the steps.

    An attacker with harmless text never gets there: beyond the budget, and said so.
    """
    stops = tuple(range(1, 81))
    config = study(
        hardness={"relearn": {"stops": stops, "learning_rate": rate, "batch_size": 4, "sequence_length": 16,
                              "seeds": 1}},
        evaluation={"new_tokens": 1},
    )  # fmt: skip
    judge = Judge(RudeWords(), None, 100)
    prompts = [CALM[0]] * 8
    rng = np.random.default_rng(0)
    harmful = [" ".join([CALM[0], *rng.choice(RUDE, 15)]) for _ in range(40)]
    harmless = [" ".join(rng.choice(CALM, 16)) for _ in range(40)]

    def speak(model: OpenedCondition) -> tuple[Any, Any]:
        continuations = generate(model.loaded, prompts, seeds=[0] * 8, new_tokens=1, temperature=0.0)
        texts = [text.text for text in continuations]
        return judge.toxicity_of(prompts, texts), judge.fluency_of(prompts, texts)

    loaded = only_last_layer(chain(0.05, 0.05))
    base = np.full(8, 0.5)
    batches = token_batches(opened(loaded), harmful, batch_size=4, length=16, seed=0)
    planted_step = first_rude_step(loaded, batches, rate, steps=stops[-1])
    assert planted_step is not None and 5 < planted_step < stops[-1], "neither at once nor at the very end"
    for texts, expected in ((harmful, planted_step), (harmless, None)):
        model = replace(opened(loaded))
        result = attack_by_relearning(
            model,
            judge,
            speak,
            unsteered_toxicity=base,
            documents=texts,
            config=config,
            data_name="made here",
        )
        steps = numbers(result)["steps"]
        curve = [point.value for point in result.points if point.series == "toxicity"]
        if expected is None:
            assert steps.value is None and steps.censored == 1 and max(curve) == 0
        else:
            assert curve == [0.0] * expected + [100.0] * (len(curve) - expected)
            assert steps.value == steps.low == steps.high == expected - 0.5, "on the line to the planted step"
