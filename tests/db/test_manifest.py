"""Sums of files: what is missing, cut or changed by one bit is seen, in a folder or beside a file."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hormesis.db.contract.left_out import FILES
from hormesis.db.manifest import (
    SUMS,
    DamagedFile,
    Unit,
    first_problem,
    is_intact,
    is_sealed,
    measured_unit,
    problems_of,
    remove_unit,
    require_intact,
    seal,
    sealed_file,
    sealed_folder,
    sealed_units,
    stored_units,
    sums_file,
    write_sealed_json,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with sealed_folder(tmp_path / "unit") as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "a.bin").write_bytes(b"12345")
        (temporary / "b c.json").write_text("{}")
    return tmp_path / "unit"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "bit": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["inner/a.bin", "b c.json"])
def test_every_damage_to_a_file_of_a_folder_is_seen(folder: Path, name: str, damage: str) -> None:
    unit = measured_unit(folder.parent, folder)
    assert is_sealed(folder) and not problems_of(folder.parent, unit)
    assert stored_units([unit.as_json()]) == [unit] and unit.path == "unit"
    DAMAGES[damage](folder / name)
    kind = "missing" if damage == "gone" else "damaged"
    assert str(first_problem(folder)) == f"{folder / name} is {kind}"
    assert [str(problem) for problem in problems_of(folder.parent, unit)] == [f"{folder / name} is {kind}"]
    for units in ([unit], []):
        with pytest.raises(DamagedFile, match=f"{name} is {kind}: run the study again"):
            require_intact(folder, units, folder.parent)


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_to_a_single_file_or_its_sum_is_seen(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.json"
    write_sealed_json(path, [1, 2])
    assert is_sealed(path) and sealed_units(tmp_path) == [path]
    DAMAGES[damage](path)
    assert not is_intact(path)
    with sealed_file(path) as temporary:
        temporary.write_text("anew")
    assert is_sealed(path)
    DAMAGES[damage](sums_file(path))
    assert is_intact(path) == (damage == "gone") and not is_sealed(path)
    remove_unit(path)
    assert not list(tmp_path.iterdir())


def test_the_sums_are_those_of_the_usual_tool(folder: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not here")
    check = ["sha256sum", "--strict", "-c", SUMS]
    assert subprocess.run(check, cwd=folder, capture_output=True, check=False).returncode == 0
    flip(folder / "b c.json")
    assert subprocess.run(check, cwd=folder, capture_output=True, check=False).returncode == 1


def test_a_unit_without_sums_is_trusted_and_a_model_from_elsewhere_is_told_apart(folder: Path) -> None:
    unit = measured_unit(folder / "another home", folder, ("*.json",))
    assert unit.lies_elsewhere and list(unit.files) == ["b c.json"]
    (folder / SUMS).unlink()
    flip(folder / "b c.json")
    assert is_intact(folder) and not is_sealed(folder) and require_intact(folder) == folder
    with pytest.raises(DamagedFile, match="not the file that was imported: put it back"):
        require_intact(folder, [unit], folder / "another home")
    assert Unit(FILES, {}).is_left_out and require_intact(folder, [Unit(FILES, {})]) == folder


def test_a_unit_that_was_made_again_for_another_study_is_whole(folder: Path) -> None:
    unit = measured_unit(folder.parent, folder)
    with sealed_folder(folder) as temporary:
        (temporary / "b c.json").write_text('{"version": 2}')
    assert not problems_of(folder.parent, unit) and require_intact(folder, [unit], folder.parent) == folder
    elsewhere = measured_unit(folder / "another home", folder)
    seal(folder)
    (folder / "b c.json").write_text("{}")
    seal(folder)
    assert problems_of(folder / "another home", elsewhere), "a model of others is the one that was imported"


def test_what_fails_while_it_is_written_leaves_the_old_unit_and_its_sums(folder: Path) -> None:
    with pytest.raises(OSError, match="disk"), sealed_folder(folder) as temporary:
        (temporary / "new").touch()
        raise OSError("disk")
    assert is_sealed(folder) and (folder / "inner" / "a.bin").read_bytes() == b"12345"
