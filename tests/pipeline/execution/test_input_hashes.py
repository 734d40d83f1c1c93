"""Studies made before stay what they are: their hashes, their stages' hashes, and that they are finished."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field
from sqlalchemy import create_engine

from hormesis.db.engine import open_writer
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.graph import arm_subjects
from hormesis.pipeline.execution.stage import STUDY, Subject
from hormesis.pipeline.stages import GRAPH
from hormesis.pipeline.study.config import StudyConfig, parse_study
from hormesis.pipeline.study.config_base import Strict, added
from tests.fixtures.tiny_study import run

ROOT = Path(__file__).resolve().parents[3]
VERSION_LINE = re.compile(r"^([A-Z]+_VERSION) = (\d+)$", re.MULTILINE)
FIXTURES = Path(__file__).parents[2] / "fixtures"
FROZEN = json.loads((FIXTURES / "frozen_hashes.json").read_text(encoding="utf-8"))
"""Hashes of the versions that the changelog names: of corpus, mixes and weights those that revision 5edd499
gave, of what follows those since held-out text is chosen anew; `revisions` stand in for data's."""


def opened(name: str) -> StudyContext:
    config = parse_study(FROZEN["studies"][name]["config"])
    return StudyContext(config, 0, Path(), create_engine("sqlite://"), FROZEN["revisions"])


def keys(context: StudyContext, subject: Subject) -> dict[str, str]:
    stages = GRAPH.of_subject(context.config, subject)
    return {stage.name: stage.key(context, subject) for stage in stages}


@pytest.mark.parametrize("name", FROZEN["studies"])
def test_hashes_are_those_of_the_first_version(name: str) -> None:
    frozen, context = FROZEN["studies"][name], opened(name)
    assert context.config.hash == frozen["hash"]
    assert context.inputs.text == frozen["text"]
    arms = {subject.name: keys(context, subject) for subject in arm_subjects(context)}
    assert {arm: arms[arm] for arm in frozen["arms"]} == frozen["arms"]
    assert keys(context, Subject("imported", weights_hash="0123456789abcdef")) == frozen["imported"]
    toys = {stage.name: stage.key(context, STUDY) for stage in GRAPH.after_arms(context.config)
            if not stage.reads_rows}  # fmt: skip
    assert toys.get("toy") == frozen["toy"]
    inputs, shared = context.inputs, frozen["shared"]
    assert (inputs.corpus, inputs.pairs, inputs.second("w")) == (
        shared["corpus"], shared["pairs"], shared["second"]
    )  # fmt: skip
    assert {method: inputs.tune("w", method) for method in context.config.methods.tuned} == shared["tune"]
    assert inputs.generation("w", ["iti", "mass_mean", 1.0, "", None, []]) == shared["generation"]


def test_seeds_with_text_of_their_own_are_another_study_with_another_corpus() -> None:
    config = parse_study(FROZEN["studies"]["forum"]["config"])
    sampled = parse_study(FROZEN["studies"]["forum"]["config"] | {"sample_text": True})
    assert sampled.hash != config.hash and "sample_text" not in config.model_dump(mode="json")
    corpora = {
        StudyContext(study, 0, Path(), create_engine("sqlite://"), FROZEN["revisions"]).inputs.corpus
        for study in (config, sampled, sampled.model_copy(update={"seeds": (0, 1, 2)}))
    }
    assert len(corpora) == 3


def test_other_null_directions_are_drawn_anew_and_leave_texts_alone() -> None:
    plain = opened("forum")
    steering = plain.config.steering.model_copy(update={"null_kinds": ("isotropic", "permuted")})
    more = replace(plain, config=plain.config.model_copy(update={"steering": steering}))
    subject = arm_subjects(plain)[0]
    before, after = keys(plain, subject), keys(more, subject)
    assert more.config.hash != plain.config.hash and before["probe"] == plain.inputs.probe(
        subject.weights_hash
    )
    assert {stage for stage in before if before[stage] != after[stage]} >= {"probe", "condition"}
    text = ("w", ["iti", "mass_mean", 1.0, "", None, []])
    assert plain.inputs.generation(*text) == more.inputs.generation(*text)
    assert before["train"] == after["train"] and before["geometry"] == after["geometry"]


def _fields(model: type[BaseModel], values: Any) -> Iterator[str]:
    """Dotted names of the fields of a section that count in hashes, by values dumped with all defaults."""
    for name, field in model.model_fields.items():
        if name not in values or field.exclude or is_added(model, name):
            continue
        yield name
        value = values[name]
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from (f"{name}.{inner}" for inner in _fields(annotation, value))


def is_added(model: type[BaseModel], name: str) -> bool:
    return name in getattr(model, "added_fields", dict)()


def test_a_field_added_later_stays_out_of_the_hash_at_its_default() -> None:
    """A new field must be declared by `added(...)`, or every study made before would be another study."""
    frozen = FROZEN["studies"]["everything"]["config"]
    present = set(_fields(StudyConfig, StudyConfig(name="x").model_dump(mode="json")))
    new = {name for name in present if _lookup(frozen, name) is _ABSENT}
    assert not new, f"declare {', '.join(sorted(new))} by added(default)"


_ABSENT = object()


def _lookup(values: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        if not isinstance(values, dict) or part not in values:
            return _ABSENT
        values = values[part]
    return values


def test_added_fields_are_dumped_only_where_they_differ_from_their_default() -> None:
    class Section(Strict):
        old: int = 1
        new: int = added(2)
        names: list[str] = added(default_factory=list)

    class Study(Strict):
        section: Section = Section()
        limit: int = Field(default=3)

    assert Study().model_dump(mode="json") == {"section": {"old": 1}, "limit": 3}
    changed = Study(section=Section(new=5, names=["a"]))
    assert changed.model_dump(mode="json")["section"] == {"old": 1, "new": 5, "names": ["a"]}
    assert Study.model_validate(changed.model_dump()) == changed
    assert changed.model_dump(mode="json", include={"section": {"new"}}) == {"section": {"new": 5}}


def test_a_home_of_the_first_version_is_finished_and_no_row_changes(tmp_path: Path) -> None:
    """Rows of studies, arms and stages as revision 5edd499 left them after a study had run to its end.

    What was made again since (text and all that reads it, not mixes and weights) carries the hashes of the
    versions that the changelog names.
    """
    frozen = json.loads((FIXTURES / "frozen_home.json").read_text(encoding="utf-8"))
    study, home = tmp_path / "tiny.toml", tmp_path / "home"
    study.write_text(frozen["study_file"], encoding="utf-8")
    home.mkdir()
    database = home / "hormesis.sqlite"
    open_writer(f"sqlite:///{database}").dispose()
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        for table, rows in frozen["rows"].items():
            for row in rows:
                names = ", ".join(f'"{name}"' for name in row)
                holes = ", ".join("?" for _ in row)
                connection.execute(f"INSERT INTO {table} ({names}) VALUES ({holes})", list(row.values()))
    before = _everything(database)
    done = run(home, "run", str(study))
    assert done.returncode == 0, done.stderr
    assert "already finished; nothing to do" in done.stderr
    assert _everything(database) == before


def _everything(database: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def test_the_changelog_names_every_version_of_results() -> None:
    modules = [path.read_text(encoding="utf-8") for path in (ROOT / "pipeline").rglob("*.py")]
    versions = {name: value for text in modules for name, value in VERSION_LINE.findall(text)}
    assert len(versions) >= 8
    changelog = " ".join((ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split())
    missing = [
        f"`{name}` {value}" for name, value in versions.items() if f"`{name}` {value}" not in changelog
    ]
    assert not missing, f"the changelog must name {', '.join(missing)}"
