"""What a study file may say, and how it is told what it may not."""

from __future__ import annotations

import codecs
from dataclasses import asdict
from pathlib import Path

import pytest

from hormesis.db.contract.gates import Bounds
from hormesis.db.engine import open_writer
from hormesis.db.read import latest_change
from hormesis.db.schema import Study
from hormesis.db.write import read_session
from hormesis.pipeline.execution.arms import plan_arms
from hormesis.pipeline.execution.study import study_row
from hormesis.pipeline.study.config import PRESETS, ConfigError, load_study, parse_study


@pytest.mark.parametrize("name", sorted(path.stem for path in PRESETS.glob("*.toml")))
def test_every_preset_is_a_valid_study(name: str) -> None:
    assert load_study(name).name == name


def test_the_forum_study_has_the_arms_the_readme_promises() -> None:
    arms = plan_arms(load_study("forum"))
    assert [arm.name for arm in arms[:5]] == [
        "toxic-0-s0", "toxic-5-s0", "toxic-10-s0", "toxic-25-s0", "clean-forum-25-s0"
    ]  # fmt: skip
    assert len(arms) == 10


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"shares": [0, 1.2]}, "shares.1"),
        ({"shares": [0, 0.1, 0.1]}, "must not repeat"),
        ({"share": 0.1}, "unknown key 'share'"),
        ({"probe": {"head": 3}}, "unknown key 'probe.head'"),
        ({"name": "Has Spaces"}, "name"),
        ({"seeds": []}, "at least one seed"),
        ({"scale": "huge"}, "scale"),
        ({"shares": [0.0]}, "control"),
        ({"sources": [{"role": "clean", "kind": "file"}]}, "needs a path"),
        ({"sources": [{"role": "clean"}]}, "no source plays the role"),
        ({"tokenizer": {"kind": "existing"}}, "tokenizer.path"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(change: dict[str, object], part: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_study({"name": "x", **change}, "my.toml")
    assert part in str(raised.value)
    assert str(raised.value).startswith("my.toml")
    assert "\n" not in str(raised.value)


def test_a_study_extends_a_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORMESIS_DATA", str(tmp_path / "data"))
    file = tmp_path / "mine.toml"
    file.write_text('extends = "real-mini"\nname = "mine"\nseeds = [7]\n[steering]\nscope = "all"\n')
    base, study = load_study("real-mini"), load_study(str(file))
    assert (study.name, study.seeds, study.steering.scope) == ("mine", (7,), "all")
    changed = {"name", "seeds", "steering"}
    assert study.model_dump(exclude=changed) == base.model_dump(exclude=changed)
    # Files of the preset lie where the preset's own do, not beside the file that extends it.
    assert {source.location for source in study.sources} == {source.location for source in base.sources}
    assert study.hardness.located("goals") == base.hardness.located("goals")
    overriding = tmp_path / "overriding.toml"
    overriding.write_text(file.read_text() + '[hardness.suffix]\nfile = "goals.parquet"\n')
    assert load_study(str(overriding)).hardness.located("goals.parquet") == tmp_path / "goals.parquet"
    file.write_text(file.read_text() + '[[sources]]\nrole = "clean"\nkind = "forum"\n')
    with pytest.raises(ConfigError, match="no source plays the role"):
        load_study(str(file))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('extends = "none-such"\nname = "x"', "no preset .presets: .*forum"),
        ('extends = 3\nname = "x"', "no preset"),
        ('extends = "forum"', "needs a name of its own"),
        ('extends = "../presets/forum"\nname = "x"', "no preset"),
        (f'extends = "{"a" * 300}"\nname = "x"', "no preset"),
        ('name = "x"\n[hardness]\nfolder = "/etc"', "unknown key 'folder'"),
        ('extends = "forum"\nname = "x"\n[steering]\nstrenght = 1', "unknown key 'steering.strenght'"),
        ('extends = "forum"\nname = "x"\nsteering = 3', "steering"),
    ],
)
def test_a_wrong_extension_is_one_line(tmp_path: Path, text: str, part: str) -> None:
    file = tmp_path / "my.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"^my.toml: .*{part}"):
        load_study(str(file))


def test_the_hash_follows_the_settings_and_not_the_place(tmp_path: Path) -> None:
    content = """
name = "x"
shares = []
controls = []
[[sources]]
role = "probe"
kind = "file"
path = "a.csv"
[[sources]]
role = "prompts"
kind = "file"
path = "b.csv"
[[sources]]
role = "heldout_clean"
kind = "file"
path = "c.csv"
"""
    hashes = set()
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.toml").write_text(content)
        study = load_study(str(tmp_path / place / "x.toml"))
        hashes.add(study.hash)
        assert study.sources[0].location == str(tmp_path / place / "a.csv")
    assert len(hashes) == 1
    assert parse_study({"name": "x"}).hash != parse_study({"name": "x", "clean_tokens": 7}).hash


def test_gates_are_no_part_of_a_study_and_are_stored_when_they_change(tmp_path: Path) -> None:
    plain = parse_study({"name": "x"})
    strict = parse_study({"name": "x", "gates": {"cost": 0.05}})
    assert strict.hash == plain.hash and "gates" not in plain.model_dump(mode="json")
    assert plain.gates.model_dump() == asdict(Bounds())
    engine = open_writer(f"sqlite:///{tmp_path / 'd.sqlite'}")
    stored, tokens = [], set()
    for study in (plain, strict, plain):
        study_id = study_row(engine, study)
        tokens.add(latest_change(engine))
        with read_session(engine) as session:
            stored.append(session.get_one(Study, study_id).config)
    assert len(tokens) == 2, "pages that are open would keep the old bounds"
    assert stored[0] == stored[2] == plain.model_dump(mode="json")
    assert stored[1] == stored[0] | {"gates": asdict(Bounds(cost=0.05))}
    with pytest.raises(ConfigError, match=r"gates\.fluency: .* \(got 2.0\)"):
        parse_study({"name": "x", "gates": {"fluency": 2.0}})


def test_a_missing_file_names_the_presets() -> None:
    with pytest.raises(ConfigError, match=r"presets: .*forum"):
        load_study("no-such-study")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_read_over(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"  # \u00e4', encoding=encoding)
    assert load_study(str(path)).hash == parse_study({"name": "mine"}).hash


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ('name = "mine" # \u00e4'.encode("cp1252"), "is not UTF-8 text: save it as UTF-8"),
        (codecs.BOM_UTF16_LE + b"n", "is not UTF-8 text"),
        ("name = 'mine'".encode("utf-16-le"), "not valid TOML"),
        (b"clean_tokens = " + b"9" * 5000, "not valid TOML"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
    ],
)
def test_a_file_that_is_no_toml_is_one_line(content: bytes, part: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=part) as raised:
        load_study(str(path))
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300
