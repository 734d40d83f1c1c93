"""Several machines on one database: no stage twice, both at work, a vanished one's stages taken over.

A machine is a process under another host name (a UTS namespace), so that its processes cannot be looked up.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fixtures.audit import audited, cut_stages, repetitions, stages, starts
from tests.fixtures.forked import HOST
from tests.fixtures.postgres_server import PostgresServer
from tests.fixtures.tiny_study import (
    BRIEF,
    assert_same_rows,
    command,
    environment,
    finished_study,
    run,
    write_study,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("machines")]


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study file and a home in which it ran on one machine."""
    return finished_study(tmp_path_factory, "brief", BRIEF)


@contextmanager
def machine(name: str, home: Path, url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command on a machine of this name; it and its workers are killed at the end."""
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "--uts", "true"], check=False).returncode
    ):
        pytest.skip("a second host name needs root and unshare")
    process = subprocess.Popen(
        command(*arguments),
        env=environment(home, url) | {HOST: name},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ended(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors


def test_two_machines_of_two_workers_share_a_study(tmp_path: Path, postgres: PostgresServer) -> None:
    study = write_study(tmp_path, BRIEF | {"seeds = [0]": "seeds = [0, 1]"})
    url, shared, alone = audited(postgres.new_database()), tmp_path / "home", tmp_path / "alone"
    arguments = ("run", str(study), "--workers", "2")
    with (
        machine("first", shared, url, *arguments) as first,
        machine("second", shared, url, *arguments) as second,
    ):
        ended(first)
        ended(second)
    assert set(starts(url).values()) == {1}
    rows = stages(url)
    assert set(rows["host"]) == {"first", "second"}
    of_arms = rows[rows["subject"] != "study"]
    first_rows, second_rows = (of_arms[of_arms["host"] == host] for host in ("first", "second"))
    assert first_rows["started"].min() < second_rows["finished"].max()
    assert second_rows["started"].min() < first_rows["finished"].max(), "both at work at once"
    # Trained models are found, and their rows written anew.
    shutil.copytree(shared / "files", alone / "files")
    finished = run(alone, "run", str(study))
    assert finished.returncode == 0, finished.stderr
    assert_same_rows(alone, url)


def test_the_stages_of_a_vanished_machine_are_taken_over_after_the_lease(
    brief: tuple[Path, Path], tmp_path: Path, postgres: PostgresServer
) -> None:
    study, home = brief
    url, shared = audited(postgres.new_database()), tmp_path / "home"
    arguments = ("run", str(study), "--workers", "1")
    with machine("first", shared, url, *arguments):
        cut = "train"
        while not ((rows := stages(url))[rows["stage"] == cut]["done"] > 0).any():
            time.sleep(0.1)
    lost = cut_stages(url, "status == 'running'")
    assert lost.total() == 1
    with machine("second", shared, url, *arguments) as second:
        ended(second)
    assert_same_rows(home, url)
    assert repetitions(url) == lost
    taken_over = stages(url).set_index(["stage", "subject"]).loc[list(lost)]
    assert set(taken_over["host"]) == {"second"}


SBATCH = """#!/bin/bash
# Runs what it is given at once: all tasks of an array side by side, as free nodes would.
script=$(cat); last=
for word in "$@"; do case $word in --array=0-*) last=${word#--array=0-};; esac; done
echo "$@" >> "$SUBMITTED"
if [ -n "$last" ]; then
    for i in $(seq 0 "$last"); do SLURM_ARRAY_TASK_ID=$i bash -c "$script" >&2 & done; wait
else
    bash -c "$script" >&2
fi
echo 7
"""


def test_arms_run_apart_as_slurm_would_do_no_stage_twice(brief: tuple[Path, Path], tmp_path: Path) -> None:
    study, home = brief
    shared, programs, plan = tmp_path / "home", tmp_path / "bin", command("plan", str(study), "--slurm")
    shared.mkdir()
    programs.mkdir()
    url = audited(f"sqlite:///{shared}/hormesis.sqlite")
    script = subprocess.run(
        plan,
        env=environment(shared),
        capture_output=True,
        text=True,
        check=True,
    )
    (programs / "sbatch").write_text(SBATCH)
    (programs / "sbatch").chmod(0o755)
    (tmp_path / "submit.sh").write_text(script.stdout)
    variables = environment(shared) | {"SUBMITTED": str(tmp_path / "submitted")}
    done = subprocess.run(
        ["bash", str(tmp_path / "submit.sh"), "--gpus", "0"],
        env=variables | {"PATH": f"{programs}:{variables['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "submitted").read_text().splitlines() == [
        "--parsable --job-name=hormesis-tiny --array=0-1 --gpus 0",
        "--job-name=hormesis-tiny --dependency=afterany:7 --gpus 0",
    ]
    assert set(starts(url).values()) == {1}
    assert_same_rows(home, shared)
    finished = subprocess.run(
        plan,
        env=environment(shared),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "0 arms left" in finished.stdout
