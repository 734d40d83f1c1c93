"""Stage `toy`: the toy experiment as a study asks for it. Its runs belong to all studies; this asks for them.

A study that asks for runs that are there already (by `hormesis toy`, or by another study) trains nothing.
"""

from __future__ import annotations

from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.provenance import digest
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.toy.config import SHARES, ToyConfig, ToyRequest, parse_config


def requested(config: StudyConfig) -> tuple[list[ToyConfig], ToyRequest]:
    """What a study asks for: each setting with its default options, and the default shares and probes."""
    configs = [parse_config({"setting": name}) for name in config.toy.settings]
    return configs, ToyRequest(seeds=tuple(range(config.toy.seeds)))


def models(config: StudyConfig) -> int:
    """How many toy models a study asks for."""
    return len(config.toy.settings) * config.toy.seeds * len(SHARES)


def make_toys(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Train, measure and store what each setting lacks. Raises Stopped; what is finished is kept."""
    from hormesis.pipeline.toy.runner import run_toy

    configs, wanted_runs = requested(context.config)
    url = context.engine.url.render_as_string(hide_password=False)
    for place, config in enumerate(configs):
        reporter.say(f"toy models, {config.setting} setting")

        def watch(done: float, total: float, place: int = place) -> None:
            reporter.report(place + (done / total if total else 0.0), len(configs), "settings")

        run_toy(
            config,
            wanted_runs,
            home=context.home,
            database_url=url,
            watch=watch,
            should_stop=lambda: reporter.stopping,
        )
    reporter.report(len(configs), len(configs), "settings")


def summarise_toys(context: StudyContext) -> None:
    """Write the means and effects of what a study asks for anew, from the runs that are there."""
    configs, _ = requested(context.config)
    if configs:
        from hormesis.pipeline.toy import store

        for config in configs:
            store.summarise(context.engine, store.register(context.engine, config))


def toy_key(context: StudyContext, subject: Subject) -> str:
    """Hash of each setting's configuration, and of the shares, seeds and probes that are asked for."""
    configs, wanted_runs = requested(context.config)
    return digest("toy", [config.hash for config in configs], wanted_runs.model_dump(mode="json"))


def is_requested(config: StudyConfig, subject: Subject) -> bool:
    """Whether a study asks for the toy experiment."""
    return bool(config.toy.settings)
