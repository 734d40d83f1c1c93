"""What a model that is imported is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from hormesis.pipeline.commands.import_checkpoint import NameTaken, default_name, import_checkpoint
from hormesis.pipeline.study.config import parse_study


def test_a_folder_has_its_own_name_from_wherever_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my model.v2" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "my model.v2")
    assert default_name(".") == default_name("../my model.v2/") == "my-model.v2"
    monkeypatch.chdir(tmp_path / "my model.v2" / "inner")
    assert default_name("..") == "my-model.v2"
    assert default_name("owner/model") == "model" and default_name("...") == "model"


def test_the_name_of_an_arm_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(NameTaken, match="give this one a name by --name"):
        import_checkpoint(
            "model",
            parse_study({"name": "x"}),
            checkpoint_name="toxic-10-s0",
            home=home,
            database_url=f"sqlite:///{home}/rows.sqlite",
        )
    assert not home.exists()
