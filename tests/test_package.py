"""The package `hormesis`: one name for every module, whatever lies in the working folder."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import hormesis
from tests.conftest import ROOT
from tests.fixtures.readme import readme_lines
from tests.fixtures.service_world import World
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


def test_package_names_what_it_has() -> None:
    assert {"open", "load", "chart", "__version__"} <= set(dir(hormesis))
    assert all(callable(getattr(hormesis, name)) for name in hormesis.__all__)
    assert hormesis.__version__ == version("hormesis")
    with pytest.raises(AttributeError, match="no attribute 'shut'"):
        hormesis.shut  # type: ignore[attr-defined]  # noqa: B018


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a wheel of this tree was installed into."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "target"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in (".src", *LAYERS):
        unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=unwanted)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(wheels), str(source)],
        check=True,
    )
    wheel = next(wheels.glob("hormesis-*.whl"))
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)], check=True
    )
    return target


@pytest.fixture
def their_folder(tmp_path: Path) -> Path:
    """A working folder with modules of somebody else's, called as our layers are."""
    for name in ("backend", "dashboard"):
        (tmp_path / name).mkdir()
    for path in ("backend/__init__.py", "dashboard/__init__.py", "db.py", "pipeline.py"):
        (tmp_path / path).write_text("OWNER = 'theirs'\n")
    return tmp_path


@pytest.mark.slow
def test_installed_wheel_stands_beside_modules_of_the_same_names(
    installed: Path, their_folder: Path, small_database: Path, world: World
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "HORMESIS_DB": str(small_database)}

    def output(*command: str) -> str:
        result = subprocess.run(
            [sys.executable, *command],
            cwd=their_folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    lines = readme_lines(world.home / "models" / "dose-10")
    owners = "import backend, dashboard, db, pipeline\n"
    owners += "print({module.OWNER for module in (backend, dashboard, db, pipeline)}, hormesis.__file__)\n"
    (their_folder / "analysis.py").write_text(lines + owners)
    assert output("analysis.py").strip() == f"{{'theirs'}} {installed / 'hormesis' / '__init__.py'}"
    program = str(installed / "bin" / "hormesis")
    assert output(program, "--version") == output("-m", "hormesis", "--version")
    assert output("-m", "hormesis", "--version").strip() == f"hormesis {version('hormesis')}"
    assert "Open the dashboard" in output(program, "dashboard", "--help")
    output(program, "report", "000000", "--out", "report.html")
    assert b"<html" in (their_folder / "report.html").read_bytes()
