"""The package `hormesis`: one name for every module, whatever lies in the working folder."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.structure import LAYERS, modules


@pytest.mark.parametrize("layer", LAYERS)
def test_layer_is_a_link_in_the_package(layer: str) -> None:
    link = ROOT / ".src" / "hormesis" / layer
    assert link.is_symlink()
    assert link.resolve() == ROOT / layer


def test_no_layer_is_imported_bare() -> None:
    """From the root `import db` works and makes a second module of each file."""
    bare = []
    for module in modules():
        for node in ast.walk(module.tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            bare += [f"{module.path}:{node.lineno}" for name in names if name.split(".")[0] in LAYERS]
    assert not bare


def test_no_test_has_made_a_second_module() -> None:
    assert not set(LAYERS) & set(sys.modules)


@pytest.mark.parametrize(
    "module", ["pipeline.cli", "dashboard.launch", "dashboard.report", "backend.service"]
)
def test_foreign_modules_of_the_same_names_do_no_harm(module: str, tmp_path: Path) -> None:
    (tmp_path / "db.py").write_text("raise SystemExit('the foreign db was imported')")
    for layer in LAYERS[1:]:
        (tmp_path / layer).mkdir()
        (tmp_path / layer / "__init__.py").write_text(f"raise SystemExit('the foreign {layer} was imported')")
    result = subprocess.run(
        [sys.executable, "-m", f"hormesis.{module}", "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout.lower()


def test_package_imports_nothing_by_itself() -> None:
    code = "import sys; before = set(sys.modules); import hormesis; print(sorted(set(sys.modules) - before))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".src")}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['hormesis']"
