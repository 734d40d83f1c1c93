"""Reading the study's sources by role: what is trained on, what is set aside, and which data that was.

Knows roles; how a source is read is known by `pipeline.sources`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from hormesis.backend.scorers import scorer_revisions
from hormesis.pipeline.sources import Record, Source, open_source
from hormesis.pipeline.sources.hardness_files import file_revisions
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.source_config import Role
from hormesis.pipeline.text.prefixes import check_prefixes
from hormesis.pipeline.text.text_keys import key_of

HELDOUT_ONE_IN = 50
"""Where held-out text must be set aside from a training source: documents whose hash falls in 1 of 50."""
Texts = Iterator[tuple[str, str]]


def roles_read(config: StudyConfig) -> tuple[Role, ...]:
    """The roles that a study reads, or would read if it had a source for them."""
    roles: list[Role] = [
        "clean", "toxic", "informal", "heldout_clean", "heldout_toxic", "probe", "prompts", "scorer",
    ]  # fmt: skip
    roles += ["pairs"] if config.methods.tuned else []
    roles += ["directions"] if config.methods.second_directions else []
    return tuple(roles)


def source_revisions(config: StudyConfig) -> dict[str, str]:
    """What the study's numbers depend on beside its settings, by name: data, files and scorers, with
    revisions.

    Sources are named by role, number and title. Raises SourceError for what is missing, and ConfigError for a
    detox prompt that the study's tokenizer could not read.
    """
    check_prefixes(config)
    revisions = {}
    for role in roles_read(config):
        for number, source_config in enumerate(config.with_role(role)):
            source = open_source(source_config, config.forum)
            revisions[f"{role}/{number}/{source.title}"] = source.revision
    return revisions | file_revisions(config) | scorer_revisions(config.evaluation.scorers)


def records_of(config: StudyConfig, role: Role) -> Iterator[tuple[Record, Source]]:
    """Records of every source of a role, each with its source."""
    for source_config in config.with_role(role):
        source = open_source(source_config, config.forum)
        for record in source:
            yield record, source


def _set_aside(text: str) -> bool:
    return int(key_of(text)[:8], 16) % HELDOUT_ONE_IN == 0


def training_texts(config: StudyConfig, role: Role) -> Texts:
    """(text, source name) of a training role, without what is set aside as held-out."""
    heldout: Role = "heldout_toxic" if role == "toxic" else "heldout_clean"
    shares_source = role in ("clean", "toxic") and not config.with_role(heldout)
    for record, source in records_of(config, role):
        if not (shares_source and _set_aside(record.text)):
            yield record.text, record.source or source.title


def heldout_texts(config: StudyConfig, role: Role) -> Texts:
    """(text, source name) of held-out documents, of their own source or set aside from training's."""
    if config.with_role(role):
        for record, source in records_of(config, role):
            yield record.text, record.source or source.title
        return
    training: Role = "toxic" if role == "heldout_toxic" else "clean"
    set_aside = (pair for pair in records_of(config, training) if _set_aside(pair[0].text))
    for record, source in islice(set_aside, config.holdout_documents):
        yield record.text, record.source or source.title
