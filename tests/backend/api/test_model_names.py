"""Names of models: each leads to one stored condition and back, and a wrong one hears what is near."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, create_engine, text

from hormesis.backend.api.model_names import (
    AmbiguousName,
    UnknownName,
    checkpoint_of_name,
    model_names,
    model_of_name,
    short_key,
)
from hormesis.db.engine import open_reader, reading
from tests.fixtures.service_world import World

T = TypeVar("T")


def ask(url: str, question: Callable[[Connection], T]) -> T:
    return reading(open_reader(url), question)


@pytest.mark.parametrize(
    ("key", "short"),
    [
        ("iti/mass_mean/cost-0.06", "iti+0.06"),
        ("iti/mass_mean/fixed-2", "iti@2"),
        ("iti/probe/cost-0.06", "iti/probe+0.06"),
        ("iti/second/cost-0.02", "iti/second+0.02"),
        ("dpo+iti/mass_mean/cost-0.06", "dpo+iti+0.06"),
        ("random-3/cost-0.06", "random-3+0.06"),
        ("prompt+sft", "prompt+sft"),
        ("none", "none"),
    ],
)
def test_keys_are_shortened(key: str, short: str) -> None:
    assert short_key(key) == short


def test_every_name_leads_to_its_condition_and_back(world: World, small_database: Path) -> None:
    for url in (world.url, f"sqlite:///{small_database}"):
        names = ask(url, model_names)
        assert len({name.id for name in names}) == len(names)
        for name in names[:40]:
            assert {ask(url, lambda c, alias=alias: model_of_name(c, alias)) for alias in name.aliases} == {
                name
            }
    listed = [name.id for name in ask(world.url, model_names)]
    assert {"forum/dose-10", "forum/dose-10:iti@2", "forum/dose-10:dpo+iti+0.09", "real/real"} <= set(listed)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("dose10", "near: forum/dose-10"),
        ("forum/dose-10:iti@3", "near: forum/dose-10:iti@2"),
        ("forum/dose-10:prompt+iti+0.8", "forum/dose-10:prompt+iti+0.08"),
        ("x" * 300, "GET /v1/models lists the names"),
        ("a\n\nb", "no model 'a b'; GET /v1/models lists the names"),
    ],
)
def test_a_wrong_name_hears_what_is_near(world: World, wrong: str, near: str) -> None:
    with pytest.raises(UnknownName) as refusal:
        ask(world.url, lambda connection: model_of_name(connection, wrong))
    assert near in str(refusal.value) and len(str(refusal.value)) < 400
    with pytest.raises(UnknownName):
        ask(world.url, lambda connection: checkpoint_of_name(connection, "forum/dose-10:dpo"))


def test_a_name_of_two_studies_needs_the_study(world: World, tmp_path: Path) -> None:
    path = tmp_path / "two.sqlite"
    shutil.copy(world.home / "study.sqlite", path)
    with create_engine(f"sqlite:///{path}").begin() as connection:
        connection.execute(text("update checkpoint set name = 'dose-0' where name = 'real'"))
    url = f"sqlite:///{path}"
    with pytest.raises(AmbiguousName, match=r"name the study too: forum/dose-0, real/dose-0$"):
        ask(url, lambda connection: checkpoint_of_name(connection, "dose-0"))
    number = world.ids["real"]
    assert ask(url, lambda connection: checkpoint_of_name(connection, "real/dose-0")) == number
    with create_engine(url).begin() as connection:
        connection.execute(text("update study set name = 'forum'"))
    with pytest.raises(AmbiguousName, match=r"a{16}/dose-0, b{16}/dose-0"):
        ask(url, lambda connection: checkpoint_of_name(connection, "forum/dose-0"))
    assert ask(url, lambda connection: checkpoint_of_name(connection, "b" * 16 + "/dose-0")) == number
