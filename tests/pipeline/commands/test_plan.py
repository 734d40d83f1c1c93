"""What `plan` tells, and that it can tell it without the libraries that train."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hormesis.pipeline.execution.deferred import Deferred
from hormesis.pipeline.stages import GRAPH
from tests.fixtures.tiny_study import environment

CODE = """
import sys
from hormesis.pipeline import cli
sys.argv = ["hormesis", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as end:
    code = end.code
heavy = {"torch", "transformers", "sklearn", "streamlit"} & set(sys.modules)
print("loaded:", *sorted(heavy), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("preset", ["forum", "forum-full"])
def test_a_plan_loads_nothing_that_trains(preset: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, "plan", preset, "--json"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.split("loaded:")[1].split() == []


def test_the_work_of_every_stage_is_where_its_declaration_says() -> None:
    functions = [*GRAPH.after_each, *(stage.run for stage in GRAPH.stages)]
    functions += [stage.key for stage in GRAPH.stages]
    functions += [stage.all_ranks for stage in GRAPH.stages if stage.all_ranks is not None]
    deferred = [function for function in functions if isinstance(function, Deferred)]
    assert len(deferred) >= len(GRAPH.stages)
    assert all(callable(function.function) for function in deferred)
