"""Several continuations of a pane: their seeds, their means, what was steered, and why nothing changed."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F

from hormesis.backend.generation.generation import Continuation, generate
from hormesis.backend.generation.streaming import stream
from hormesis.backend.model.steering import HeadDirection, RowSteering, iti, moves_anything, steered_positions
from hormesis.backend.scorers.sample_means import mean_difference, mean_of
from hormesis.backend.service.catalogue import Catalogue
from hormesis.backend.service.pane_summary import ScoredText, summarise
from hormesis.backend.service.passes import MOST_ROWS
from hormesis.backend.service.plans import plan_panes
from hormesis.db.contract.messages import Pane
from tests.fixtures.service_world import (
    MATCHED,
    MATCHED_RANDOM,
    MEASURED,
    World,
    ask,
    pane,
    request_body,
    results,
    summaries,
)

SAMPLES = MOST_ROWS // 2 + 1
"""With two panes one more than fit one pass."""


def texts_of(stream: list[Any], index: int) -> list[str]:
    done = [data for name, data in stream if name == "done" and data["pane"] == index]
    assert [data["sample"] for data in done] == list(range(len(done)))
    return [data["text"] for data in done]


def test_each_continuation_is_its_own_offline_one_and_panes_share_the_seeds(
    world: World, address: str
) -> None:
    number = world.ids["dose-10"]
    body = request_body([pane(number), pane(number, MEASURED)], samples=SAMPLES)
    heard = ask(address, body)
    loaded = world.loaded("dose-10")
    for index, pane_body in enumerate(body["panes"]):
        alone = generate(
            loaded,
            [body["prompt"]] * SAMPLES,
            seeds=[body["seed"] + sample for sample in range(SAMPLES)],
            rows=[world.row(loaded, "dose-10", pane_body)] * SAMPLES,
            new_tokens=body["new_tokens"],
            temperature=body["temperature"],
            top_p=body["top_p"],
        )
        assert texts_of(heard, index) == [text.text for text in alone]
        pieces = [
            data for name, data in heard if name == "token" and (data["pane"], data["sample"]) == (index, 3)
        ]
        assert "".join(piece["text"] for piece in pieces) == alone[3].text
    # Asked for one, the same first text comes.
    assert results(ask(address, body | {"samples": 1}))[1]["text"] == texts_of(heard, 1)[0]


def test_a_summary_is_made_of_the_scores_that_were_told(world: World, address: str) -> None:
    number = world.ids["dose-10"]
    heard = ask(address, request_body([pane(number), pane(number, MEASURED)], samples=8))
    summary = summaries(heard)
    for name in ("forum", "forum-fluency"):
        scores = [
            [data["scores"][name] for event, data in heard if event == "done" and data["pane"] == index]
            for index in range(2)
        ]
        for index, values in enumerate(scores):
            mean = mean_of(values)
            assert mean is not None and summary[index]["scores"][name] == mean.model_dump()
        difference = mean_difference(scores[1], scores[0])
        assert difference is not None and summary[1]["differences"][name] == difference.model_dump()
    assert summary[0]["differences"] == {} and [summary[index]["n"] for index in range(2)] == [8, 8]


def test_empty_texts_are_counted(world: World) -> None:
    checkpoint = world.ids["dose-10"]
    catalogue = Catalogue(world.url)
    plans = plan_panes(catalogue, [Pane(checkpoint_id=checkpoint)])
    catalogue.close()
    texts = [
        ScoredText(Continuation(text, tokens=1, finished=True), {"forum": score})
        for text, score in (("", None), (" \n", None), ("the baker", 0.5), (".", 0.0))
    ]
    summary = summarise(0, plans[0], (None, 0.0), texts=texts, first=texts, unsteered=None)
    assert (summary.n, summary.empty) == (4, 2)
    assert (summary.scores["forum"].value, summary.scores["forum"].n) == (0.25, 2)


def test_means_and_differences_are_student_s() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.uniform(0.2, 0.8, 8), rng.uniform(0.2, 0.8, 8)
    mean, difference = mean_of(list(before)), mean_difference(list(after), list(before))
    for estimate, values in ((mean, before), (difference, after - before)):
        half = scipy.stats.t.ppf(0.975, 7) * scipy.stats.sem(values)
        assert estimate is not None and estimate.n == 8
        ends = values.mean(), values.mean() - half, values.mean() + half
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx(ends)
    assert difference is not None and "paired by seed" in difference.interval


def test_means_of_few() -> None:
    assert mean_of([None, None]) is None
    single = mean_of([0.4, None])
    assert single is not None and (single.value, single.low, single.n) == (0.4, None, 1)
    # Eight times nothing is not certainly nothing: at most 1 - .025 ** (1 / 8) of all texts differ.
    agreed = mean_of([0.0] * 8)
    assert agreed is not None and (agreed.low, agreed.high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 8)))
    wide = mean_of([0.0, 0.0, 0.0, 1.0])
    assert wide is not None and (wide.low, wide.high) == (0.0, 1.0)
    half = mean_difference([0.5, 1.0, None], [0.5, None, 0.0])
    assert half is not None and half.n == 1 and half.value == 0.0


def test_the_interval_of_few_covers_the_mean_as_often_as_it_says() -> None:
    """Beta(2, 2) scores, eight a time: 95 % within three standard errors; a percentile bootstrap has 90 %."""
    draws = np.random.default_rng(0).beta(2, 2, size=(1500, 8))
    means = [mean_of(list(row)) for row in draws]
    covered = np.mean([mean is not None and mean.low <= 0.5 <= mean.high for mean in means])  # type: ignore[operator]
    assert abs(covered - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 1500)


@pytest.mark.parametrize("scope", ["generated", "all"])
def test_counted_positions_are_those_that_the_model_saw_moved(world: World, scope: str) -> None:
    loaded = world.loaded("dose-10")
    row = world.row(loaded, "dose-10", pane(world.ids["dose-10"], 3.0, scope=scope))
    layer = min(row[0].shifts)  # type: ignore[union-attr]
    site = next(site for site in loaded.sites if site.layer == layer)
    before: list[torch.Tensor] = []
    moved: list[int] = []
    # Registered before the steering, so it sees what that is given; the hook behind sees what came of it,
    # whether the input was moved or a bias was added.
    module = loaded.model.get_submodule(site.module)
    weight, bias = module.weight, module.bias
    handles = [
        module.register_forward_pre_hook(lambda _, args: before.append(args[0].detach().clone())),
        module.register_forward_hook(
            lambda _, __, output: moved.append(
                int((output != F.linear(before[-1], weight, bias)).any(-1).sum())
            )
        ),
    ]
    try:
        text = stream(loaded, [("the baker sells", row, 3)], lambda *_: None, new_tokens=12, temperature=1.0)[
            0
        ]
    finally:
        for handle in handles:
            handle.remove()

    def count(row: RowSteering) -> int:
        n_drawn = text.tokens + text.finished
        return steered_positions(row, prompt_tokens=text.prompt_tokens, drawn_tokens=n_drawn)

    assert count(row) == sum(moved) > 12 * (scope == "all")
    assert count((row[0], 0.0)) == count((None, 0.0)) == 0


def test_what_was_steered_is_counted(world: World, address: str) -> None:
    number = world.ids["dose-10"]
    panes = [
        pane(number),
        pane(number, 9.0),
        pane(number, 9.0, heads=2, scope="all"),
        pane(number, method="prompt"),
    ]
    heard = ask(address, request_body(panes, samples=3))
    summary = summaries(heard)
    done = [[data for name, data in heard if name == "done" and data["pane"] == index] for index in range(4)]
    n_drawn = [sum(text["tokens"] + text["finished"] for text in texts) for texts in done]
    assert [summary[index]["heads"] for index in range(4)] == [0, 4, 2, 0]
    assert [summary[index]["strength"] for index in range(4)] == [0.0, 9.0, 9.0, 0.0]
    assert [summary[index]["positions"] for index in (0, 1, 3)] == [0, n_drawn[1], 0]
    prompt = len(world.loaded("dose-10").tokenizer("the baker sells")["input_ids"])
    assert summary[2]["positions"] == n_drawn[2] + 3 * (prompt - 1)
    assert [summary[index]["unchanged"] for index in (0, 3)] == [None, None]
    assert summary[1]["unchanged"] < 3 and summary[1]["note"] == ""


def test_a_steering_that_changed_nothing_says_why(world: World, address: str) -> None:
    number = world.ids["dose-10"]
    panes = [
        pane(number),
        pane(number, 1e-6),
        pane(number, 0.0, method="iti"),
        pane(number, head_vectors=[{"layer": 0, "head": 0, "vector": [0.0] * 8}]),
    ]
    summary = summaries(ask(address, request_body(panes, samples=2)))
    assert [summary[index]["unchanged"] for index in range(4)] == [None, 2, 2, 2]
    assert summary[1]["note"] == "strength 1e-06 is too small for another token to be drawn from these seeds"
    assert summary[2]["note"] == "strength 0 moves nothing" and summary[2]["positions"] == 0
    assert "shift is zero" in summary[3]["note"]
    # Its directions were found in the checkpoint, its weights were tuned afterwards.
    tuned = [pane(number, method="dpo"), pane(number, 1e-6, method="dpo+iti")]
    note = summaries(ask(address, request_body(tuned)))[1]["note"]
    assert "too small" in note and note.endswith("its directions were found in another model, dose-10")
    # Without an unsteered pane of the same weights there is nothing to compare with.
    alone = summaries(ask(address, request_body([pane(number, method="dpo"), pane(number, 1e-6)])))
    assert (alone[1]["unchanged"], alone[1]["note"]) == (None, "")


def test_directions_without_spread_move_nothing(world: World) -> None:
    loaded = world.loaded("dose-10")
    direction = HeadDirection(0, 0, np.eye(8, dtype=np.float32)[0], sigma=0.0)
    assert not moves_anything((iti(loaded.sites, [direction]), 5.0))


def test_a_matched_cost_stands_for_the_strength_that_the_study_found(world: World, address: str) -> None:
    number = world.ids["dose-0"]
    panes = [pane(number), *(pane(number, method="iti", matched_cost=cost) for cost in MATCHED)]
    heard = ask(address, request_body(panes))
    summary, done = summaries(heard), results(heard)
    assert [summary[index]["strength"] for index in (1, 2, 3)] == list(MATCHED.values())
    explicit = [pane(number), *(pane(number, strength) for strength in MATCHED.values())]
    again = results(ask(address, request_body(explicit)))
    for index, cost in enumerate(MATCHED, 1):
        assert done[index]["text"] == again[index]["text"]
        assert done[index]["cost"]["value"] == again[index]["cost"]["value"] == cost
    # Stronger than a request may ask for by itself.
    random = pane(number, method="random-direction", control=0, matched_cost=0.06)
    assert summaries(ask(address, request_body([random])))[0]["strength"] == MATCHED_RANDOM
    rows = {row["name"]: row for row in httpx.get(f"{address}/models").json()}
    listed = [
        (row["matched_cost"], row["strength"]) for row in rows["dose-0"]["measured"] if row["method"] == "iti"
    ]
    assert listed == list(MATCHED.items())


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"method": "iti", "matched_cost": 0.3}, "costs it matched: 0.02, 0.06, 0.15"),
        ({"method": "iti", "matched_cost": 3.0}, "no strength up to 64 reached a cost of 3 nats"),
        ({"method": "iti", "matched_cost": 0.06, "direction": "probe"}, "costs it matched: none"),
        ({"method": "iti", "matched_cost": 0.06, "scope": "all"}, "(all); costs it matched: none"),
        ({"method": "iti", "matched_cost": 0.06, "strength": 2.0}, "leave those out"),
        ({"method": "iti", "matched_cost": 0.06, "heads": 3}, "leave those out"),
        ({"method": "none", "matched_cost": 0.06}, "matched_cost belongs to methods that steer"),
    ],
)
def test_costs_that_were_not_matched_are_refused(
    world: World, address: str, more: dict[str, Any], part: str
) -> None:
    answer = httpx.post(f"{address}/generate", json=request_body([pane(world.ids["dose-0"]) | more]))
    assert answer.status_code == 422 and part in answer.json()["message"]
    assert "\n" not in answer.json()["message"]


@pytest.mark.parametrize("samples", [0, 17, 1.5])
def test_the_number_of_continuations_has_bounds(world: World, address: str, samples: float) -> None:
    answer = httpx.post(
        f"{address}/generate", json=request_body([pane(world.ids["dose-0"])], samples=samples)
    )
    assert answer.status_code == 422 and answer.json()["message"].startswith("samples: ")
