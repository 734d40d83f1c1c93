"""Hub data sets over HTTP by the real clients, from a stand-in hub."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.fixtures import hub_repositories
from tests.fixtures.hub_repositories import C4, CIVIL, TOXIGEN
from tests.fixtures.hub_server import Fault
from tests.fixtures.hub_world import HubWorld

pytest.importorskip("datasets")
pytestmark = [pytest.mark.xdist_group("hub"), pytest.mark.slow]

COMMENTS = {"role": "informal", "path": CIVIL}
DOCUMENTS = {"role": "clean", "path": C4, "data_files": ["en/c4-train.00000-of-01024.json.gz"]}
FILE = r"/resolve/.*(parquet|json\.gz)"
"""Requests for the rows themselves."""


def study(folder: Path, *sources: dict[str, object]) -> str:
    """A study file that reads these sources of the hub, beside roles that the forum language plays."""
    text = 'name = "mine"\nshares = []\ncontrols = []\n[tokenizer]\nkind = "bpe"\n'
    roles = {str(source["role"]) for source in sources}
    for role in {"heldout_clean", "probe", "prompts", "scorer"} - roles:
        text += f"[[sources]]\nrole = '{role}'\n"
    for source in sources:
        text += "[[sources]]\nkind = 'hub'\n" + "".join(
            f"{name} = {json.dumps(value).replace(':', ' =')}\n" for name, value in source.items()
        )
    path = folder / f"mine-{len(list(folder.glob('*.toml')))}.toml"
    path.write_text(text)
    return str(path)


def shards(world: HubWorld) -> list[str]:
    """Names of the files that hold rows."""
    return sorted(path.name for path in world.sources.rglob("*.jsonl.zst"))


def test_rows_are_streamed_as_far_as_they_are_read_and_kept(hub_world: HubWorld, tmp_path: Path) -> None:
    hub_world.hub.commit("datasets", C4, hub_repositories.c4(1_200))
    path = study(tmp_path, {**DOCUMENTS, "limit": 600})
    done = hub_world.run("data", "get", path)
    assert done.returncode == 0 and "600 records of 600 rows" in done.stderr, done.stderr
    assert shards(hub_world) == ["000000000000.jsonl.zst", "000000000500.jsonl.zst"]
    # Files are named, so the others are not even asked for; of the one that is, its end was not read.
    assert not [request for request in hub_world.hub.requests if "00001-of-01024" in request]
    with hub_world.hub.away():
        assert "here already" in hub_world.run("data", "get", path).stderr
        plan = hub_world.run("plan", path, "--json")
    commit = hub_world.hub.repositories["datasets", C4].refs["main"]
    assert commit in json.loads(plan.stdout)["sources"].values()


def test_the_commit_is_resolved_once_and_can_be_pinned(hub_world: HubWorld, tmp_path: Path) -> None:
    source = {**COMMENTS, "limit": 20}
    old = hub_world.hub.repositories["datasets", CIVIL].refs["main"]
    assert hub_world.run("data", "get", study(tmp_path, source)).returncode == 0
    new = hub_world.hub.commit("datasets", CIVIL, hub_repositories.civil_comments(400))
    (listing,) = json.loads(hub_world.run("data", "list", study(tmp_path, source), "--json").stdout)
    assert listing["revision"] == old and listing["cached"] and listing["licence"] == "cc0-1.0"
    assert listing["gated"] is False and listing["size"] > 1_000 and listing["rows"] == 500
    for revision in (new, "main"):
        pinned = study(tmp_path, {**source, "revision": revision})
        assert hub_world.run("data", "get", pinned).returncode == 0
        (listing,) = json.loads(hub_world.run("data", "list", pinned, "--json").stdout)
        assert listing["revision"] == (new if revision == new else old)


def test_a_short_split_is_told_and_a_cut_one_refused(hub_world: HubWorld, tmp_path: Path) -> None:
    done = hub_world.run("data", "get", study(tmp_path, {**COMMENTS, "limit": 5_000}))
    assert "1,200 records of 1,200 rows; the split ended before the limit of 5,000" in done.stderr
    files = hub_repositories.civil_comments()
    del files["data/train-00001-of-00002.parquet"]
    hub_world.hub.commit("datasets", CIVIL, files, "less")
    line = hub_world.refused("data", "get", study(tmp_path, {**COMMENTS, "revision": "less"}))
    assert "split 'train' ended after 600 rows, where its page states 1,200" in line


REFUSALS = {
    "unknown name": ({"path": "nobody/nothing"}, "the hub has no data set nobody/nothing"),
    "unknown revision": ({"revision": "v9"}, f"data set {CIVIL} has no revision 'v9'"),
    "renamed column": ({"text": "comment"}, "no column 'comment' (columns: text, toxicity, severe_toxicity"),
    "unknown split": ({"split": "dev"}, "dev"),
    "unknown file": ({"data_files": ["en/none.json.gz"]}, "en/none.json.gz"),
    "unknown configuration": ({"path": TOXIGEN, "config": "notes"}, "notes"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_the_hub_does_not_have_is_one_line(case: str, hub_world: HubWorld, tmp_path: Path) -> None:
    settings, expected = REFUSALS[case]
    assert expected in hub_world.refused("data", "get", study(tmp_path, {**COMMENTS, **settings}))
    assert not shards(hub_world)


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_data_set_is_refused_and_an_optional_one_left_out(
    status: int, hub_world: HubWorld, tmp_path: Path
) -> None:
    gated = {"role": "prompts", "path": TOXIGEN, "config": "annotated", "split": "test"}
    study_file = study(tmp_path, {**gated, "optional": True}, {**COMMENTS, "role": "prompts", "limit": 20})

    def planned() -> str:
        return str(json.loads(hub_world.run("plan", study_file, "--json").stdout)["hash"])

    hashes = [planned()]
    hub_world.hub.repositories["datasets", TOXIGEN].gated = status
    line = hub_world.refused("data", "get", study(tmp_path, gated))
    assert (
        f"data set {TOXIGEN} is gated: accept its terms at {hub_world.hub.endpoint}/datasets/{TOXIGEN}"
        in line
    )
    done = hub_world.run("data", "get", study_file)
    assert done.returncode == 0 and "toxigen-data (prompts): left out: " in done.stderr
    plan = hub_world.run("plan", study_file, "--json")
    assert "left out toxigen-data (prompts): data set toxigen" in plan.stderr
    hashes.append(planned())
    # Access is given later: asked again by `data get`, and by nothing else.
    hub_world.hub.repositories["datasets", TOXIGEN].gated = 0
    hashes.append(planned())
    assert "60 records" in hub_world.run("data", "get", study_file).stderr
    hashes.append(planned())
    assert hashes[0] == hashes[3] != hashes[1] == hashes[2]
    alone = study(tmp_path, {**gated, "optional": True, "path": "nobody/gone"})
    line = hub_world.refused("import", "some-model", "--study", alone)
    assert "no source plays the role prompts" in line and "left out gone (prompts): the hub has no" in line


FAULTS = {
    "slow": (Fault(FILE, seconds=0.3, times=1), "", 0),
    "asks to wait": (Fault("/revision/", status=429, headers={"Retry-After": "7"}, times=1), "", 8),
    "a fault of its own, once": (Fault(FILE, status=503, times=1), "", 1),
    "cut once": (Fault(FILE, cut_at=100, times=1), "", 1),
    "asks to wait for ever": (Fault(FILE, status=429, headers={"Retry-After": "2"}), "asks to wait (429", 15),
    "faults of its own": (Fault("/revision/", status=500), "answers 500 (a fault of its own)", 7),
    "cut for ever": (Fault(FILE, cut_at=100), "gave no answer for", 23),
    "silent": (Fault("/revision/", seconds=1.5), "gave no answer for", 7),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_are_waited_for_or_told(case: str, hub_world: HubWorld, tmp_path: Path) -> None:
    fault, expected, seconds = FAULTS[case]
    path = study(tmp_path, {**COMMENTS, "limit": 30})
    with hub_world.hub.failing(fault):
        if expected:
            line = hub_world.refused("data", "get", path)
            assert expected in line and "the same command goes on from here" in line
        else:
            assert hub_world.run("data", "get", path).returncode == 0
    assert sum(hub_world.waits()) == pytest.approx(seconds)
    assert "30 records" in hub_world.run("data", "get", path).stderr or not expected


def test_a_stream_that_breaks_goes_on_where_it_broke(hub_world: HubWorld, tmp_path: Path) -> None:
    path = study(tmp_path, COMMENTS)
    second_file = Fault("train-00001-of-00002", cut_at=100)
    with hub_world.hub.failing(second_file):
        line = hub_world.refused("data", "get", path)
    assert line.startswith("after row 600: ") and shards(hub_world)[-1] == "000000000500.jsonl.zst"
    hub_world.hub.requests.clear()
    assert "1,200 records of 1,200 rows" in hub_world.run("data", "get", path).stderr
    # The first file is opened for its columns; of its rows none comes again, so the second is what is read.
    texts = [json.loads(line)["text"] for line in rows_of(hub_world)]
    assert len(texts) == 1_200 and len(set(texts)) > 1_100


def rows_of(world: HubWorld) -> list[str]:
    """Lines of all shards, in order."""
    import zstandard

    paths = sorted(world.sources.rglob("*.jsonl.zst"), key=lambda path: path.name)
    return [line for path in paths for line in zstandard.decompress(path.read_bytes()).decode().splitlines()]


def test_ctrl_c_keeps_what_came(hub_world: HubWorld, tmp_path: Path) -> None:
    path = study(tmp_path, COMMENTS)
    with hub_world.hub.failing(Fault("train-00001-of-00002", seconds=0.9)):
        process = hub_world.process("data", "get", path)
        while not shards(hub_world):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "stopped; the same command goes on from here\n")
    assert "1,200 records of 1,200 rows" in hub_world.run("data", "get", path).stderr
    assert len(rows_of(hub_world)) == 1_200


def test_two_commands_fetch_each_row_once(hub_world: HubWorld, tmp_path: Path) -> None:
    path = study(tmp_path, COMMENTS, {**COMMENTS, "role": "toxic", "at_least": {"toxicity": 0.5}})
    processes = [hub_world.process("data", "get", path) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert len(rows_of(hub_world)) == 2_400  # of each set of columns once


def test_without_network_and_without_cache_is_one_line(hub_world: HubWorld, tmp_path: Path) -> None:
    path = study(tmp_path, COMMENTS)
    with hub_world.hub.away():
        assert f"the hub at {hub_world.hub.endpoint} gave no answer" in hub_world.refused("data", "get", path)
        listing = json.loads(hub_world.run("data", "list", path, "--json").stdout)[0]
        assert listing["gated"] is None and listing["revision"] is None
    hub_world.hub.requests.clear()
    assert "was never asked for" in hub_world.refused("data", "get", path, "--offline")
    assert hub_world.run("data", "get", study(tmp_path, {**COMMENTS, "limit": 30})).returncode == 0
    hub_world.hub.requests.clear()
    line = hub_world.refused("data", "get", study(tmp_path, {**COMMENTS, "limit": 900}), "--offline")
    assert "500 rows of split 'train' are on this machine, more are needed" in line
    assert not hub_world.hub.requests
