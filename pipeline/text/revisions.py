"""What a study's numbers depend on beside its settings: which data, files and scorers, by their revisions."""

from __future__ import annotations

from hormesis.backend.scorers import scorer_revisions
from hormesis.pipeline.execution.foreign import checkpoint_revisions
from hormesis.pipeline.sources import open_source
from hormesis.pipeline.sources.hardness_files import file_revisions
from hormesis.pipeline.sources.hub import HubSource
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.source_config import Role
from hormesis.pipeline.text.prefixes import check_prefixes

NOT_ASKED = "not asked"


def roles_read(config: StudyConfig) -> tuple[Role, ...]:
    """The roles that a study reads, or would read if it had a source for them."""
    roles: list[Role] = [
        "clean", "toxic", "informal", "heldout_clean", "heldout_toxic", "probe", "prompts", "scorer",
    ]  # fmt: skip
    roles += ["pairs"] if config.methods.tuned else []
    roles += ["directions"] if config.methods.second_directions else []
    return tuple(roles)


def source_revisions(config: StudyConfig, *, ask: bool = True) -> dict[str, str]:
    """What the study's numbers depend on beside its settings, by name: data, files and scorers, with
    revisions.

    Sources are named by role, number and title. `ask`: whether the hub may be asked for what it was not asked
    before; such a source is `NOT_ASKED` otherwise. Raises SourceError for what is missing or of one label
    only, and ConfigError for a detox prompt that the study's tokenizer could not read.
    """
    check_prefixes(config)
    revisions = {}
    for role in roles_read(config):
        for number, source_config in enumerate(config.with_role(role)):
            source = open_source(source_config, config.forum)
            revision = (
                source.stored_revision if isinstance(source, HubSource) and not ask else source.revision
            )
            revisions[f"{role}/{number}/{source.title}"] = revision or NOT_ASKED
    revisions |= file_revisions(config) | scorer_revisions(config.evaluation.scorers)
    return revisions | checkpoint_revisions(config, ask=ask)
