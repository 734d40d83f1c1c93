"""Settings of the live page: a link and a request as JSON say every control, and only what fits is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import streamlit as st

from hormesis.dashboard.app_pages.steer.catalogue import Offer
from hormesis.dashboard.app_pages.steer.links import link, read
from hormesis.dashboard.app_pages.steer.settings import (
    LoadProblem,
    PaneSettings,
    SessionSettings,
    now,
    pane_name,
    put_back,
    request_of,
)
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
    study="forum", kind="toxic", share=0.1, seed=0, loaded=False, n_layers=3, n_heads=4, heads_selected=5,
    directions=["mass_mean", "probe"], controls=[0, 1], methods=METHODS,
)  # fmt: skip
PLAIN = PaneSettings(model=OFFER.label, method=NONE)
STEERED = PaneSettings(OFFER.label, "iti", 3.5, 4, ("L0H1", "L2H3"), "probe", "all")
CONTROL = PaneSettings(model=OFFER.label, method="random-direction", strength=2.0, heads=5, control=1)
SETTINGS = SessionSettings((PLAIN, STEERED, CONTROL), "the baker & co", 64, 0.7, 0.95, 11)


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
    assert (state["panes"], state["length"], state["seed"]) == (2, 40, 0)
    assert (state["method1"], state["method2"]) == (NONE, "iti")
    assert state["picked2"] == [] and state["heads2"] == 5


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
