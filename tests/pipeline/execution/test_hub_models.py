"""Classifiers and series of checkpoints of a hub, by name and revision: fetched once, or refused."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.fixtures import hub_repositories
from tests.fixtures.hub_repositories import CLASSIFIER
from tests.fixtures.hub_world import HubWorld
from tests.fixtures.tiny_study import write_study

SERIES = "someone/series"
pytestmark = pytest.mark.xdist_group("hub")
SMALL = {
    'controls = ["clean-forum"]\n': "",
    "shares = [0.0, 0.25]\n": "",
    "seeds = [0]\n": "",
    "prompts = 24": "prompts = 6",
    "random_directions = 2": "random_directions = 0",
    "costs = [0.06]": "costs = []",
}


def series(folder: Path, *revisions: str, scorer: str = "forum") -> str:
    """A small study of checkpoints at these revisions of one repository, judged by this scorer."""
    study = write_study(folder, SMALL | {'["forum", "tfidf"]': f'["{scorer}"]'})
    tables = (
        f'[[checkpoints]]\nmodel = "{SERIES}"\nrevision = "{revision}"\nshare = 0.{number}\n'
        for number, revision in enumerate(revisions)
    )
    study.write_text("\n".join((study.read_text(encoding="utf-8"), *tables)), encoding="utf-8")
    return str(study)


@pytest.fixture
def published(hub_world: HubWorld) -> dict[str, str]:
    """A series on the hub: a branch for each of two mixes; branch to commit."""
    hub = hub_world.hub
    hub.repositories.pop(("models", SERIES), None)
    files = {f"mix-{seed}": hub_repositories.language_model(seed) for seed in (0, 1)}
    commits = {branch: hub.commit("models", SERIES, of_branch, branch) for branch, of_branch in files.items()}
    hub.commit("models", SERIES, {"README.md": b"Two mixes."})
    return commits


def test_revisions_that_are_missing_are_named_together_before_anything_is_fetched(
    hub_world: HubWorld, tmp_path: Path, published: dict[str, str]
) -> None:
    line = hub_world.refused("run", series(tmp_path, "mix-0", "mix-7", "mix-1", "f" * 40))
    assert f"model {SERIES} has no revision mix-7, {'f' * 40} (it has mix-0, mix-1, main)" in line
    assert not hub_world.home.exists() and not any("resolve" in path for path in hub_world.hub.requests)
    hub_world.hub.repositories["models", SERIES].gated = 403
    assert f"model {SERIES} is gated: accept its terms" in hub_world.refused("run", series(tmp_path, "mix-0"))
    with hub_world.hub.away():
        assert "gave no answer for model" in hub_world.refused("run", series(tmp_path, "mix-0"))


@pytest.mark.slow
def test_a_series_is_fetched_once_and_a_branch_stays_at_its_commit(
    hub_world: HubWorld, tmp_path: Path, published: dict[str, str]
) -> None:
    commit = hub_world.hub.commit("models", CLASSIFIER, hub_repositories.classifier())
    study = series(tmp_path, "mix-0", "mix-1", scorer=f"classifier:{CLASSIFIER}@{commit}")
    done = hub_world.run("run", study)
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(hub_world.home / "hormesis.sqlite")) as database:
        revisions = json.loads(database.execute("SELECT data_revisions FROM study").fetchone()[0])
        query = "SELECT name, trained_on FROM scorer WHERE measures = 'toxicity'"
        (scorer,) = database.execute(query).fetchall()
    assert revisions["checkpoint/toxic-0-s0"] == published["mix-0"]
    assert revisions["checkpoint/toxic-10-s0"] == published["mix-1"]
    assert scorer[0].endswith(f"@{commit}") and json.loads(scorer[1])["platforms"] == ["Wikipedia talk pages"]
    hub_world.hub.commit("models", SERIES, hub_repositories.language_model(5), "mix-1")
    hub_world.hub.requests.clear()
    with hub_world.hub.away():
        again = hub_world.run("run", study)
    assert again.returncode == 0 and "already finished; nothing to do" in again.stderr
    assert not hub_world.hub.requests


def test_a_classifier_that_cannot_be_had_is_refused_with_what_to_name_instead(
    hub_world: HubWorld, tmp_path: Path
) -> None:
    def refusal(scorer: str) -> str:
        study = write_study(tmp_path, {'["forum", "tfidf"]': f'["classifier:{scorer}"]'})
        line = hub_world.refused("run", str(study))
        assert not hub_world.home.exists()
        return line

    hub_world.hub.commit("models", CLASSIFIER, hub_repositories.classifier())
    with hub_world.hub.away():
        line = refusal(CLASSIFIER)
    assert "gave no answer" in line and "or name another scorer (profanity, tfidf, classifier:FOLDER)" in line
    assert "has no revision 'v9'" in refusal(f"{CLASSIFIER}@v9")
    assert "the hub has no model nobody/gone" in refusal("nobody/gone")
    labels = json.loads(hub_repositories.classifier()["config.json"])
    labels["id2label"] = {str(number): f"LABEL_{number}" for number in range(6)}
    files = hub_repositories.classifier() | {"config.json": json.dumps(labels).encode()}
    hub_world.hub.commit("models", "someone/unnamed", files)
    assert "classifier 'someone/unnamed': no label means toxic (labels: LABEL_0, " in refusal(
        "someone/unnamed"
    )
    pickled = {name: body for name, body in files.items() if not name.endswith(".safetensors")}
    hub_world.hub.commit("models", "unitary/unbiased-toxic-roberta", pickled)
    line = refusal("unitary/unbiased-toxic-roberta")
    assert "holds no safetensors: write classifier:unitary/unbiased-toxic-roberta@91650552" in line
