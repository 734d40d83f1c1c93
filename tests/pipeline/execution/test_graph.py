"""The declared graph, and walking it: order, failure, stop, a dying worker, one arm; by every executor."""

from __future__ import annotations

import os
import pickle
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hormesis.db.engine import open_reader
from hormesis.db.read import stage_runs
from hormesis.pipeline.commands.run_study import run_study
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.executors.processes import InlineExecutor, PoolExecutor
from hormesis.pipeline.execution.graph import Graph, GraphError, arm_subjects
from hormesis.pipeline.execution.progress import Pace, Reporter
from hormesis.pipeline.execution.stage import STUDY, Stage, Subject
from hormesis.pipeline.execution.study import StudyHandle, register
from hormesis.pipeline.execution.walk import Outcome, Task, TaskOutcome, announce_all, walk
from hormesis.pipeline.stages import GRAPH
from hormesis.pipeline.study.config import ConfigError, parse_study
from tests.fixtures.tiny_study import copy_files, rows, run, write_study

ROOT = Path(__file__).resolve().parents[3]
CONFIG = parse_study({"name": "walked", "shares": [0.0, 0.1, 0.25], "controls": [], "seeds": [0]})
ARMS = ["toxic-0-s0", "toxic-10-s0", "toxic-25-s0"]


def key(context: StudyContext, subject: Subject) -> str:
    return f"key of {subject.name}"


def write(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    reporter.report(1, 1, "files")
    (context.home / f"{subject.name}.txt").write_text(subject.name, encoding="utf-8")


def fail(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    if subject.name == ARMS[1]:
        raise ValueError("this arm cannot be trained")


def die(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    if subject.name == ARMS[1]:
        os._exit(1)


def take_all_memory(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    if subject.name == ARMS[1]:
        np.empty(2**60, np.uint8)


def summarise(context: StudyContext, subject: Subject) -> None:
    (context.home / f"{subject.name}.summary").touch()


def small_graph(train: Any) -> Graph:
    stages = (
        Stage("verdicts", key=key, run=write, needs=("train",)),
        Stage("train", key=key, run=train, needs=("mix",)),
        Stage("text", key=key, run=write),
        Stage("mix", key=key, run=write, needs=("text",)),
    )
    return Graph(stages, after_each=(summarise,))


@pytest.fixture(params=["inline", "pool"])
def executor(request: pytest.FixtureRequest) -> Iterator[InlineExecutor | PoolExecutor]:
    if request.param == "inline":
        yield InlineExecutor()
        return
    pool = PoolExecutor(2, 1)
    yield pool
    pool.close(wait=True)


def handle(tmp_path: Path) -> StudyHandle:
    return register(CONFIG, home=tmp_path, database_url=f"sqlite:///{tmp_path / 'rows.sqlite'}", revisions={})


def walked(study: StudyHandle, graph: Graph, executor: InlineExecutor | PoolExecutor) -> Outcome:
    context = study.open(lambda: executor.stopping)
    announce_all(context, graph.plan(CONFIG, arm_subjects(context)))
    return walk(study, graph, executor, subjects=arm_subjects, after_arms=graph.after_arms(CONFIG))


def statuses(study: StudyHandle) -> dict[tuple[str, str], str]:
    table: pd.DataFrame = stage_runs(open_reader(study.database_url), study.study_id)
    return {(row.stage, row.subject): row.status for row in table.itertuples()}


def test_stages_are_sorted_and_a_need_must_come_before() -> None:
    assert [stage.name for stage in small_graph(write).stages] == ["text", "mix", "train", "verdicts"]
    with pytest.raises(GraphError, match="probe needs train"):
        Graph((Stage("probe", key=key, run=write, needs=("train",)),))
    with pytest.raises(GraphError, match="mix needs train"):
        Graph((Stage("mix", key=key, run=write, needs=("train",)), Stage("train", key=key, run=write)))


def test_every_stage_of_a_study_can_be_sent_to_a_worker() -> None:
    assert pickle.loads(pickle.dumps(GRAPH)) == GRAPH


@pytest.mark.slow
def test_every_executor_does_all_and_a_second_walk_nothing(
    tmp_path: Path, executor: InlineExecutor | PoolExecutor
) -> None:
    study, graph = handle(tmp_path), small_graph(write)
    outcome = walked(study, graph, executor)
    assert outcome.exit_code == 0 and outcome.worked and sorted(task.arm for task in outcome.arms) == ARMS
    assert set(statuses(study).values()) == {"done"} and len(statuses(study)) == 2 + 2 * len(ARMS)
    assert {path.stem for path in tmp_path.glob("*.summary")} == set(ARMS)
    again = walked(study, graph, executor)
    assert again.exit_code == 0 and not again.worked
    context = study.open(lambda: False)
    assert graph.is_finished(context, arm_subjects(context))


def test_an_arm_whose_summary_had_to_wait_is_told_while_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pace, "FREE", 0.0)
    monkeypatch.setattr(Pace, "SHARE", 0.5)

    def wait_for_the_others(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
        until = time.monotonic() + 60
        while subject.name == ARMS[2] and len(list(tmp_path.glob("*.summary"))) < 2:
            assert time.monotonic() < until, "an arm that is done has no summary"
            time.sleep(0.05)

    def summarise_slowly(context: StudyContext, subject: Subject) -> None:
        time.sleep(0.3)
        summarise(context, subject)

    graph = replace(small_graph(wait_for_the_others), after_each=(summarise_slowly,))
    assert walked(handle(tmp_path), graph, InlineExecutor()).failures == []


@pytest.mark.slow
def test_an_arm_that_fails_stops_no_other(tmp_path: Path, executor: InlineExecutor | PoolExecutor) -> None:
    study = handle(tmp_path)
    outcome = walked(study, small_graph(fail), executor)
    assert outcome.exit_code == 2
    assert outcome.failures == [f"train of {ARMS[1]}: this arm cannot be trained"]
    assert statuses(study)["train", ARMS[1]] == "failed" and statuses(study)["verdicts", "study"] == "done"
    assert {path.stem for path in tmp_path.glob("*.summary")} == {ARMS[0], ARMS[2]}
    assert walked(study, replace_run(small_graph(fail)), executor).exit_code == 0


class RecordingExecutor(InlineExecutor):
    """Keeps which stages of the whole study were handed over together."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []

    def run(self, tasks: Sequence[Task], look: Callable[[], None]) -> Iterator[tuple[Task, TaskOutcome]]:
        self.batches.append([stage.name for task in tasks if task.subject == STUDY for stage in task.stages])
        return super().run(tasks, look)


def test_stages_after_the_arms_run_side_by_side_unless_one_needs_another(tmp_path: Path) -> None:
    executor, stages = RecordingExecutor(), small_graph(write).stages
    project, toy = (Stage(name, key=key, run=write, needs=("train",)) for name in ("project", "toy"))
    verdicts = replace(stages[-1], needs=("project", "toy"))
    outcome = walked(handle(tmp_path), Graph((*stages[:-1], project, toy, verdicts)), executor)
    assert outcome.exit_code == 0 and executor.batches == [["text"], [], ["project", "toy"], ["verdicts"]]


def replace_run(graph: Graph) -> Graph:
    """The graph with a training that works."""
    return Graph(tuple(replace(stage, run=write) for stage in graph.stages), graph.after_each)


@pytest.mark.slow
def test_a_stage_short_of_memory_says_what_to_lower(
    tmp_path: Path, executor: InlineExecutor | PoolExecutor
) -> None:
    study = handle(tmp_path)
    outcome = walked(study, small_graph(take_all_memory), executor)
    (line,) = outcome.failures
    assert outcome.exit_code == 2
    assert re.match(rf"train of {ARMS[1]}: out of memory \(.+ free\): lower training\.batch_size", line)
    assert statuses(study)["verdicts", "study"] == "done"


@pytest.mark.slow
def test_a_worker_that_dies_fails_its_own_arm_alone(tmp_path: Path) -> None:
    pool = PoolExecutor(2, 1)
    try:
        outcome = walked(handle(tmp_path), small_graph(die), pool)
    finally:
        pool.close(wait=True)
    assert {task.arm: task.status for task in outcome.arms} == dict.fromkeys(ARMS, "done") | {
        ARMS[1]: "failed"
    }
    assert len(outcome.failures) == 1 and "a worker process died" in outcome.failures[0]


@pytest.mark.slow
def test_a_worker_that_cannot_open_the_database_says_why(
    tmp_path: Path, executor: InlineExecutor | PoolExecutor
) -> None:
    study = handle(tmp_path)
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"this is no database at all" * 100)
    tasks = [
        Task(replace(study, database_url=f"sqlite:///{broken}"), Subject(name), small_graph(write).stages)
        for name in ARMS
    ]
    outcomes = [result for _, result in executor.run(tasks, lambda: None)]
    assert [result.status for result in outcomes] == ["failed"] * len(ARMS)
    assert all("broken.sqlite" in result.message and "died" not in result.message for result in outcomes)


def test_a_stop_is_heard_between_stages_and_nothing_follows(
    tmp_path: Path, executor: InlineExecutor | PoolExecutor
) -> None:
    study = handle(tmp_path)
    executor.ask_to_stop()
    outcome = walked(study, small_graph(write), executor)
    assert outcome.exit_code == 130 and not outcome.arms and statuses(study)["text", "study"] == "stopped"


def test_the_picture_in_contributing_is_that_of_the_declarations() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    picture = f"```mermaid\n{GRAPH.mermaid()}\n```"
    assert picture in text, f"put this into CONTRIBUTING.md:\n{picture}"


def test_an_unknown_arm_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no arm 'toxic-50-s0' \(its arms: toxic-0-s0"):
        run_study(CONFIG, home=tmp_path / "home", database_url="sqlite://", arm="toxic-50-s0")
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
def test_one_arm_runs_its_part_and_the_whole_run_goes_on_from_there(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path / "home"
    copy_files(tmp_path_factory, home)
    study = write_study(tmp_path, {'controls = ["clean-forum"]': "controls = []"})
    done = run(home, "run", str(study), "--arm", "toxic-25-s0")
    assert done.returncode == 0, done.stderr
    stages = rows(home)["stage"]
    finished = stages[stages["status"] == "done"]
    assert set(finished["subject"]) == {"study", "toxic-25-s0"}
    assert set(finished.loc[finished["subject"] == "study", "stage"]) == {"text"}
    assert {"mix", "train", "probe", "condition", "generate", "score"} <= set(
        finished.loc[finished["subject"] == "toxic-25-s0", "stage"]
    )
    trained = finished.set_index(["stage", "subject"])["input_hash"]
    done = run(home, "run", str(study))
    assert done.returncode == 0, done.stderr
    after = rows(home)["stage"]
    assert set(after["status"]) == {"done"} and "verdicts" in set(after["stage"])
    assert after.set_index(["stage", "subject"])["input_hash"].loc[trained.index].equals(trained)


def test_one_lost_worker_is_told_once() -> None:
    outcome = Outcome(1)
    for _ in range(3):
        outcome.add(TaskOutcome("study", "failed", "study: a worker process died", worked=True))
    outcome.add(TaskOutcome("toxic-0-s0", "failed", "toxic-0-s0: a worker process died", worked=True))
    assert len(outcome.failures) == 2 and outcome.exit_code == 2
