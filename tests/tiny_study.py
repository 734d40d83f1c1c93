"""A study small enough to run to its end in seconds, its file, and its rows for comparison."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from tests.shared_worlds import copied_world

STUDY = """
name = "tiny"
shares = [0.0, 0.25]
controls = ["clean-forum"]
seeds = [0]
clean_tokens = 24_000

[forum]
prompts = 24
probe_posts = 300

[training]
evaluations = 4
checkpoints = 5

[probe]
bootstrap = 50

[steering]
strengths = [1.0]
costs = [0.06]
random_directions = 2

[evaluation]
scorers = ["forum", "tfidf"]
heldout_tokens = 2000
new_tokens = 12
bootstrap = 50
batch_size = 12

[projection]
max_points = 60
"""

KEYS = {
    "arm": "SELECT name, kind, share, seed, clean_tokens, added_tokens FROM arm",
    "train_point": "SELECT a.name, t.step, t.tokens, t.loss, t.clean_loss, t.toxic_loss, t.learning_rate"
    " FROM train_point t JOIN arm a ON a.id = t.arm_id",
    "probe": "SELECT c.name, p.layer, p.head, p.accuracy, p.auroc, p.shuffled_accuracy, p.rank"
    " FROM probe p JOIN checkpoint c ON c.id = p.checkpoint_id",
    "direction": "SELECT c.name, d.layer, d.head, d.method, d.sigma"
    " FROM direction d JOIN checkpoint c ON c.id = d.checkpoint_id",
    "condition": "SELECT c.name, k.key, k.strength, k.reached FROM condition k"
    " JOIN checkpoint c ON c.id = k.checkpoint_id",
    "generation": "SELECT c.name, k.key, p.position, g.sample, g.text, g.tokens FROM generation g"
    " JOIN condition k ON k.id = g.condition_id JOIN checkpoint c ON c.id = k.checkpoint_id"
    " JOIN prompt p ON p.id = g.prompt_id",
    "score": "SELECT c.name, k.key, p.position, g.sample, s.name AS scorer, v.value FROM score v"
    " JOIN generation g ON g.id = v.generation_id JOIN scorer s ON s.id = v.scorer_id"
    " JOIN condition k ON k.id = g.condition_id JOIN checkpoint c ON c.id = k.checkpoint_id"
    " JOIN prompt p ON p.id = g.prompt_id",
    "metric": "SELECT c.name AS checkpoint, m.key, m.value, m.low, m.high, m.n FROM metric m"
    " JOIN checkpoint c ON c.id = m.checkpoint_id",
    "summary": "SELECT key, value, low, high, n_seeds, n FROM summary",
    "projection": "SELECT p.key, x.position, x.x, x.y FROM projection_point x"
    " JOIN projection p ON p.id = x.projection_id",
    "stage": "SELECT stage, subject, status, input_hash FROM stage_run",
}


def write_study(folder: Path, replace: dict[str, str] | None = None) -> Path:
    """The study file, with some of its text replaced."""
    content = STUDY
    for old, new in (replace or {}).items():
        assert old in content, old
        content = content.replace(old, new)
    path = folder / "tiny.toml"
    path.write_text(content, encoding="utf-8")
    return path


def command(*arguments: str) -> list[str]:
    """The console command as a subprocess starts it."""
    return [sys.executable, "-m", "pipeline.cli", *arguments]


def environment(home: Path) -> dict[str, str]:
    """Environment of a run with a home of its own."""
    variables = {name: value for name, value in os.environ.items() if name != "HORMESIS_DB"}
    return {**variables, "HORMESIS_HOME": str(home), "OMP_NUM_THREADS": "1"}


def run(home: Path, *arguments: str, timeout: float = 400) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments),
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def finished_study(
    factory: pytest.TempPathFactory,
    name: str,
    replace: dict[str, str] | None = None,
    *,
    prepare: Callable[[Path], object] = lambda folder: None,
    timeout: float = 400,
) -> tuple[Path, Path]:
    """A study file and a home in which it ran to its end: run once for all workers, copied for this module.

    `prepare` puts files beside the study's before it runs.
    """

    def build(folder: Path) -> None:
        prepare(folder)
        done = run(folder / "home", "run", str(write_study(folder, replace)), timeout=timeout)
        assert done.returncode == 0, done.stderr

    folder = copied_world(factory, name, build)
    return folder / "tiny.toml", folder / "home"


def rows(home: Path) -> dict[str, pd.DataFrame]:
    """Every table of a home's database under its natural keys, sorted, without times and ids."""
    engine = create_engine(f"sqlite:///{home / 'hormesis.sqlite'}")
    tables: dict[str, Any] = {}
    with engine.connect() as connection:
        for name, query in KEYS.items():
            frame = pd.read_sql(text(query), connection)
            texts = [column for column in frame.columns if not pd.api.types.is_float_dtype(frame[column])]
            tables[name] = frame.sort_values(texts).reset_index(drop=True)
    engine.dispose()
    return tables


def assert_same_rows(first: Path, second: Path) -> None:
    """Two homes hold the same rows, numbers equal to 1e-6."""
    expected, other = rows(first), rows(second)
    for name in KEYS:
        assert len(expected[name]) > 0, f"{name} is empty"
        pd.testing.assert_frame_equal(expected[name], other[name], rtol=0, atol=1e-6, obj=name)
