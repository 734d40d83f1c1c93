"""Which newer release of a direct dependency breaks which test.

`python -m tests.newest [NAME ...] [-m MARKS]`: every direct dependency for which the index has a newer
release than the one installed is put, alone, before the others in an environment of its own, and the tests
run there. Results are kept in build/newest.json, so a cut run goes on; `--again` begins anew.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from xml.etree import ElementTree

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rich.console import Console

from hormesis.db.files import write_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "newest.json"


def direct_dependencies() -> set[str]:
    """Names of the packages that pyproject.toml asks for, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return {canonicalize_name(Requirement(line).name) for group in groups for line in group}


def newer_releases(only: set[str]) -> dict[str, str]:
    """The newest release on the index of each direct dependency that is installed in an older one."""
    command = [sys.executable, "-m", "pip", "list", "--outdated", "--format", "json"]
    listing = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    latest = {canonicalize_name(row["name"]): row["latest_version"] for row in listing}
    names = direct_dependencies() & (only or latest.keys())
    return {name: latest[name] for name in sorted(names & latest.keys())}


def environment_with(folder: Path, requirement: str) -> tuple[Path | None, str]:
    """An environment that has one other release before all that is installed here; its Python, or why not."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    (site / "installed.pth").write_text(
        f"{sysconfig.get_path('purelib')}\n{ROOT / '.src'}\n", encoding="utf-8"
    )
    install = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    return (python, "") if install.returncode == 0 else (None, install.stderr.strip().splitlines()[-1])


def failed_tests(python: Path, marks: str) -> list[str]:
    """Run the tests with this Python; the names of those that fail."""
    report = ROOT / "build" / "newest.xml"
    report.unlink(missing_ok=True)
    command = [
        str(python),
        "-m",
        "pytest",
        "-n",
        "2",
        "--dist",
        "loadgroup",
        "-m",
        marks,
        f"--junitxml={report}",
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not report.is_file():
        return [f"pytest ended without a report: {(ended.stdout + ended.stderr).strip()[-200:]}"]
    cases = ElementTree.parse(report).iter("testcase")
    return [
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]


def main() -> int:
    """Test each newer release; returns 1 where one breaks a test."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="only these packages")
    parser.add_argument("-m", dest="marks", default="not browser and not slow")
    parser.add_argument("--venv", type=Path, default=ROOT / "build" / "newest-venv")
    parser.add_argument("--again", action="store_true", help="forget what earlier runs found")
    options = parser.parse_args()
    console = Console()
    results: dict[str, list[str]] = {}
    if RESULTS.is_file() and not options.again:
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
    releases = newer_releases({canonicalize_name(name) for name in options.names})
    for place, (name, version) in enumerate(releases.items(), start=1):
        requirement = f"{name}=={version}"
        if requirement not in results:
            console.print(f"{place} of {len(releases)}: {requirement}")
            python, refusal = environment_with(options.venv.resolve(), requirement)
            results[requirement] = failed_tests(python, options.marks) if python else [refusal]
            RESULTS.parent.mkdir(exist_ok=True)
            write_json(RESULTS, results)
        failures = results[requirement]
        console.print(f"{requirement}: {'breaks' if failures else 'passes'}", *failures, sep="\n  ")
    shutil.rmtree(options.venv, ignore_errors=True)
    if not releases:
        console.print("every direct dependency is at its newest release")
    return 1 if any(results[f"{name}=={version}"] for name, version in releases.items()) else 0


if __name__ == "__main__":
    sys.exit(main())
