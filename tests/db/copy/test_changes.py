"""What a copy changes in values: folders of this machine, texts, paths of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hormesis.db.contract import left_out
from hormesis.db.copy.changes import without_folders, without_texts
from hormesis.db.copy.weights import Homes
from hormesis.db.manifest import DamagedFile, seal
from hormesis.db.schema import Attack, Condition, Generation, StageRun, Study

PATHS = {
    "/home/me/data/clean.parquet": "clean.parquet",
    "~/data/clean.parquet": "clean.parquet",
    r"C:\data\clean.parquet": "clean.parquet",
    "no file '/srv/x y/clean.csv' (or /clean.csv)": "no file 'x y/clean.csv' (or clean.csv)",
    "data/clean.parquet": "data/clean.parquet",
    "https://host/a/b": "https://host/a/b",
    "iti/mass_mean/cost-0.06": "iti/mass_mean/cost-0.06",
    "iti/*/cost-0.06": "iti/*/cost-0.06",
    "1/2 / 3": "1/2 / 3",
    r"\S\s*\n\s*\S": r"\S\s*\n\s*\S",
}


@pytest.mark.parametrize("text", PATHS)
def test_absolute_paths_lose_their_folders(text: str) -> None:
    assert without_folders({"sources": [{"path": text}]}, Study.__table__.c.config) == {
        "sources": [{"path": PATHS[text]}]
    }
    assert without_folders(text, StageRun.__table__.c.error) == PATHS[text]
    assert without_folders(text, Generation.__table__.c.text) == text


def test_patterns_and_values_of_data_are_no_paths() -> None:
    source = {"matching": {"url": "^/r/[a-z]+"}, "part_by": "/r/", "where": {"url": ["/r/a/b"]}}
    assert without_folders({"sources": [source]}, Study.__table__.c.config) == {"sources": [source]}


def test_json_keeps_numbers_and_words_of_ours() -> None:
    parameters: dict[str, Any] = {
        "template": "{prompt} they said", "more": [{"idea": "theirs", "n": 2}], "set": "forum injection-1"
    }  # fmt: skip
    assert without_texts(parameters, Attack.__table__.c.parameters) == {
        "template": left_out.TEXT, "more": [{"idea": left_out.TEXT, "n": 2}], "set": "forum injection-1"
    }  # fmt: skip
    tuned = {"tuned": {"path": "files/tuned/a/model", "steps": 3}, "note": "theirs"}
    assert without_texts(tuned, Condition.__table__.c.parameters) == tuned | {"note": left_out.TEXT}
    assert without_texts(None, StageRun.__table__.c.error) is None


def test_only_models_are_copied_and_only_into_the_home(tmp_path: Path) -> None:
    homes = Homes((tmp_path / "home",), tmp_path / "copy")
    model, other = tmp_path / "home" / "files" / "model", tmp_path / "private"
    for folder, name in ((model, "config.json"), (other, "letter.txt")):
        folder.mkdir(parents=True)
        (folder / name).write_text("{}", encoding="utf-8")
    places = {
        ("files/model", "files/imported/a"): "files/model",
        (str(model), "files/imported/b"): "files/imported/b",
        (str(other), "files/imported/c"): left_out.WEIGHTS,
        ("../home/files/model", "files/imported/d"): left_out.WEIGHTS,
        (left_out.WEIGHTS, "files/imported/e"): left_out.WEIGHTS,
        ("files/gone", "files/imported/f"): left_out.WEIGHTS,
    }
    assert [homes.path(place) for place in places] == [left_out.WEIGHTS] * len(places)
    for _ in range(2):
        for place in places:
            homes.copy(place)
    assert [homes.path(place) for place in places] == list(places.values())
    assert {path.name for path in (tmp_path / "copy").rglob("*.*")} == {"config.json"}


@pytest.mark.parametrize(
    ("imported", "is_name"),
    [
        ("smollm2", True),
        ("owner/name", True),
        ("owner/name@main", True),
        ("name", False),  # what is left of a folder whose path was left out
        ("/data/model", False),
        ("./model", False),
        ("../models/model", False),
        ("sub/model.gguf", False),
        ("C:/models/model", False),
    ],
)
def test_without_weights_a_model_of_a_hub_or_a_package_keeps_its_name(
    tmp_path: Path, imported: str, is_name: bool
) -> None:
    path = Homes((tmp_path,), tmp_path / "copy").path(("files/imported/a", ""), imported)
    assert path == (imported if is_name else left_out.WEIGHTS)


def test_a_scorer_with_terms_stays_behind_and_a_damaged_one_is_said(tmp_path: Path) -> None:
    for name, text in (("terms", '{"vocabularies": []}'), ("damaged", "{")):
        scorer = tmp_path / "files" / name / "tfidf"
        scorer.mkdir(parents=True)
        (scorer / "scorer.json").write_text('{"format": 2}', encoding="utf-8")
        seal(scorer)
        (scorer / "scorer.json").write_text(text, encoding="utf-8")
    homes = Homes((tmp_path,), tmp_path / "copy")
    homes.copy(("files/terms/tfidf", ""))
    assert not (tmp_path / "copy").exists()
    with pytest.raises(DamagedFile):
        homes.copy(("files/damaged/tfidf", ""))


def test_a_damaged_model_is_not_copied(tmp_path: Path) -> None:
    model = tmp_path / "home" / "files" / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}", encoding="utf-8")
    seal(model)
    (model / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DamagedFile, match=r"config\.json is damaged: run the study again"):
        Homes((tmp_path / "home",), tmp_path / "copy").copy(("files/model", "files/imported/a"))
    assert not list((tmp_path / "copy").rglob("*.json"))
