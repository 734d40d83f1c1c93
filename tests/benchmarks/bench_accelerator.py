"""On a CUDA device: a study's rows against the CPU's, training's model FLOPs utilisation, decoding steered.

`python -m tests.benchmarks.bench_accelerator [--only study|training|decoding] [--minutes M] [--out FILE]`.

- study: a small study with every stage but `load` and `toy` (which computes on CPUs wherever it runs) on the
  CPU, on CUDA, and on CUDA from the weights that the CPU trained. Training is judged by the second run, all
  other tables by the third: Adam makes much of rounding.
- training: the scale `paper` through the project's own training, compiled and not; share of the peak by
  `flops_per_token`. The named alternative is OLMo-core's 1B model: 55,000 tokens/s on one H100.
- decoding: a random model of the scale `paper`, unsteered, steered alike in all rows (a bias), and with a
  strength of each row's own (hooks); rounds take turns. The best published figure of a server costs 2.8 %.

Without CUDA everything runs on the CPU, training and decoding at scale `nano`, and the second and third study
with kernels that round otherwise; processor time is measured, and no peak is known.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from hormesis.backend.forum import VOCABULARY
from hormesis.backend.generation.generation import generate
from hormesis.backend.model.steering import RowSteering, iti
from hormesis.pipeline.study.config_sections import TrainingConfig
from hormesis.pipeline.study.scales import Scale, flops_per_token, model_config, train_settings
from hormesis.pipeline.text.mixes import Mix
from hormesis.pipeline.text.tokenization import make_tokenizer
from hormesis.pipeline.training.train import Point, train
from tests.benchmarks.measures import model_of
from tests.benchmarks.study_differences import TableDifference, differences
from tests.fixtures.tiny import some_heads
from tests.fixtures.tiny_study import BRIEF, command, environment, write_study

ON_CUDA = torch.cuda.is_available()
SCALE: Scale = "paper" if ON_CUDA else "nano"
PEAK = 989e12
"""Dense bfloat16 operations a second of an H100 or H200 (NVIDIA's data sheet)."""
GOAL_USE, GOAL_SLOWED = 0.47, 0.028
PAPER_VOCABULARY = 50_280
BATCH, STEPS_A_POINT = (64, 2) if ON_CUDA else (8, 10)
WARM_POINTS, MOST_POINTS = 2, 300
ROWS, TOKENS, PROMPT = 64, 96 if ON_CUDA else 16, "a b c d e f g h"
OTHER_ROUNDING = {} if ON_CUDA else {"MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "default"}
PRECISION = {"evaluations = 4": 'precision = "float32"\nevaluations = 4'}
SECTIONS = """
[methods]
use = ["iti", "random-direction", "prompt", "sft", "dpo", "dpo+iti"]
combined_costs = [0.15]
second_directions = true
pairs = 60
sft = { steps = 4, batch_size = 8 }
dpo = { steps = 4, batch_size = 8 }

[hardness]
attacks = ["suffix", "injection", "long", "sampling", "quantised", "relearn"]
shares = [0.25]
prompts = 8
blocks = 2
block_tokens = 10
temperatures = [0.0, 1.4]
top_ps = [0.9]
suffix = { goals = 2, steps = 2, candidates = 6, new_tokens = 10 }
relearn = { stops = [1, 3], prompts = 8, batch_size = 2 }

[capability]
tasks = ["minimal_pairs", "cross_entropy"]
items = 20
tokens_per_source = 400
"""
TOLERANCE = 1e-3
TOLERANCES = dict.fromkeys(("feature_cosine", "entanglement", "projection", "map_agreement"), 0.05)
TOLERANCES |= dict.fromkeys(("activation_block", "direction_profile", "projection_point"), 0.005)
"""By table, of |a - b| / max(1, |a|): what rests on few statements, ranks or draws moves more; so does what
is stored in float16, and points made of it."""
ROWS_BEYOND = 0.02
"""Rows of a table that may be beyond it, as one drawn token may change a text."""


@dataclass(frozen=True)
class Figure:
    """A measured number: the median of `n`, or the largest of `n` rows, and its range."""

    part: str
    name: str
    value: float
    unit: str
    n: int
    low: float
    high: float
    remark: str = ""

    @classmethod
    def of(cls, part: str, name: str, values: Sequence[float], *, unit: str, remark: str = "") -> Figure:
        return cls(part, name, median(values), unit, len(values), min(values), max(values), remark)

    def line(self) -> str:
        numbers = f"{self.value:12,.6g}  {self.low:12,.6g} to {self.high:12,.6g}"
        return f"{self.part:<9} {self.name:<34} {self.n:>5} {numbers}  {self.unit:<9} {self.remark}"


class TimeIsUpError(Exception):
    """Ends a training without a checkpoint."""


def verdict(is_reached: bool, goal: str) -> str:
    return f"{goal}: {'yes' if is_reached else 'no'}"


def training(seconds: float, folder: Path, *, is_compiled: bool) -> list[Figure]:
    """Tokens a second over points of the curve, the first ones left out, and the share of the peak."""
    wishes = TrainingConfig(
        batch_size=BATCH, evaluations=MOST_POINTS, checkpoints=1, compile=is_compiled,
        precision="bfloat16" if ON_CUDA else "float32",
    )  # fmt: skip
    settings = train_settings(SCALE, wishes, seed=0)
    tokenizer = make_tokenizer("word", folder / "tokenizer", words=VOCABULARY)
    vocabulary = PAPER_VOCABULARY if ON_CUDA else len(tokenizer)
    config = model_config(SCALE, vocabulary, eos=0)
    tokens = MOST_POINTS * STEPS_A_POINT * settings.batch_size * settings.sequence_length
    np.random.default_rng(0).integers(0, vocabulary, tokens, np.uint16).tofile(folder / "tokens.bin")
    mix = Mix(folder, tokens, tokens, 0, 0.0, 0, 1.0, {}, 1, dtype="uint16", eos=0, hash="random")
    points, started = list[Point](), list[float]()

    def on_point(point: Point) -> None:
        points.append(point)
        started.append(time.monotonic())
        if time.monotonic() - started[0] > seconds and len(points) > WARM_POINTS + 2:
            raise TimeIsUpError

    run = folder / "run"
    with suppress(TimeIsUpError):
        train(run, mix=mix, tokenizer=tokenizer, config=config, settings=settings, on_point=on_point)
    rates = [point.tokens_per_second for point in points[WARM_POINTS:]]
    name = f"{SCALE}, {'compiled' if is_compiled else 'not compiled'}"
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.0f} GiB" if ON_CUDA else "no peak is known here"
    figures = [Figure.of("training", name, rates, unit="tokens/s", remark=memory)]
    if ON_CUDA:
        uses = [rate * flops_per_token(config, settings.sequence_length) / PEAK for rate in rates]
        goal = verdict(median(uses) >= GOAL_USE, f"at least {GOAL_USE:.0%}")
        figures.append(Figure.of("training", f"{name}: use of the peak", uses, unit="", remark=goal))
    return figures


def decoding(seconds: float) -> list[Figure]:
    """Tokens a second of three ways to decode, in turn, and the ratios to the unsteered one."""
    loaded = model_of(SCALE, torch.bfloat16 if ON_CUDA else torch.float32)
    loaded.model.to("cuda" if ON_CUDA else "cpu")
    steering = iti(loaded.sites, some_heads(loaded, count=len(loaded.heads) // 12 + 1))
    ways: dict[str, list[RowSteering]] = {
        "unsteered": [(None, 0.0)] * ROWS,
        "steered alike": [(steering, 1.0)] * ROWS,
        "steered by row": [(steering, 1.0 + row / ROWS) for row in range(ROWS)],
    }
    clock = time.perf_counter if ON_CUDA else time.process_time  # a CPU is shared with other work
    rates: dict[str, list[float]] = {name: [] for name in ways}
    options = {"seeds": list(range(ROWS)), "new_tokens": TOKENS, "batch_size": ROWS}
    end, turn = time.monotonic() + seconds, 0
    while turn < 6 or time.monotonic() < end:
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            begun = clock()
            generate(loaded, [PROMPT] * ROWS, rows=ways[name], **options)  # type: ignore[arg-type]
            rates[name].append(ROWS * TOKENS / (clock() - begun))  # each step waits for its tokens
        turn += 1
    rates = {name: values[1:] for name, values in rates.items()}
    figures = [
        Figure.of("decoding", f"{SCALE}, {name}", values, unit="tokens/s") for name, values in rates.items()
    ]
    for name in list(ways)[1:]:
        slowed = [plain / rate - 1 for plain, rate in zip(rates["unsteered"], rates[name], strict=True)]
        goal = verdict(median(slowed) <= GOAL_SLOWED, f"at most {GOAL_SLOWED:.1%}")
        figures.append(Figure.of("decoding", f"{name}: slower by", slowed, unit="", remark=goal))
    return figures


def study(seconds: float, folder: Path) -> Iterator[Figure]:
    """The largest difference of every table, as runs end. Raises RuntimeError, TimeoutExpired."""
    path, end = write_study(folder, BRIEF | PRECISION), time.monotonic() + seconds
    path.write_text(path.read_text(encoding="utf-8") + SECTIONS, encoding="utf-8")

    def run(name: str, **variables: str) -> float:
        begun = time.monotonic()
        done = subprocess.run(
            command("run", str(path)), env=environment(folder / name) | variables, capture_output=True,
            text=True, timeout=end - begun, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"study {name}: {done.stderr[-600:]}")
        return time.monotonic() - begun

    def compare(name: str) -> list[TableDifference]:
        urls = [f"sqlite:///{folder / home / 'hormesis.sqlite'}" for home in ("first", name)]
        return differences(*urls, lambda table: TOLERANCES.get(table, TOLERANCE))

    with ThreadPoolExecutor() as pool:
        alone = pool.submit(run, "first", CUDA_VISIBLE_DEVICES="")
        times = [pool.submit(run, "second", **OTHER_ROUNDING).result(), alone.result()]
    yield Figure.of("study", "seconds of a run", times, unit="s")
    yield from (_figure(table) for table in compare("second") if table.table == "train_point")
    for kind in ("text", "corpus", "mixes", "checkpoints"):
        shutil.copytree(folder / "first" / "files" / kind, folder / "third" / "files" / kind)
    run("third", **OTHER_ROUNDING)
    yield from (_figure(table) for table in compare("third") if table.table != "train_point")


def _figure(table: TableDifference) -> Figure:
    goal = (
        f"{table.unequal} rows beyond {TOLERANCES.get(table.table, TOLERANCE):g}, at most {ROWS_BEYOND:.0%}"
    )
    remark = verdict(table.unequal <= ROWS_BEYOND * table.rows, goal)
    return Figure("study", table.table, table.largest, "", table.rows, 0.0, table.largest, remark)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. A part that fails or lacks time is told, and the others are measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("training", "decoding", "study"), default=None)
    parser.add_argument("--minutes", type=float, default=8.0 if ON_CUDA else 4.0, help="bound of the work")
    parser.add_argument("--out", type=Path, default=None, help="write the figures as JSON")
    options = parser.parse_args(arguments)
    end, share = time.monotonic() + 60 * options.minutes, 60 * options.minutes / 16
    device = torch.cuda.get_device_name() if ON_CUDA else "no CUDA device: CPU against CPU"
    print(f"{device}; torch {torch.__version__}; load {os.getloadavg()[0]:.1f}", flush=True)
    figures, problems = list[Figure](), dict[str, str]()
    with tempfile.TemporaryDirectory() as name:
        parts: dict[str, Callable[[Path], Iterable[Figure]]] = {
            "training": lambda folder: training(share, folder, is_compiled=ON_CUDA),
            "training not compiled": lambda folder: (
                training(share, folder, is_compiled=False) if ON_CUDA else []
            ),
            "decoding": lambda folder: decoding(share),
            "study": lambda folder: study(end - time.monotonic(), folder),
        }
        for part, measure in parts.items():
            if options.only in (None, part.split()[0]):
                folder = Path(name) / part.replace(" ", "-")
                folder.mkdir()
                begun = time.monotonic()
                try:
                    for figure in measure(folder):
                        figures.append(figure)  # one by one: those before a problem stay
                except Exception as error:
                    problems[part] = f"{type(error).__name__}: {error}"
                print(f"{part}: {time.monotonic() - begun:.0f} s {problems.get(part, '')}", flush=True)
                torch.cuda.empty_cache()
                if options.out:
                    content = {"device": device, "figures": list(map(asdict, figures)), "problems": problems}
                    options.out.write_text(json.dumps(content, indent=1), encoding="utf-8")
    print(f"\n{'part':<9} {'':<34} {'n':>5} {'median or largest':>12}  range")
    print(*(figure.line() for figure in figures), sep="\n")
    if problems:
        raise SystemExit(f"not measured: {', '.join(problems)}")


if __name__ == "__main__":
    main()
