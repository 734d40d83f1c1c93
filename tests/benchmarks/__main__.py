"""Runs every benchmark of this folder in turn: `python -m tests.benchmarks [NAME ...]`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    benchmarks = sys.argv[1:] or sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    sys.argv = sys.argv[:1]
    for name in benchmarks:
        print(f"== {name}", flush=True)
        runpy.run_module(f"tests.benchmarks.{name}", run_name="__main__")
