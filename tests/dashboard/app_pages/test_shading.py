"""Tokens of statements from a real model service: whole texts, centred; nothing where it cannot answer."""

from __future__ import annotations

import pytest

from hormesis.dashboard.app_pages.geometry.shading import shades
from hormesis.dashboard.base.wording import Head
from tests.fixtures.service_world import World

TEXTS = ["the baker sells warm bread", "rain falls on the hill"]
pytestmark = pytest.mark.usefixtures("fresh_pages")


def test_tokens_are_the_text_and_their_projections_are_centred(
    world: World, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HORMESIS_SERVICE", address)
    shaded = shades(world.ids["dose-10"], Head(1, 2), TEXTS)
    assert ["".join(token.text for token in shaded[text]) for text in TEXTS] == TEXTS
    values = [token.projection for text in TEXTS for token in shaded[text]]
    assert sum(values) == pytest.approx(0, abs=1e-4) and max(values) > 0.01


@pytest.mark.parametrize(
    ("name", "head", "texts"),
    [("slow", Head(0, 0), TEXTS), ("dose-10", Head(9, 9), TEXTS), ("dose-10", Head(0, 0), ["a\x00b"])],
)
def test_what_the_service_refuses_is_not_shaded(
    world: World,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    head: Head,
    texts: list[str],
) -> None:
    monkeypatch.setenv("HORMESIS_SERVICE", address)
    assert shades(world.ids[name], head, texts) == {}


def test_without_a_service_nothing_is_shaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HORMESIS_SERVICE", raising=False)
    assert shades(1, Head(0, 0), TEXTS) == {}
    monkeypatch.setenv("HORMESIS_SERVICE", "http://127.0.0.1:9")
    assert shades(1, Head(0, 0), TEXTS) == {}
