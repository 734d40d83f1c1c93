"""A study on a Ray cluster: the rows of a local run, and every loss costs the stage that it fell in."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hormesis.dashboard.launch import free_port
from tests.fixtures.audit import audited, cut_stages, repetitions, stages, starts
from tests.fixtures.postgres_server import PostgresServer
from tests.fixtures.tiny_study import BRIEF, assert_same_rows, command, environment, finished_study

pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


class Cluster:
    """A head with a number of cores, on ports and in a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self.address = folder, f"127.0.0.1:{port}"
        self.environment = {
            "RAY_ADDRESS": self.address,
            "RAY_TMPDIR": str(folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONSAFEPATH": "1",
        }

    def start(self, cores: int) -> None:
        options = ["--head", "--port", self.address.rpartition(":")[2], "--num-cpus", str(cores)]
        options += ["--num-gpus", "0", "--include-dashboard=false", "--temp-dir", str(self._folder)]
        variables = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        script = [str(Path(sys.executable).with_name("ray")), "start", *options]
        subprocess.run(script, env=variables | self.environment, check=True, capture_output=True, timeout=120)

    def kill(self, name: str = "") -> None:
        """Kill the processes of this cluster whose command names this program."""
        for process in psutil.process_iter(["cmdline"]):
            words = " ".join(process.info["cmdline"] or [])
            if f"{self._folder}/" in words and name in words:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of four cores. The path of its sockets must be short."""
    folder = Path(f"/tmp/ray-{os.getpid()}")
    cluster = Cluster(folder, free_port("127.0.0.1", 0))
    cluster.start(4)
    yield cluster
    cluster.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study file of two arms and a home in which it ran on this machine alone."""
    return finished_study(tmp_path_factory, "brief", BRIEF)


def start(cluster: Cluster, study: Path, home: Path, url: str | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("run", str(study), "--on", "ray"),
        env=environment(home, url) | cluster.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors


def worker_of(url: str, stage: str, process: subprocess.Popen[str]) -> int:
    """The process that runs this stage on some arm, as soon as there is one."""
    while process.poll() is None:
        rows = stages(url)
        running = rows[(rows["stage"] == stage) & (rows["status"] == "running")]
        at_work = [int(pid) for pid in running["pid"] if psutil.pid_exists(int(pid))]
        if at_work:
            return at_work[0]
        time.sleep(0.02)
    raise AssertionError(f"the run ended before its stage {stage} was seen")


def test_rows_are_those_of_a_local_run_and_two_workers_are_at_work_at_once(
    brief: tuple[Path, Path], cluster: Cluster, tmp_path: Path, postgres: PostgresServer
) -> None:
    study, home = brief
    url = audited(postgres.new_database())
    finish(start(cluster, study, tmp_path / "home", url))
    assert_same_rows(home, url)
    assert set(starts(url).values()) == {1}
    by_arm = stages(url).query("subject != 'study'").groupby("subject")
    assert list(by_arm["pid"].nunique()) == [1, 1] and by_arm["pid"].first().nunique() == 2
    assert by_arm["started"].min().max() < by_arm["finished"].max().min(), "both were at work at once"


def kill_worker(url: str, stage: str, process: subprocess.Popen[str]) -> Counter[tuple[str, str]]:
    """Kill a worker at this stage; what that cut (by then the worker may have been at its next stage)."""
    while True:
        worker = worker_of(url, stage, process)
        os.kill(worker, signal.SIGKILL)
        if lost := cut_stages(url, f"pid == {worker} and status == 'running'"):
            assert lost.total() == 1
            return lost
        # It was between two stages, which costs none.


def test_lost_heads_killed_workers_and_ctrl_c_cost_the_stages_at_work_alone(
    brief: tuple[Path, Path], cluster: Cluster, tmp_path: Path, postgres: PostgresServer
) -> None:
    study, home = brief
    url, own_home = audited(postgres.new_database()), tmp_path / "home"
    process = start(cluster, study, own_home, url)
    worker_of(url, "train", process)
    cluster.kill("gcs_server")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "was lost; what is done is kept: start it again" in errors.strip().splitlines()[-1]
    cluster.kill()
    workers = map(int, stages(url)["pid"].dropna().unique())
    psutil.wait_procs([psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)], timeout=60)
    losses = cut_stages(url, "status == 'running'")  # workers end a moment after what has started them

    cluster.start(4)
    process = start(cluster, study, own_home, url)
    losses += kill_worker(url, "train", process)
    worker_of(url, "probe", process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert errors.strip().endswith("stopped; the same command goes on from here")
    stopped = cut_stages(url, "status == 'stopped'")
    assert stopped and not cut_stages(url, "status == 'running'")
    losses += stopped

    process = start(cluster, study, own_home, url)
    losses += kill_worker(url, "generate", process)
    finish(process)
    assert_same_rows(home, url)
    assert repetitions(url) == losses


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:1", "no Ray cluster answers on"),
        ("nonsense", "RAY_ADDRESS: Invalid address format: nonsense"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_line(
    address: str, sentence: str, cluster: Cluster, brief: tuple[Path, Path], tmp_path: Path
) -> None:
    study, home = brief
    shutil.copytree(home / "files", tmp_path / "home" / "files")
    variables = environment(tmp_path / "home") | cluster.environment | {"RAY_ADDRESS": address}
    process = subprocess.run(
        command("run", str(study), "--on", "ray"), env=variables, capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert sentence in process.stderr.strip().splitlines()[-1]
    assert "Traceback" not in process.stderr
