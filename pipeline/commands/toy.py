"""The command `hormesis toy`: from options to typed configurations, a bar while it runs, DiDs at the end."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from hormesis.db.location import database_url, home, require_openable
from hormesis.pipeline.commands.console.terminal import Terminal, Words
from hormesis.pipeline.study.config import ConfigError
from hormesis.pipeline.study.config_sections import SETTINGS
from hormesis.pipeline.toy.config import (
    PROBES,
    SHARES,
    SPLITS,
    ToyConfig,
    ToyRequest,
    parse_config,
    parse_request,
)

if TYPE_CHECKING:
    from hormesis.pipeline.toy.runner import Outcome

MOST_SEEDS = 10_000
CAPTION = (
    "DiD: (u at shares up to .01 - u at 1) less the same for controls, with the 95 % interval over n seeds; "
    "below and from .99: runs by accuracy on the rare chain"
)
FROZEN = "frozen at r = 1"
_RANGE = re.compile(r"^\d+-\d+$")

Setting = Annotated[
    list[str] | None,
    typer.Option("--setting", help=f"{', '.join(SETTINGS)}; may be given again. Default: all."),
]
Shares = Annotated[
    str | None,
    typer.Option(
        "--shares", help="Frequencies of the rare chain over each other one, with commas; 1 among them."
    ),
]
Seeds = Annotated[
    str | None, typer.Option("--seeds", help="How many (10), a range (10-19), or a list (0,3,7).")
]
Probes = Annotated[
    list[str] | None,
    typer.Option("--probe", help=f"{', '.join(PROBES)}; may be given again. Default: all."),
]
Width = Annotated[int | None, typer.Option("--width", help="Dimensions for the 12 features.")]
Steps = Annotated[int | None, typer.Option("--steps", help="Training steps.")]
Rate = Annotated[float | None, typer.Option("--learning-rate", help="Of Adam.")]
Decay = Annotated[float | None, typer.Option("--weight-decay", help="L2 penalty of Adam.")]
More = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Any other option of the setting as NAME=VALUE, e.g. layers=2; may be given again."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def toy(
    *,
    setting: Setting = None,
    shares: Shares = None,
    seeds: Seeds = None,
    width: Width = None,
    steps: Steps = None,
    learning_rate: Rate = None,
    weight_decay: Decay = None,
    probe: Probes = None,
    more: More = None,
    as_json: AsJson = False,
) -> None:
    """Run the toy experiment: are rare features more entangled? Finished runs are not run again."""
    values = {
        "width": width,
        "steps": steps,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        **dict(_pair(text) for text in more or ()),
    }
    options = {name: value for name, value in values.items() if value is not None}
    configs = [parse_config({"setting": name, **options}) for name in setting or SETTINGS]
    wanted_runs = parse_request(
        {
            "shares": [_number(part) for part in shares.split(",")] if shares is not None else SHARES,
            "seeds": _seeds(seeds) if seeds is not None else list(range(10)),
            "probes": probe or PROBES,
        }
    )
    _run_all(configs, wanted_runs, as_json)


def _run_all(configs: list[ToyConfig], wanted_runs: ToyRequest, as_json: bool) -> None:
    """Run every configuration (one a setting), side by side where there are cores, and print the effects."""
    from hormesis.pipeline.execution.executors.workers import cores
    from hormesis.pipeline.execution.progress import Stopped
    from hormesis.pipeline.execution.threads import stop_on_ctrl_c

    require_openable(database_url())
    console = Terminal()
    stop = threading.Event()
    n_workers = min(cores(), len(configs))
    with stop_on_ctrl_c(stop.set), _bar(console, quiet=as_json) as bar:
        bars = _Bars(configs, bar, console, quiet=as_json)
        try:
            run = partial(_several, count=n_workers) if n_workers > 1 else _in_turn
            outcomes = run(configs, wanted_runs, bars, should_stop=stop.is_set)
        except Stopped:
            bar.stop()
            console.say("stopped; the same command goes on from here")
            raise typer.Exit(130) from None
    results = [{**outcome.as_json(), "effects": _effects(outcome.experiment_id)} for outcome in outcomes]
    if as_json:
        sys.stdout.write(json.dumps(results, indent=1, default=str) + "\n")
    else:
        Terminal(stderr=False).print(_table(results))


class _Bars:
    """A bar for each configuration, taken away when it has ended."""

    def __init__(self, configs: list[ToyConfig], bar: Progress, console: Terminal, *, quiet: bool) -> None:
        self._configs, self._bar, self._console, self._quiet = configs, bar, console, quiet
        self._tasks: dict[int, tuple[TaskID, float]] = {}

    def watch(self, place: int, done: float, total: float) -> None:
        """Move the bar of configuration number `place`; `done` of `total` model steps."""
        if place not in self._tasks:
            task = self._bar.add_task(self._configs[place].setting, total=None, speed="")
            self._tasks[place] = task, time.monotonic()
        task, started = self._tasks[place]
        steps_per_second = done / max(time.monotonic() - started, 1e-9)
        self._bar.update(task, completed=done, total=total, speed=f"{steps_per_second:,.0f} model steps/s")

    def ended(self, place: int, outcome: Outcome) -> None:
        """Take the bar away and say what was done."""
        if place in self._tasks:
            task, _ = self._tasks.pop(place)
            self._bar.remove_task(task)
        runs = outcome.trained_runs
        result = f"{runs} runs in {outcome.seconds:.1f} s" if runs else "nothing to do"
        if not self._quiet:
            self._console.say(f"{outcome.setting} ({outcome.hash}): {result}")


Stop = Callable[[], bool]


def _in_turn(
    configs: list[ToyConfig], wanted_runs: ToyRequest, bars: _Bars, *, should_stop: Stop
) -> list[Outcome]:
    """Outcomes of the configurations, run one after another in this process."""
    from hormesis.pipeline.toy.runner import run_toy

    outcomes = []
    for place, config in enumerate(configs):
        outcomes.append(
            run_toy(
                config,
                wanted_runs,
                home=home(),
                database_url=database_url(),
                watch=partial(bars.watch, place),
                should_stop=should_stop,
            )
        )
        bars.ended(place, outcomes[-1])
    return outcomes


def _several(
    configs: list[ToyConfig], wanted_runs: ToyRequest, bars: _Bars, *, should_stop: Stop, count: int
) -> list[Outcome]:
    """Outcomes of the configurations, run by `count` processes."""
    from hormesis.pipeline.toy.side_by_side import run_side_by_side

    return run_side_by_side(
        configs,
        wanted_runs,
        home=home(),
        database_url=database_url(),
        count=count,
        watch=bars.watch,
        ended=bars.ended,
        should_stop=should_stop,
    )


def _bar(console: Terminal, *, quiet: bool) -> Progress:
    return Progress(
        Words(),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        Words("speed", "dim"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet,
    )


def _effects(experiment_id: int) -> list[dict[str, Any]]:
    """A dict per stored effect of the experiment (network, probe, cosine, split), missing numbers None."""
    from hormesis.db.engine import open_reader
    from hormesis.db.read import toy_effects

    effects = toy_effects(open_reader(database_url()))
    effects = effects[effects["experiment_id"] == experiment_id]
    names = ["network", "probe", "cosine", "split", "value", "low", "high", "n_seeds", "n_runs", "n_positive"]
    rows = effects[names].astype(object).where(effects[names].notna(), None)
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _table(results: list[dict[str, Any]]) -> Table:
    """One line per setting, probe and cosine: DiDs of the trained network, its splits, and the frozen one."""
    columns = ("trained", "below .99", "from .99", FROZEN)
    table = Table("setting", "probe", "cosine", *columns, caption=CAPTION)
    for result in results:
        cells_by_line: dict[tuple[str, str], dict[str, str]] = {}
        for row in result["effects"]:
            column = FROZEN if row["network"] == "frozen" else columns[SPLITS.index(row["split"])]
            cells_by_line.setdefault((row["probe"], row["cosine"]), {})[column] = _estimate(row)
        for (probe, cosine), cells in cells_by_line.items():
            table.add_row(result["setting"], probe, cosine, *(cells.get(name, "-") for name in columns))
    return table


def _estimate(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "no run"
    ends = "" if row["low"] is None else f" [{row['low']:+.3f}, {row['high']:+.3f}]"
    return f"{row['value']:+.3f}{ends} n={row['n_seeds']}"


def _pair(text: str) -> tuple[str, Any]:
    """Name and value of `NAME=VALUE`; the value is read as JSON, else taken as text."""
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise ConfigError(f"toy: --set wants NAME=VALUE, not '{text}'")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"toy: shares are numbers with commas between them, not '{text}'") from None


def _seeds(text: str) -> list[int]:
    """Seeds of a count (10), a range (10-19) or a list (0,3,7); `ends` are first and last of each part."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() or _RANGE.match(part) for part in parts):
        raise ConfigError(f"toy: seeds are a count (10), a range (10-19) or a list (0,3,7), not '{text}'")
    if len(parts) == 1 and parts[0].isdecimal():
        parts = [f"0-{int(parts[0]) - 1}"] if int(parts[0]) else []
    ends = [(int(part.partition("-")[0]), int(part.rpartition("-")[2])) for part in parts]
    if sum(last - first + 1 for first, last in ends) > MOST_SEEDS:
        raise ConfigError(f"toy: at most {MOST_SEEDS:,} seeds at a time")
    return [seed for first, last in ends for seed in range(first, last + 1)]
