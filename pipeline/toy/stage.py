"""Stage `toy`: the toy experiment as a study asks for it. Its runs belong to all studies; this asks for them.

A study that asks for runs that are there already (by `hormesis toy`, or by another study) trains nothing.
"""

from __future__ import annotations

from pipeline.config import StudyConfig
from pipeline.context import StudyContext
from pipeline.progress import Reporter
from pipeline.provenance import digest
from pipeline.stage import Stage
from pipeline.toy.config import SHARES, ToyConfig, ToyRequest, parse_config


def asked(config: StudyConfig) -> tuple[list[ToyConfig], ToyRequest]:
    """What a study asks for: each setting with its default options, and the default shares and probes."""
    configs = [parse_config({"setting": name}) for name in config.toy.settings]
    return configs, ToyRequest(seeds=tuple(range(config.toy.seeds)))


def models(config: StudyConfig) -> int:
    """How many toy models a study asks for."""
    return len(config.toy.settings) * config.toy.seeds * len(SHARES)


def toy_stage(config: StudyConfig) -> Stage | None:
    """The stage, or None where a study asks for no toy experiment."""
    if not config.toy.settings:
        return None
    configs, request = asked(config)
    return Stage(
        "toy", "study", digest("toy", [one.hash for one in configs], request.model_dump(mode="json"))
    )


def make_toys(context: StudyContext, reporter: Reporter) -> None:
    """Train, measure and store what is not there yet. Raises Stopped; what is finished is kept."""
    from pipeline.toy.runner import run_toy

    configs, request = asked(context.config)
    url = context.engine.url.render_as_string(hide_password=False)
    for place, config in enumerate(configs):
        reporter.say(f"toy models, {config.setting} setting")

        def watch(done: float, total: float, place: int = place) -> None:
            reporter.report(place + (done / total if total else 0.0), len(configs), "settings")

        run_toy(
            config,
            request,
            home=context.home,
            database_url=url,
            watch=watch,
            should_stop=lambda: reporter.stopping,
        )
    reporter.report(len(configs), len(configs), "settings")
