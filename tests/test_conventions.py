"""The files that outsiders read say what the code does: check, hooks, changelog, citation, security."""

from __future__ import annotations

import os
import re
import tomllib
from typing import Any

import pytest
import yaml

from hormesis.backend.service.settings import Settings
from hormesis.db.contract.tokens import TOKEN_VARIABLE
from tests.conftest import ROOT
from tests.structure import LAYERS, modules

HEADINGS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Versions of results"}
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def loaded(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_workflow_runs_the_check_with_pinned_actions() -> None:
    job = loaded(".github/workflows/ci.yml")["jobs"]["check"]
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == ".ci/run"
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert actions and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in actions)
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "requires-python"
    ]
    assert job["strategy"]["matrix"]["python"][0] == oldest.removeprefix(">=")


def test_the_hooks_are_the_linters_of_the_check() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe is not None
    linters = {line.strip().removeprefix("$(BIN)/").removesuffix(" .") for line in recipe[1].splitlines()}
    hooks = loaded(".pre-commit-config.yaml")["repos"][0]["hooks"]
    entries = {hook["entry"].removeprefix(".venv/bin/").removesuffix(" --force-exclude") for hook in hooks}
    assert entries == linters and {hook["language"] for hook in hooks} == {"system"}


def test_tests_of_a_group_share_a_worker(request: pytest.FixtureRequest) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("tests run in one process")
    grouped = [item for item in request.session.items if item.get_closest_marker("xdist_group")]
    assert grouped and all("@" in item.nodeid for item in grouped), "pytest-xdist reads the group there"


def test_quiet_tests_lie_where_the_check_looks_for_them() -> None:
    (folder,) = re.findall(r"-m quiet (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    files = (ROOT / "tests").rglob("test_*.py")
    quiet = [path for path in files if re.search(r"pytest\.mark\.quiet\b", path.read_text(encoding="utf-8"))]
    assert {path.parent for path in quiet} == {ROOT / folder}


def test_the_changelog_has_the_usual_headings() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert releases[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", release) for release in releases[1:])
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= HEADINGS


def test_the_version_stands_in_one_place() -> None:
    assert not [module.path for module in modules() if f'"{PROJECT["version"]}"' in module.text]
    citation = loaded("CITATION.cff")
    assert "version" not in citation
    (paper,) = citation["references"]
    assert "2505.04741" in (ROOT / "README.md").read_text(encoding="utf-8") and "2505.04741" in paper["url"]


def test_what_is_promised_about_security_holds() -> None:
    assert TOKEN_VARIABLE in SECURITY and Settings.host in SECURITY and len(SECURITY.splitlines()) <= 15
    sources = [module for module in modules() if module.path.parts[0] in LAYERS]
    banned = re.compile(
        r"\b(joblib|pickle)\.loads?\(|\btorch\.load\((?!.*weights_only=True)|trust_remote_code=True|allow_pickle=True"
    )
    assert not [module.path for module in sources if banned.search(module.text)]
    launch = (ROOT / "dashboard/launch.py").read_text(encoding="utf-8")
    assert f'"--host", default="{Settings.host}"' in launch and '"--port", type=int, default=8501' in launch
