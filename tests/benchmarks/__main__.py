"""Runs every benchmark of this folder in turn: `python -m tests.benchmarks [NAME ...] [its options]`."""

from __future__ import annotations

import runpy
import sys
from itertools import takewhile
from pathlib import Path

if __name__ == "__main__":
    names = list(takewhile(lambda word: not word.startswith("-"), sys.argv[1:]))
    benchmarks = names or sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    del sys.argv[1 : 1 + len(names)]
    for name in benchmarks:
        print(f"== {name}", flush=True)
        runpy.run_module(f"tests.benchmarks.{name}", run_name="__main__")
