"""What a model that is imported is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from hormesis.pipeline.commands.import_checkpoint import default_name


def test_a_folder_has_its_own_name_from_wherever_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my model.v2" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "my model.v2")
    assert default_name(".") == default_name("../my model.v2/") == "my-model.v2"
    monkeypatch.chdir(tmp_path / "my model.v2" / "inner")
    assert default_name("..") == "my-model.v2"
    assert default_name("owner/model") == "model" and default_name("...") == "model"
