"""The command line: `hormesis`. Parses, calls, prints; a mistake of the person's is one line and exit 2."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from hormesis.db.contract.plain_names import plain_name, printable
from hormesis.db.location import database_url, home, require_openable
from hormesis.db.origin import Origin
from hormesis.db.processes import collect_garbage_rarely
from hormesis.pipeline.commands.console.terminal import Terminal
from hormesis.pipeline.commands.copy import copy
from hormesis.pipeline.commands.data import Offline, close_network
from hormesis.pipeline.commands.data import data as data_commands
from hormesis.pipeline.commands.report import report
from hormesis.pipeline.commands.serve import serve
from hormesis.pipeline.commands.toy import toy
from hormesis.pipeline.commands.vectors import vectors
from hormesis.pipeline.commands.verdicts import verdicts
from hormesis.pipeline.commands.verify import verify
from hormesis.pipeline.study.config import ConfigError, StudyConfig, load_study, origin, parse_checkpoint

if TYPE_CHECKING:
    from hormesis.pipeline.execution.walk import Outcome

app = typer.Typer(
    name="hormesis",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Terminal()

StudyName = Annotated[
    str,
    typer.Argument(
        help="A study file (TOML), or a preset: forum, forum-full, wikipedia, wikipedia-full, real, "
        "real-mini, paper."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Data = Annotated[
    Path | None, typer.Option("--data", help="Folder that a preset's data files lie in (HORMESIS_DATA).")
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Arms to run side by side.")]


def _study(name: str, data: Path | None, *, ask: bool = True) -> StudyConfig:
    """The study of a command; `ask`: whether the hub may be asked if it lets its optional sources be read."""
    if data is not None:
        os.environ["HORMESIS_DATA"] = str(data)
    config = load_study(name)
    require_openable(database_url())
    if not any(source.optional for source in config.sources):
        return config
    from hormesis.pipeline.sources.optional import without_refused

    config, sentences = without_refused(config, ask=ask)
    for sentence in sentences:
        console.say(sentence)
    return config


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"hormesis {metadata.version('hormesis')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Does pretraining on some toxic text make a language model easier to detoxify, and at what cost?"""


@app.command()
def run(
    study: StudyName,
    *,
    data: Data = None,
    workers: Workers = None,
    arm: Annotated[
        str | None, typer.Option("--arm", help="Only this arm, e.g. toxic-10-s0, up to its scores.")
    ] = None,
    on: Annotated[
        Literal["ray"] | None,
        typer.Option("--on", help="A Ray cluster: RAY_ADDRESS, or the one here."),
    ] = None,
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Run a study; running it again goes on where it was cut, and does nothing where it is finished."""
    if on and workers:
        raise ConfigError("--workers is of this machine; on a Ray cluster its own cores and GPUs decide")
    _run(_study(study, data), as_json, origin(study, data), workers=workers, arm=arm, on_ray=on == "ray")


def _run(
    config: StudyConfig,
    as_json: bool,
    begun: Origin,
    *,
    workers: int | None = None,
    arm: str | None = None,
    on_ray: bool = False,
) -> None:
    """Run a study, here, on a Ray cluster or as one process of `torchrun`; `begun`: how it was named."""
    from hormesis.pipeline.execution.executors.workers import is_distributed, start_server

    if not is_distributed() and not on_ray:
        start_server()  # before anything here imports torch: the two import side by side
    from hormesis.pipeline.commands.run_study import run_distributed, run_study
    from hormesis.pipeline.commands.status import watching

    if is_distributed():
        if arm is not None or on_ray:
            raise ConfigError("--arm and --on start processes of their own; use them without torchrun")
        distributed = run_distributed(config, home=home(), database_url=database_url(), origin=begun)
        if distributed is not None:
            _report_run(config, distributed, as_json)
        return
    _fetch(config, as_json)
    with watching(database_url(), console, quiet=as_json) as watch:
        outcome = run_study(
            config,
            home=home(),
            database_url=database_url(),
            workers=workers,
            arm=arm,
            watch=watch,
            origin=begun,
            on_ray=on_ray,
        )
    _report_run(config, outcome, as_json, arm=arm)


def _fetch(config: StudyConfig, as_json: bool) -> None:
    """Have the wheels here that a study reads, once all is well with it that can be known without."""
    from hormesis.pipeline.commands.console.fetching import fetch_wheels, unfetched_wheels

    wheels = unfetched_wheels(config)
    if wheels:
        from hormesis.pipeline.checks.beginning import check_study

        check_study(config, database_url())
    try:
        fetch_wheels(wheels, console, quiet=as_json)
    except KeyboardInterrupt:
        console.say("stopped; the same command goes on from here")
        raise typer.Exit(130) from None


def _report_run(config: StudyConfig, outcome: Outcome, as_json: bool, *, arm: str | None = None) -> None:
    """Print how a run ended, and end with its exit code unless it is 0."""
    if as_json:
        _print_json({**asdict(outcome), "exit_code": outcome.exit_code, "hash": config.hash})
    for note in outcome.notes:
        console.say(("note", "yellow"), f" {note}")
    for failure in outcome.failures:
        console.say(("failed", "red"), f" {failure}")
    if outcome.stopped:
        console.say("stopped; the same command goes on from here")
    elif not outcome.failures:
        state = "finished" if outcome.worked else "already finished; nothing to do"
        subject = ("arm ", (arm, "bold"), " of study ") if arm else ("study ",)
        console.say(*subject, (config.name, "bold"), f" ({config.hash}): {state}")
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


@app.command()
def plan(
    study: StudyName,
    *,
    data: Data = None,
    slurm: Annotated[
        bool, typer.Option("--slurm", help="Print a script that submits it to Slurm, an array task an arm.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print what a study would run, with sizes, time and disk; run nothing and write nothing."""
    from hormesis.pipeline.commands.plan import plan_study, readable_bytes

    estimate = plan_study(_study(study, data, ask=False), database_url())
    if slurm:
        from hormesis.pipeline.commands.slurm import slurm_script

        if database_url().startswith("sqlite"):
            console.say(
                "the database is a SQLite file, which nodes must not share; set HORMESIS_DB to PostgreSQL"
            )
        sys.stdout.write(slurm_script(estimate, origin(study, data)))
        return
    if as_json:
        _print_json(estimate.as_dict())
        return
    out = Terminal(stderr=False)
    table = Table("arm", "kind", "share", "tokens", "left to do", title=f"{estimate.name} ({estimate.hash})")
    for arm in estimate.arms:
        left = ", ".join(arm.stages_left) or "nothing"
        tokens = f"{arm.tokens:,}" if arm.tokens else "trained elsewhere"
        table.add_row(arm.name, arm.kind, f"{arm.share:.1%}", tokens, left)
    out.print(table)
    time = (
        f"about {estimate.seconds / 60:.0f} min of training"
        if estimate.seconds is not None
        else ("time unknown: no training of this scale was measured here yet")
    )
    if estimate.other_seconds is not None:
        time += f" and {estimate.other_seconds / 60:.0f} min of other stages"
    if estimate.tokens_to_tune:
        time += f"; {estimate.tokens_to_tune:,} tokens to fine-tune on"
    if estimate.toy_models:
        time += f"; {estimate.toy_models:,} toy models"
    out.say(
        f"scale {estimate.scale}, {estimate.parameters / 1e6:.2f}M parameters, "
        f"{estimate.tokens_to_train:,} tokens to train, {readable_bytes(estimate.disk_bytes)} of disk, "
        f"{readable_bytes(estimate.memory_bytes)} of memory, {time}"
    )
    for sentence in estimate.unreached:
        out.print(f"not checked: {sentence}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show the studies in the database and how far each is."""
    from hormesis.pipeline.commands.status import status_rows

    rows = status_rows(database_url())
    if as_json:
        _print_json(rows)
        return
    table = Table("study", "hash", "stages done", "running", "failed", "what")
    for row in rows:
        table.add_row(
            row["name"], row["hash"], f"{row['done']} of {row['stages']}", str(row["running"]),
            str(row["failed"]), row["what"],
        )  # fmt: skip
    Terminal(stderr=False).print(table if rows else "no study yet; start one with: hormesis run forum")


@app.command()
def upgrade() -> None:
    """Bring a database that an older version made to the tables of this one; its rows stay."""
    from hormesis.db.database_status import describe, state_of
    from hormesis.db.engine import DatabaseProblem, open_writer

    state = state_of(database_url())
    if state.kind == "older":
        open_writer(database_url()).dispose()
    elif state.kind != "ok":
        raise DatabaseProblem(state.kind, state.sentence)
    console.say(describe(database_url()))


@app.command("import")
def import_model(
    *,
    model: Annotated[str, typer.Argument(help="Folder, hub name or GGUF file of a causal language model.")],
    study: Annotated[
        str, typer.Option("--study", help="Study whose probe set, prompts and settings it is put under.")
    ] = "checkpoint",
    name: Annotated[str | None, typer.Option("--name", help="Name to show; default: of the model.")] = None,
    share: Annotated[
        float | None,
        typer.Option(
            "--share",
            help="Share of toxic-source text in its training, e.g. .1: it becomes an arm.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="With --share: tells models of one share apart.")] = 0,
    kind: Annotated[
        str, typer.Option("--kind", help="With --share: toxic, or clean-forum for a control.")
    ] = "toxic",
    data: Data = None,
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Put a checkpoint you already have through probing, steering and evaluation.

    With --share it is an arm like those that a study trains: dose-response and verdicts count it.
    """
    from hormesis.pipeline.execution.shortage import require_memory

    require_memory()  # before anything here imports torch
    from hormesis.backend.model.models import require_present
    from hormesis.pipeline.commands.import_checkpoint import import_checkpoint
    from hormesis.pipeline.commands.status import watching

    config = _study(study, data)
    if share is not None and name is not None:
        raise ConfigError("--share names the checkpoint by kind, share and seed; leave out --name")
    of_mix = None if share is None else parse_checkpoint(model=model, share=share, seed=seed, kind=kind)
    if name is not None:
        plain_name(name)
    require_present(model)
    _fetch(config, as_json)
    with watching(database_url(), console, quiet=as_json) as watch:
        outcome = import_checkpoint(
            model,
            config,
            checkpoint_name=name,
            of_mix=of_mix,
            home=home(),
            database_url=database_url(),
            watch=watch,
        )
    if as_json:
        _print_json(asdict(outcome))
    for note in outcome.notes:
        console.say(("note", "yellow"), f" {note}")
    if outcome.status == "failed":
        console.say(("failed", "red"), f" {outcome.message}")
        raise typer.Exit(2)
    if outcome.status == "stopped":
        console.say("stopped; the same command goes on from here")
        raise typer.Exit(130)
    note = f"; {outcome.message}" if outcome.message else ""
    console.say("checkpoint ", (outcome.arm, "bold"), f": finished{note}")


@app.command()
def export(
    *,
    folder: Annotated[Path, typer.Argument(help="Folder to write into; made where it is missing.")],
    form: Annotated[str, typer.Option("--format", help="csv, parquet or html.")] = "csv",
    table: Annotated[
        list[str] | None, typer.Option("--table", help="Only this table or view; may be given again.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the database's tables as CSV, Parquet or HTML (HTML without texts unless named).

    Beside them DICTIONARY.md says what every column means, and views.sql makes views with names for ids.
    In CSV a text that a spreadsheet would take for a formula begins with an apostrophe; Parquet keeps it.
    """
    from hormesis.pipeline.commands.export import export_tables

    written = export_tables(database_url(), folder, form, tables=table or ())
    if as_json:
        _print_json(written)
        return
    for name, rows in written.items():
        console.say(f"{name}: {rows:,} rows")


@app.command()
def save(
    *,
    checkpoint: Annotated[str, typer.Argument(help="Name of a checkpoint, e.g. toxic-10-s0.")],
    folder: Annotated[Path, typer.Argument(help="New folder to write the model into.")],
    strength: Annotated[float, typer.Option("--strength", help="Sigmas away from toxicity.")] = 2.0,
    direction: Annotated[str, typer.Option("--direction", help="mass_mean or probe.")] = "mass_mean",
    condition: Annotated[
        str | None, typer.Option("--condition", help="A condition of the study instead, e.g. dpo.")
    ] = None,
) -> None:
    """Save a detoxified checkpoint as an ordinary one, and say which programs serve it as it is."""
    from hormesis.pipeline.commands.save import save_condition, save_steered, serving_of

    url = database_url()
    if condition is not None:
        save_condition(checkpoint, condition, folder, home=home(), database_url=url)
    else:
        save_steered(checkpoint, strength, folder, direction=direction, home=home(), database_url=url)
    change = f"under {condition}" if condition is not None else f"at strength {strength:g}"
    console.say(f"{checkpoint} {change} saved in {folder}")
    for line in serving_of(folder):
        console.say(line)


@app.command()
def dashboard(
    file: Annotated[
        str | None,
        typer.Argument(help="Open this file, or folder of runs, to read it; default: the database in use."),
    ] = None,
    port: Annotated[int, typer.Option("--port", help="Port of the dashboard.")] = 8501,
    service: Annotated[
        str | None,
        typer.Option("--service", envvar="HORMESIS_SERVICE", help="URL of a running model service."),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; others than this machine's own log in.")
    ] = "127.0.0.1",
    base_path: Annotated[
        str | None, typer.Option("--base-path", help="Path that a proxy serves the pages under.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", help="Name that a proxy passes on; may be given again.")
    ] = None,
) -> None:
    """Open the dashboard on the database; or on a file, which it then only reads.

    Where others can reach it, by --host or through a proxy, it asks for HORMESIS_TOKEN and starts no study.
    """
    from hormesis.db.engine import open_reader
    from hormesis.pipeline.commands.dashboard import dashboard_process

    url = database_url(file)
    if file is not None:
        open_reader(url).dispose()  # a file that cannot be read is said here, not on a page
    audience = [f"--host={host}", *(f"--allow={name}" for name in allow or ())]
    audience += [] if base_path is None else [f"--base-path={base_path}"]
    process = dashboard_process(
        url, port=port, service=service, browser=browser, read_only=file is not None, audience=audience
    )
    raise typer.Exit(process.wait_for_end())


@app.command()
def demo(
    study: Annotated[str, typer.Argument(help="What to run: forum, or wikipedia for real text.")] = "forum",
    port: Annotated[int, typer.Option("--port", help="Port of the dashboard.")] = 8501,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
    wait: Annotated[bool, typer.Option(help="Keep the dashboard open when the study is done.")] = True,
) -> None:
    """Run a study and watch it in the dashboard, which opens on results that came with hormesis, if any."""
    from hormesis.db.engine import open_reader, open_writer
    from hormesis.db.read import studies, study_names
    from hormesis.db.reference import references
    from hormesis.pipeline.commands.copy import copy_references
    from hormesis.pipeline.commands.dashboard import dashboard_process

    config, begun = _study(study, None), origin(study)
    home().mkdir(parents=True, exist_ok=True)
    # The database is made before the dashboard looks for it.
    open_writer(database_url()).dispose()
    copy_references(database_url())
    first = next((reference.hash for reference in references()), None)
    stored = studies(open_reader(database_url()))
    name = dict(zip(stored["hash"], study_names(stored), strict=True)).get(first)
    with dashboard_process(database_url(), port=port, service=None, browser=browser, study=name) as process:
        # Pages and live steering come before what runs beside them.
        if name is not None:
            console.say("the study beside begins once a model can be steered")
        if not process.wait_until_loaded():
            raise typer.Exit(process.wait_for_end())
        if hasattr(os, "nice"):
            os.nice(19)
        _run(config, False, begun)
        if wait:
            console.say("the dashboard stays open; Ctrl-C ends it")
            raise typer.Exit(process.wait_for_end())


app.command()(copy)


app.command()(toy)


app.command()(report)


app.command()(serve)


app.command()(verdicts)


app.command()(vectors)


app.command()(verify)


app.add_typer(data_commands, name="data")


def main() -> None:
    """Entry point of the console script."""
    collect_garbage_rarely()
    if os.environ.get("HORMESIS_OFFLINE"):
        from hormesis.pipeline.sources.cache import is_offline

        close_network(is_offline())  # for the hub's client too, which has a switch of its own
    try:
        app()
    except Exception as error:  # of memory or disk that runs out libraries tell in classes of their own
        from hormesis.pipeline.execution.shortage import shortage

        line = shortage(error)
        if line is None:
            # Mistakes of ours deserve their traceback; those of the person have classes of their own.
            if type(error) is ValueError or not isinstance(error, (ValueError, OSError)):
                raise
            from hormesis.pipeline.execution.stage import plain_words

            line = plain_words(error)
        sys.stderr.write(f"hormesis: {printable(line)}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
