"""Preset `real` at its smallest, from nothing to verdicts from a stand-in hub, and again without network."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest

from hormesis.pipeline.study.config import PRESETS
from tests.fixtures import hub_repositories
from tests.fixtures.hub_repositories import CIVIL, CLASSIFIER, TOXIGEN
from tests.fixtures.hub_world import HubWorld
from tests.pipeline.commands.test_copy import long_texts

pytest.importorskip("datasets")
pytestmark = [pytest.mark.xdist_group("hub"), pytest.mark.slow]

SMALLEST = {
    'scale = "mini"': 'scale = "nano"',
    "shares = [0.0, 0.05, 0.10, 0.25]": "shares = [0.0, 0.25]",
    'controls = ["clean-forum"]': "controls = []",
    "seeds = [0, 1]": "seeds = [0]",
    "clean_tokens = 20_000_000": "clean_tokens = 12_000",
    "limit = 60_000": "limit = 500",
    'kind = "bpe"': 'kind = "bpe"\nvocabulary = 300\n[training]\nevaluations = 2\ncheckpoints = 1\n'
    "[steering]\nstrengths = [1.0]\ncosts = [0.06]\nrandom_directions = 2\n"
    "[projection]\nmax_points = 50\nactivation_heads = 0",
    "limit = 6000": "limit = 200\nbootstrap = 50",
    '"iti", "random-direction", "prompt", "sft", "dpo", "dpo+iti"': '"iti", "random-direction", "dpo"',
    "samples = 25": "samples = 2\nbootstrap = 50",
    "prompt_limit = 200": "prompt_limit = 8",
    "new_tokens = 20": "new_tokens = 8",
    "heldout_tokens = 100_000": "heldout_tokens = 1_500",
    'attacks = ["injection", "long", "sampling", "quantised", "relearn"]': "attacks = []",
    'tasks = ["cross_entropy"]': "tasks = []",
    "second_directions = true": "second_directions = true\npairs = 60\n"
    "[methods.dpo]\nsteps = 2\nbatch_size = 4",
}
"""Sizes of the preset, and what stands instead of them here; every source stays as it is."""


def smallest(folder: Path) -> str:
    """The preset as a study file, with other sizes."""
    text = (PRESETS / "real.toml").read_text()
    for size, smaller in SMALLEST.items():
        assert text.count(size) == 1, size
        text = text.replace(size, smaller)
    path = folder / "real.toml"
    path.write_text(text)
    return str(path)


def test_from_nothing_to_verdicts_and_again_without_network(hub_world: HubWorld, tmp_path: Path) -> None:
    hub, study = hub_world.hub, smallest(tmp_path)
    (pinned,) = re.findall(rf"{CLASSIFIER}@(\w+)", (PRESETS / "real.toml").read_text())
    files = hub_repositories.classifier()
    hub.commit("models", CLASSIFIER, files)
    hub.repositories["models", CLASSIFIER].commits[pinned] = files
    hub.repositories["datasets", TOXIGEN].gated = 401
    with hub.away():
        code, errors = outcome(hub_world, "run", study)
        assert code == 2 and errors.startswith("hormesis: the hub at") and errors.count("\n") == 1, errors
        assert not hub_world.home.exists()
    code, errors = outcome(hub_world, "run", study)
    assert code == 0, errors
    assert "left out toxigen (directions): data set toxigen/toxigen-data is gated" in errors
    hub.requests.clear()
    code, errors = outcome(hub_world, "run", study, "--offline")
    assert code == 0 and "already finished; nothing to do" in errors and not hub.requests, errors
    listings = json.loads(hub_world.run("data", "list", study, "--json").stdout)
    assert [listing["source"] for listing in listings if not listing["cached"]] == [
        f"{TOXIGEN} (annotated, test)",
        f"{TOXIGEN} (annotated, train)",
    ]
    with sqlite3.connect(hub_world.home / "hormesis.sqlite") as database:
        revisions = json.loads(database.execute("SELECT data_revisions FROM study").fetchone()[0])
        # Part of the toxic comments, both sides of half of the pairs, each prompt twice under both scorers.
        assert revisions["toxic/0/civil-toxic"] == hub.repositories["datasets", CIVIL].refs["main"]
        labels = database.execute("SELECT label, count(*) FROM example GROUP BY label").fetchall()
        assert labels == [(0, 100), (1, 100)]
        (scores,) = database.execute("SELECT count(*) FROM score").fetchone()
        (generations,) = database.execute("SELECT count(*) FROM generation").fetchone()
        assert scores == 2 * generations > 0
        assert database.execute("SELECT count(*) FROM verdict").fetchone()[0] > 10
    source, target = hub_world.home / "hormesis.sqlite", tmp_path / "copy.sqlite"
    assert hub_world.run("copy", str(source), str(target), "--texts", "none").returncode == 0
    texts, content = long_texts(source), target.read_bytes()
    assert len(texts) > 200 and not [text for text in texts if text.encode() in content]


def outcome(world: HubWorld, *arguments: str) -> tuple[int, str]:
    """Exit code and what a command said."""
    process = world.process(*arguments)
    _, errors = process.communicate(timeout=400)
    return process.returncode, errors
