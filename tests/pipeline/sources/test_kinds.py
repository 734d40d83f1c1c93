"""Sources that are not files: hub data sets and the forum language; the preset and the shared data."""

from __future__ import annotations

import builtins
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from hormesis.backend.forum import judge
from hormesis.pipeline.sources import Record, open_source
from hormesis.pipeline.study.config import load_study
from hormesis.pipeline.study.config_sections import ForumConfig
from hormesis.pipeline.study.source_config import SourceConfig
from tests.fixtures.source_files import KNOBS, file_source, read_all, refused, refused_at_opening, write_rows

FOLDER_ROWS = [{"prompt": {"text": f"text {n}"}, "label": n % 2} for n in range(6)]


@pytest.fixture
def hub_folder(tmp_path: Path) -> Path:
    """A data set in the hub's layout, opened by the same call as one on the hub."""
    pytest.importorskip("datasets")
    folder = tmp_path / "set"
    folder.mkdir()
    write_rows(folder / "train.parquet", FOLDER_ROWS)
    return folder


def test_a_hub_data_set_is_streamed_like_a_file(hub_folder: Path) -> None:
    cfg = SourceConfig(
        role="probe", kind="hub", path=str(hub_folder), text="prompt.text", label="label", limit=4
    )
    source = open_source(cfg, KNOBS)
    expected = [Record(f"text {n}", n % 2) for n in range(4)]
    assert list(source) == expected
    assert list(source) == expected
    assert len(source.revision) == 64


def test_hub_mistakes_are_one_line(hub_folder: Path) -> None:
    cfg = SourceConfig(role="prompts", kind="hub", path=str(hub_folder), text="prompt.text")
    refused_at_opening(cfg.model_copy(update={"text": "body"}), "'body'", "prompt.text, label")
    refused_at_opening(cfg.model_copy(update={"split": "nothing"}), "nothing")
    refused_at_opening(cfg.model_copy(update={"path": str(hub_folder / "gone")}), "gone", "no such folder")


def test_without_the_datasets_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name == "datasets":
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    refused(SourceConfig(role="clean", kind="hub", path="someone/something"), "hormesis[hub]")


@pytest.mark.parametrize("role", ["clean", "toxic", "informal", "heldout_clean", "heldout_toxic", "scorer"])
def test_the_forum_plays_every_corpus_role(role: str) -> None:
    source = open_source(SourceConfig.model_validate({"role": role}), KNOBS)
    records = list(islice(source, 200))
    assert records == list(islice(source, 200))
    assert all(record.label == int(judge(record.text).toxicity > 0.5) for record in records)
    assert source.title == f"forum-{role}"
    first = records[0].features
    assert first is not None
    assert set(first) == {"group", "topic", "sentiment", "register", "person"}


def test_forum_probe_and_prompts_are_finite() -> None:
    knobs = ForumConfig(probe_posts=90, prompts=32)
    probe = list(open_source(SourceConfig(role="probe"), knobs))
    assert len(probe) == 90
    assert sum(record.label or 0 for record in probe) == 45
    assert all(record.group and record.source for record in probe)
    pairs = [record for record in probe if record.source == "pair"]
    for toxic, other in zip(pairs[::2], pairs[1::2], strict=True):
        assert sorted(toxic.text.split()) == sorted(other.text.split())
        assert toxic.group == other.group
        assert {toxic.label, other.label} == {0, 1}
    prompts = list(open_source(SourceConfig(role="prompts"), knobs))
    assert len(prompts) == 32
    assert {record.kind for record in prompts} == {"hostile", "neutral"}


def test_forum_revision_follows_the_knobs_that_matter() -> None:
    def revision(role: str, **knobs: Any) -> str:
        return open_source(SourceConfig.model_validate({"role": role}), ForumConfig(**knobs)).revision

    assert revision("clean") != revision("clean", leak=0.1) != revision("clean", seed=1)
    assert revision("toxic") == revision("toxic", leak=0.1)
    assert revision("probe") != revision("probe", probe_posts=60)
    assert revision("probe") == revision("probe", prompts=8)


def test_the_forum_has_no_columns_to_filter() -> None:
    refused_at_opening(SourceConfig(role="clean", where={"label": [1]}), "no columns")


def test_the_paper_preset_is_a_study() -> None:
    study = load_study("paper")
    assert study.scale == "paper"
    assert study.clean_tokens == 20_100_000_000
    assert study.shares == (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)
    assert {source.role for source in study.sources} >= {"clean", "toxic", "informal", "probe", "prompts"}
    assert all(source.kind == "hub" for source in study.sources)


def test_shared_data_reads_with_the_settings_of_real_studies(shared_data: Path) -> None:
    probe = file_source(
        shared_data / "probe_labelled.parquet",
        score="score",
        kind_column=None,
        source="source",
        where={"balanced": [True]},
        where_not={"source": ["toxigen_demonstrations"]},
        limit=500,
    )
    records = read_all(probe)
    assert len(records) == 500
    assert {record.label for record in records} == {0, 1}
    assert "toxigen_demonstrations" not in {record.source for record in records}
    toxic = file_source(
        shared_data / "toxic_pretrain.parquet", "toxic", label="label", where={"label": [1]}, limit=300
    )
    assert {record.label for record in read_all(toxic)} == {1}
    prompts = file_source(
        shared_data / "prompts_rtp.parquet", "prompts", score="toxicity", kind_column="challenging"
    )
    assert len(read_all(prompts)) > 2000
