"""Settings of the live page: a link and a request as JSON say every control, and only what fits is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import streamlit as st

from hormesis.dashboard.app_pages.steer.catalogue import Offer
from hormesis.dashboard.app_pages.steer.defaults import default_offer, steps_of
from hormesis.dashboard.app_pages.steer.links import link, read
from hormesis.dashboard.app_pages.steer.restore import put_back
from hormesis.dashboard.app_pages.steer.settings import (
    SIGMAS,
    LoadProblem,
    PaneSettings,
    SessionSettings,
    cost_line,
    now,
    pane_name,
    request_of,
)
from hormesis.db.contract.measured import Cost, MeasuredSteering
from hormesis.db.contract.messages import MethodInfo
from hormesis.db.contract.methods import NONE

METHODS = [
    MethodInfo(name=NONE, title="Unsteered", settings=[], prefix=""),
    MethodInfo(name="iti", title="ITI", settings=["strength", "heads", "direction", "scope"], prefix=""),
    MethodInfo(
        name="random-direction",
        title="Random directions",
        settings=["strength", "heads", "scope", "control"],
        prefix="",
    ),
]
OFFER = Offer(
    checkpoint_id=7, label="10 % toxic, seed 0", is_of_study=True, name="toxic-10-s0", study_id=1,
    study="forum", kind="toxic", share=0.1, seed=0, loaded=False, n_layers=3,
    heads_by_layer={0: 4, 1: 4, 2: 4}, heads_selected=5, directions=["mass_mean", "probe"], controls=[0, 1],
    methods=METHODS, measured=[],
)  # fmt: skip


def steering(strength: float, cost: float | None, method: str = "iti", **more: Any) -> MeasuredSteering:
    """A condition of the study at a matched cost, or at a strength of its own."""
    measured = Cost(value=cost or 0.004, low=0.003, high=0.2, source="test")
    columns = {"direction": "mass_mean", "control": None, "heads": 5, "scope": "generated"} | more
    return MeasuredSteering(method=method, strength=strength, matched_cost=cost, cost=measured, **columns)


COSTS = {0.02: 6.6, 0.06: 8.9, 0.15: 10.7}
MATCHED = OFFER.model_copy(
    update={
        "measured": [
            steering(1.0, None),
            *(steering(strength, cost) for cost, strength in COSTS.items()),
            steering(70.0, 0.06, "random-direction", direction="random-1", control=1),
        ]
    }
)
PLAIN = PaneSettings(model=OFFER.label, method=NONE)
STEERED = PaneSettings(OFFER.label, "iti", 3.5, 4, ("L0H1", "L2H3"), "probe", "all")
CONTROL = PaneSettings(model=OFFER.label, method="random-direction", strength=2.0, heads=5, control=1)
SETTINGS = SessionSettings((PLAIN, STEERED, CONTROL), "the baker & co", 64, 0.7, 0.95, 11, 8)
AT_COST = PaneSettings(OFFER.label, "iti", cost=0.06, direction="mass_mean", scope="generated")
RANDOM_AT_COST = PaneSettings(OFFER.label, "random-direction", cost=0.06, control=1)


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    values: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", values)
    yield values


def test_a_link_restores_every_control_that_a_method_heeds() -> None:
    address = link("http://host:1/steer?old=1", "forum", SETTINGS, offers=[OFFER])
    assert address.startswith("http://host:1/steer?study=forum&") and "method2=ITI" in address
    assert "picked2=L0H1&picked2=L2H3" in address and "scope2=All+positions" in address
    put_back(read(address, [OFFER]), [OFFER])
    assert request_of(now(3), [OFFER]) == request_of(SETTINGS, [OFFER])
    assert now(3).panes[1] == replace(STEERED, control=0)


def test_a_request_as_json_comes_back_as_it_was() -> None:
    request = request_of(SETTINGS, [OFFER])
    put_back(read(json.dumps(request.model_dump(mode="json")), [OFFER]), [OFFER])
    assert request_of(now(3), [OFFER]) == request


def test_what_a_link_does_not_say_goes_to_its_default(state: dict[str, Any]) -> None:
    put_back(read("?prompt=hello", [OFFER]), [OFFER])
    assert (state["panes"], state["length"], state["seed"], state["texts"]) == (4, 40, 0, 1)
    assert [state[f"method{number}"] for number in range(1, 5)] == [NONE, "iti", "iti", "iti"]
    assert [state[f"strength{number}"] for number in range(2, 5)] == [2.0, 4.0, 8.0]
    assert state["picked2"] == [] and state["heads2"] == 5


def test_without_a_word_panes_stand_at_the_costs_that_were_matched(state: dict[str, Any]) -> None:
    put_back(read("?prompt=hello", [MATCHED]), [MATCHED])
    assert [state.get(f"cost{number}") for number in range(1, 5)] == [SIGMAS, 0.02, 0.06, 0.15]
    request = request_of(now(4), [MATCHED])
    assert [pane.matched_cost for pane in request.panes] == [None, 0.02, 0.06, 0.15]
    # A strength, heads or positions of one's own are not overruled by a cost.
    put_back(read("?strength2=3.5&picked3=L0H1", [MATCHED]), [MATCHED])
    panes = request_of(now(4), [MATCHED]).panes
    assert [(pane.matched_cost, pane.strength) for pane in panes[1:]] == [
        (None, 3.5),
        (None, 2.0),
        (0.15, 0.0),
    ]


@pytest.mark.parametrize("settings", [AT_COST, RANDOM_AT_COST])
def test_a_matched_cost_goes_into_link_and_json_and_comes_back(
    settings: PaneSettings, state: dict[str, Any]
) -> None:
    session = SessionSettings((PLAIN, settings), "hello", texts=4)
    request = request_of(session, [MATCHED])
    assert (request.samples, request.panes[1].matched_cost, request.panes[1].heads) == (4, 0.06, None)
    address = link("http://host/steer", "forum", session, offers=[MATCHED])
    assert "cost2=%2B0.06+nats" in address and "texts=4+texts+each" in address and "sigmas" not in address
    for text in (address, json.dumps(request.model_dump(mode="json"))):
        # Whatever stood there before.
        state |= {"strength2": 3.0, "heads2": 2, "picked2": ["L0H0"]}
        put_back(read(text, [MATCHED]), [MATCHED])
        assert request_of(now(2), [MATCHED]) == request


def test_steps_are_costs_else_measured_strengths_else_round_ones() -> None:
    steps = steps_of(MATCHED)
    assert (steps.count, steps.note) == (4, "")
    assert [pane.cost for pane in steps.panes] == [None, 0.02, 0.06, 0.15]
    many = [steering(float(place), place / 100) for place in range(1, 8)]
    spread = steps_of(OFFER.model_copy(update={"measured": many}))
    assert [pane.cost for pane in spread.panes] == [None, 0.01, 0.04, 0.07]
    fixed = steps_of(OFFER.model_copy(update={"measured": [steering(1.0, None), steering(3.0, None)]}))
    assert fixed.count == 3 and "that were measured: 1, 3" in fixed.note
    assert [pane.strength for pane in fixed.panes] == [None, 1.0, 3.0, 6.0]
    usual = steps_of(OFFER)
    assert usual.count == 4 and "of which none was measured: 2, 4, 8" in usual.note
    plain = steps_of(OFFER.model_copy(update={"methods": METHODS[:1]}))
    assert [pane.method for pane in plain.panes] == [NONE] * 4 and plain.count == 1
    assert "nothing can be steered" in plain.note


def test_panes_begin_with_the_study_on_show_then_with_an_imported_model() -> None:
    other = OFFER.model_copy(update={"is_of_study": False, "share": 0.5})
    imported = other.model_copy(update={"kind": "imported", "share": None})
    untold = OFFER.model_copy(update={"methods": OFFER.methods[:1]})
    assert default_offer([other, OFFER, imported]) is OFFER
    assert default_offer([untold, other, imported]) is imported
    assert default_offer([untold, other]) is other
    assert default_offer([untold]) is untold


def test_the_cost_of_a_pane_is_the_measured_one_or_none() -> None:
    near = PaneSettings(OFFER.label, "iti", strength=1.0, heads=5, direction="mass_mean", scope="generated")
    lines = {
        PLAIN: "Costs are measured against this",
        AT_COST: "Strength 8.9, cost 0.060 [0.003, 0.200] nats",
        RANDOM_AT_COST: "Strength 70, cost 0.060 [0.003, 0.200] nats",
        near: "Cost 0.004 [0.003, 0.200] nats",
        replace(near, strength=1.5): "Cost not measured",
        replace(near, heads=4): "Cost not measured",
        replace(near, scope="all"): "Cost not measured",
        replace(near, direction="probe"): "Cost not measured",
        replace(near, picked=("L0H0",)): "Cost not measured",
    }
    assert {pane: cost_line(pane, [MATCHED]) for pane in lines} == lines
    assert pane_name(AT_COST, [MATCHED]) == "10 % toxic, seed 0, ITI, +0.06 nats"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("?panes=9", "Panes must be a number from 1 to 4"),
        ("?panes=1000000000000", "Panes must be a number"),
        ("?heat=hot", "no number"),
        ("?length=7", "New tokens must be a number from 8 to 256"),
        ("?model1=other", "does not offer the checkpoint 'other'"),
        ("?method2=DPO", "Pane 2: 10 % toxic, seed 0 cannot be put under the method 'DPO'"),
        ("?heads1=13", "has 12 heads, not 13"),
        ("?picked1=L9H9", "has no head L9H9"),
        ("?scope2=nowhere", "has no scope 'nowhere'"),
        ("?prompt=" + "a" * 2001, "at most 2,000 characters"),
        ("?texts=3", "takes 1, 4, 8, 16 texts of each pane"),
        ("?texts=many", "no number"),
        ("?cost2=%2B0.06+nats", "no strength of 10 % toxic, seed 0 was matched to .0.06 nats"),
        ("?cost2=cheap", "no number"),
        ('{"panes": [{"checkpoint_id": 7, "method": "iti", "matched_cost": []}]}', "was matched to"),
        ("nothing of ours", "neither a link to this page nor a request"),
        ("{", "not valid JSON"),
        ('{"panes": 3}', "no list of panes"),
        ('{"panes": []}', "Panes must be a number"),
        ('{"panes": [{"checkpoint_id": 8}]}', "no checkpoint 8"),
        ('{"panes": [{"checkpoint_id": 7, "heads": [1]}]}', "names heads in a way"),
        ('{"panes": [{"checkpoint_id": 7}], "prompt": null}', "The prompt must be a text"),
        ('{"panes": [{"checkpoint_id": 7}], "seed": 1.5}', "Seed must be a number"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(
    state: dict[str, Any], text: str, problem: str
) -> None:
    with pytest.raises(LoadProblem, match=problem):
        put_back(read(text, [OFFER]), [OFFER])
    assert not state


def test_a_pane_in_words() -> None:
    names = [pane_name(pane, [OFFER]) for pane in SETTINGS.panes]
    assert names == [
        "10 % toxic, seed 0, unsteered",
        "10 % toxic, seed 0, ITI, strength 3.5, 2 picked heads",
        "10 % toxic, seed 0, Random directions 1, strength 2",
    ]
