"""Builds a database that looks like a finished study, from made-up numbers; for tests and benchmarks.

`python -m tests.seeded_database PATH [--big]`. Nothing in it was measured, and the study's name says so.
The small one is a forum-like study (5 arms, 2 seeds); the big one has 12 checkpoints of 384 heads, a
million generations with two scores each and 100,000 projection points.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from db.engine import open_writer
from pipeline.claims.evaluate import evaluate
from tests.seeded_evaluation import add_evaluation
from tests.seeded_geometry import add_geometry
from tests.seeded_hardness import add_hardness
from tests.seeded_study import add_study
from tests.seeded_toy import add_toy


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    arms: tuple[tuple[str, float], ...] = (
        ("toxic", 0.0),
        ("toxic", 0.05),
        ("toxic", 0.10),
        ("toxic", 0.25),
        ("clean-forum", 0.25),
    )
    seeds: tuple[int, ...] = (0, 1)
    layers: int = 4
    heads: int = 8
    head_dim: int = 16
    prompts: tuple[tuple[str, int], ...] = (("forum-prompts", 64), ("forum-greetings", 16))
    samples: int = 1
    scorers: tuple[str, ...] = ("forum", "tfidf", "forum-fluency")
    examples: int = 600
    selected: int = 4
    train_points: int = 40
    verdicts: bool = True
    """Whether the claims are put to the made-up rows."""


SMALL = Size()
TINY = Size(
    arms=(("toxic", 0.0), ("toxic", 0.25)),
    layers=2,
    heads=3,
    head_dim=4,
    prompts=(("forum-prompts", 8),),
    examples=40,
    selected=2,
    train_points=5,
)
BIG = Size(
    arms=(*SMALL.arms, ("toxic", 0.15)),
    layers=24,
    heads=16,
    head_dim=64,
    prompts=(("forum-prompts", 1000), ("forum-greetings", 389)),
    samples=5,
    scorers=("forum", "tfidf"),
    examples=3400,
    selected=10,
    train_points=2000,
)


def build(engine: Engine, size: Size = SMALL, seed: int = 0) -> int:
    """Fill an empty database; returns the study's id. The same seed gives the same rows."""
    study_id, checkpoints = add_study(engine, size, seed)
    add_evaluation(engine, size, study_id, checkpoints, seed)
    add_geometry(engine, size, study_id, checkpoints, seed)
    add_hardness(engine, size, study_id, checkpoints, seed)
    add_toy(engine, seed)
    if size.verdicts:
        evaluate(engine, study_id)
    return study_id


def build_file(path: Path, size: Size = SMALL, seed: int = 0) -> str:
    """Make a SQLite file and fill it; returns its URL. No log is left beside the file."""
    url = f"sqlite:///{path.absolute()}"
    engine = open_writer(url)
    build(engine, size, seed)
    engine.dispose()
    return url


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--big", action="store_true")
    options = parser.parse_args(arguments)
    if options.path.exists():
        parser.error(f"{options.path} exists already")
    start = time.perf_counter()
    url = build_file(options.path, BIG if options.big else SMALL)
    print(f"{url}: seeded test data in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
