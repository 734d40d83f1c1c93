"""Nothing begins unchecked: who may read what, and what a plan says that it has not seen."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hormesis.pipeline.checks.beginning import check_study
from hormesis.pipeline.study.config import parse_study
from hormesis.pipeline.study.config_base import exact_key_part, key_part
from tests import structure
from tests.fixtures.tiny_study import environment

DOORS = {
    "source_revisions": {"pipeline/checks/beginning.py"},
    "require_checkpoints": {"pipeline/checks/beginning.py"},
    "require_scorers": {"pipeline/checks/beginning.py"},
    "check_texts": {"pipeline/checks/beginning.py"},
}
"""What only the check of a beginning may call, so that `plan`, `run` and `import` cannot differ."""
BEGIN = {"pipeline/commands/run_study.py", "pipeline/commands/import_checkpoint.py"}
"""Who writes a study's row."""
TABLES = {"pipeline/sources", "pipeline/commands/tables"}
"""The rooms that know formats of tables."""


def calls(module: structure.Module) -> set[str]:
    """Names of the plain functions that a module calls."""
    nodes = (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))
    return {node.func.id for node in nodes if isinstance(node.func, ast.Name)}


SOURCE = [module for module in structure.modules() if module.path.parts[0] == "pipeline"]


def test_every_beginning_goes_through_the_one_check() -> None:
    for name, doors in DOORS.items():
        callers = {str(module.path) for module in SOURCE if name in calls(module)}
        assert callers == doors, f"{name}: call check_study instead"
    for module in SOURCE:
        if "register" in calls(module) and module.path.parts[1] == "commands":
            assert str(module.path) in BEGIN and "check_study" in calls(module)


def test_tables_are_read_by_the_readers_of_sources_alone() -> None:
    for module in SOURCE:
        imported = {
            alias.name.split(".")[0]
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        imported |= {
            (node.module or "").split(".")[0]
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ImportFrom)
        }
        if imported & {"csv", "pyarrow"}:
            assert str(module.path.parent) in TABLES, f"{module.path}: use sources.files.table_rows"


def test_a_plan_lists_what_it_did_not_reach(tmp_path: Path) -> None:
    study = tmp_path / "mine.toml"
    study.write_text(
        'name = "mine"\n[evaluation]\nscorers = ["forum", "classifier:owner/model@main", "perspective"]\n'
        '[[checkpoints]]\nmodel = "owner/other"\nshare = 0.1\n'
    )
    variables = environment(tmp_path / "home") | {"PERSPECTIVE_API_KEY": "k", "HF_HUB_OFFLINE": "1"}
    variables |= {"HF_HOME": str(tmp_path / "hub"), "HORMESIS_OFFLINE": "1"}
    command = [sys.executable, "-m", "hormesis.pipeline.cli"]
    plan = subprocess.run(
        [*command, "plan", str(study), "--json"], env=variables, capture_output=True, text=True, check=True
    )
    assert json.loads(plan.stdout)["unreached"] == [
        "model owner/other, not here yet",
        "scorer classifier:owner/model@main, not here yet",
        "scorer perspective, a service of another company",
    ]
    words = subprocess.run(
        [*command, "plan", str(study)], env=variables, capture_output=True, text=True, check=True
    )
    assert words.stdout.count("not checked: ") == 3
    run = subprocess.run(
        [*command, "run", str(study)], env=variables, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2 and "owner/" in run.stderr and "Traceback" not in run.stderr
    assert not list((tmp_path / "home").glob("*.sqlite"))


def test_a_study_of_the_forum_language_is_wholly_checked(tmp_path: Path) -> None:
    config = parse_study({"name": "x"})
    assert check_study(config, f"sqlite:///{tmp_path}/none.sqlite", ask=False).unreached == ()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("first", "second"), [(1_000_001.0, 1_000_002.0), (0.1, 0.1000001)])
def test_measured_numbers_keep_names_of_their_own(first: float, second: float) -> None:
    assert key_part(first) == key_part(second)
    assert exact_key_part(first) != exact_key_part(second)
    assert exact_key_part(64.0) == "64"
