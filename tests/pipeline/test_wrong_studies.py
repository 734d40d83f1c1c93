"""Thirty generated study files: refused with exit 2 and nothing written, or run to their end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hormesis.pipeline import cli
from tests.fixtures.tiny_study import environment
from tests.wrong_studies import judge, write, wrong_study

SEEDS = range(30)
ACCEPTED = (0, 2, 22)
"""Seeds whose study a plan accepts."""
IN_PROCESSES = (*ACCEPTED, 5, 1, 12, 7, 28)
"""Those, and one refused for a value, rows, a key, a scorer and a file: commands that tests start."""
MOST_SECONDS = 1.0
"""Of processor time, until a mistake of the study file itself is told."""


def called(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit code of a command run in this process."""
    monkeypatch.setattr(sys, "argv", ["hormesis", *arguments])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_wrong_is_refused_before_anything_is_written(
    seed: int,
    tmp_path: Path,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = write(wrong_study(seed), tmp_path)
    monkeypatch.setenv("HORMESIS_OFFLINE", "1")
    code = called(["plan", str(study)], monkeypatch)
    assert code in (0, 2) and not list(own_home.glob("*")), "a plan writes nothing"
    if code == 2:
        line = capsys.readouterr().err.strip()
        assert line.startswith("hormesis: ") and "\n" not in line and len(line) < 600
        monkeypatch.setattr("hormesis.pipeline.execution.executors.workers.start_server", lambda: None)
        assert called(["run", str(study)], monkeypatch) == 2
        assert capsys.readouterr().err.strip() == line and not list(own_home.glob("*"))


def test_the_thirty_hold_both_kinds(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = []
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        if called(["plan", str(write(wrong_study(seed), folder))], monkeypatch) != 2:
            accepted.append(seed)
    assert tuple(accepted) == ACCEPTED and len(SEEDS) - len(accepted) >= 15


@pytest.mark.slow
@pytest.mark.parametrize("seed", IN_PROCESSES)
def test_what_is_not_refused_runs_to_its_end(seed: int, tmp_path: Path) -> None:
    outcome, about = judge(seed, tmp_path)
    assert outcome in ("refused", "ran"), about
    assert outcome == "ran" or seed not in ACCEPTED or "not checked" in about, about


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_mistake_of_the_file_itself_is_told_at_once_and_without_torch(command: str, tmp_path: Path) -> None:
    code = (
        "import resource, sys\nfrom hormesis.pipeline import cli\n"
        f"sys.argv = ['hormesis', '{command}', 'wrong.toml']\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert end.code == 2\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print('torch' in sys.modules, used.ru_utime + used.ru_stime)"
    )
    (tmp_path / "wrong.toml").write_text('name = "wrong"\nseeds = [-1]\n')
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=True,
    )
    has_torch, seconds = done.stdout.split()
    assert "seeds.0" in done.stderr and has_torch == "False"
    assert float(seconds) < MOST_SECONDS
