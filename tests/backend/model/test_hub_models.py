"""Models by name and revision over HTTP by the real clients, from a stand-in hub."""

from __future__ import annotations

import pytest

from tests.fixtures.hub_repositories import MODEL, language_model
from tests.fixtures.hub_server import Fault
from tests.fixtures.hub_world import HubWorld

pytestmark = [pytest.mark.xdist_group("hub"), pytest.mark.slow]


@pytest.fixture
def commits(hub_world: HubWorld) -> tuple[str, str]:
    """Commits of a model: the one that the tag `v1` names, and the one of `main`."""
    files = language_model(1) | {"pytorch_model.bin": b"a pickle", "onnx/model.onnx": b"something else"}
    hub_world.hub.repositories.clear()
    return (
        hub_world.hub.commit("models", MODEL, language_model(0), "v1"),
        hub_world.hub.commit("models", MODEL, files),
    )


def test_models_load_by_name_and_revision_and_again_without_the_hub(
    hub_world: HubWorld, commits: tuple[str, str]
) -> None:
    names = [MODEL, f"{MODEL}@v1", f"{MODEL}@{commits[0]}", f"{MODEL}@{commits[1]}"]
    loads = [hub_world.run("load", name) for name in names]
    assert [load.returncode for load in loads] == [0] * 4, [load.stderr for load in loads]
    hashes = [load.stdout for load in loads]
    assert hashes[0] == hashes[3] != hashes[1] == hashes[2]
    assert not [request for request in hub_world.hub.requests if ".bin" in request or ".onnx" in request]
    with hub_world.hub.away():
        assert [hub_world.run("load", name).stdout for name in names] == hashes


def test_what_the_hub_does_not_give_is_one_line(hub_world: HubWorld, commits: tuple[str, str]) -> None:
    assert "nobody/nothing" in hub_world.refused("load", "nobody/nothing")
    assert "v9" in hub_world.refused("load", f"{MODEL}@v9")
    repository = hub_world.hub.repositories["models", MODEL]
    for repository.gated in (401, 403):
        assert "hf auth login" in hub_world.refused("load", MODEL)
    repository.gated = 0
    with hub_world.hub.failing(Fault("/api/models/", status=503)):
        assert "503" in hub_world.refused("load", MODEL)
    with hub_world.hub.away():
        assert MODEL in hub_world.refused("load", MODEL)
    assert hub_world.run("load", MODEL).returncode == 0


def test_a_cut_transfer_goes_on_where_it_was(hub_world: HubWorld, commits: tuple[str, str]) -> None:
    with hub_world.hub.failing(Fault("model.safetensors", cut_at=5_000)):
        assert MODEL in hub_world.refused("load", MODEL)
    assert hub_world.run("load", MODEL).returncode == 0
