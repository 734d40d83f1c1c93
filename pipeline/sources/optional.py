"""A study without those optional sources that the hub refuses.

What is left is a study of its own: no result under one name depends on who may read what.
"""

from __future__ import annotations

from hormesis.pipeline.sources.hub_info import hub_info, stored_info
from hormesis.pipeline.study.config import ConfigError, StudyConfig, parse_study
from hormesis.pipeline.study.source_config import SourceConfig


def without_refused(config: StudyConfig, *, ask: bool) -> tuple[StudyConfig, list[str]]:
    """The study as it can be run here, and a sentence for each source left out.

    The hub's first answer is kept and holds until `hormesis data get` asks again. `ask`: whether to ask where
    there is none yet; such a source stays otherwise. Raises SourceError where the hub gives no answer, and
    ConfigError where nothing is left that plays a needed role.
    """
    refusals = [(source, _refusal(source, ask=ask)) for source in config.sources if source.optional]
    left_out = [(source, refusal) for source, refusal in refusals if refusal]
    if not left_out:
        return config, []
    sources = tuple(source for source in config.sources if source not in [refused for refused, _ in left_out])
    methods = config.methods
    if not any(source.role == "directions" for source in sources):
        methods = methods.model_copy(update={"second_directions": False})
    smaller = config.model_copy(update={"sources": sources, "methods": methods})
    sentences = [f"left out {source.title} ({source.role}): {refusal}" for source, refusal in left_out]
    try:
        parse_study(smaller.model_dump(mode="json"), config.name)
    except ConfigError as error:
        raise ConfigError(f"{error}; {'; '.join(sentences)}") from None
    return smaller, sentences


def _refusal(source: SourceConfig, *, ask: bool) -> str:
    """Why the hub refuses a source; empty where it does not, or was not asked."""
    info = stored_info(source.location, source.revision)
    if info is None and ask:
        info = hub_info(source.location, source.revision)
    return info.refused if info else ""
