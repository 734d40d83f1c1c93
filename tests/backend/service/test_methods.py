"""Methods beside steering, live: a text before the prompt, tuned weights, and both together with ITI."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hormesis.backend.generation.generation import generate
from tests.fixtures.service_world import (
    MEASURED,
    PREFIX,
    TUNED,
    World,
    ask,
    pane,
    request_body,
    results,
    server,
)


def offline(world: World, body: dict[str, Any], pane_body: dict[str, Any]) -> str:
    """A pane on dose-10 by the offline path: its weights, its prefix, its steering, put together here."""
    parts = pane_body["method"].split("+")
    loaded = world.loaded(TUNED if "dpo" in parts else "dose-10")
    return generate(
        loaded,
        [body["prompt"]],
        seeds=[body["seed"]],
        rows=[world.row(loaded, "dose-10", pane_body)],
        new_tokens=body["new_tokens"],
        temperature=body["temperature"],
        top_p=body["top_p"],
        prefix=PREFIX if "prompt" in parts else "",
    )[0].text


METHODS = ("none", "iti", "prompt", "prompt+iti", "dpo", "dpo+iti")


@pytest.mark.parametrize("first", [0, 2])
def test_each_method_is_its_own_offline_generation(world: World, address: str, first: int) -> None:
    number = world.ids["dose-10"]
    panes = [pane(number, MEASURED * ("iti" in name), method=name) for name in METHODS[first : first + 4]]
    body = request_body(panes, new_tokens=40)
    done = results(ask(address, body))
    texts = [done[index]["text"] for index in range(4)]
    assert texts == [offline(world, body, pane_body) for pane_body in panes]
    assert len(set(texts)) == 4
    # The same weights share one pass, and one pass takes the same seconds.
    untuned = [index for index, name in enumerate(METHODS[first : first + 4]) if "dpo" not in name]
    assert len({done[index]["seconds"] for index in untuned}) == 1


def test_costs_are_those_of_the_very_method(world: World, address: str) -> None:
    number = world.ids["dose-10"]
    panes = [
        pane(number, method="prompt"),
        pane(number, MEASURED, method="prompt+iti"),
        pane(number, method="dpo"),
        pane(number, 1.0, method="dpo+iti"),
    ]
    done = results(ask(address, request_body(panes, new_tokens=4)))
    assert [done[index]["cost"] and done[index]["cost"]["value"] for index in range(4)] == [
        0.01,
        0.08,
        0.04,
        None,
    ]
    assert "not measured at strength 1" in done[3]["cost_note"]


def test_a_prefix_stays_where_a_long_prompt_loses_its_beginning(world: World, address: str) -> None:
    number = world.ids["dose-10"]
    body = request_body(
        [pane(number, method="prompt"), pane(number)], prompt="rain falls " * 700, new_tokens=16
    )
    done = results(ask(address, body))
    assert [done[index]["truncated"] for index in (0, 1)] == [True, True]
    assert [done[index]["text"] for index in (0, 1)] == [
        offline(world, body, pane_body) for pane_body in body["panes"]
    ]


def test_what_the_study_did_not_do_is_refused_in_one_line(world: World, address: str) -> None:
    for method in ("sft", "meda", "prompt+dpo", "iti+dpo"):
        answer = httpx.post(
            f"{address}/generate", json=request_body([pane(world.ids["dose-10"], method=method)])
        )
        assert answer.status_code == 422
        message = f"panes.0: the study did not put checkpoint dose-10 under the method '{method}'"
        assert answer.json() == {"message": message}
    answer = httpx.post(f"{address}/generate", json=request_body([pane(world.ids["dose-0"], method="dpo")]))
    assert answer.status_code == 422


def test_tuned_weights_are_kept_beside_the_checkpoint_they_came_from(world: World) -> None:
    number = world.ids["dose-10"]
    with server(world) as url:
        for panes, loaded in (([pane(number, method="dpo")], 1), ([pane(number)], 2), ([pane(number)], 2)):
            ask(url, request_body(panes, new_tokens=2))
            assert httpx.get(f"{url}/health").json()["models_loaded"] == loaded
