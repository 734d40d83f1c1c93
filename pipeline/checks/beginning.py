"""Everything that is checked of a study before its first row: one door, for `plan`, `run` and `import`.

Only what `check_study` returns can begin a study (`Checked`), so nothing begins unchecked. `plan` asks no
network: what it could not reach is listed, and refused by `run` where it cannot be had.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hormesis.backend.hub import is_cached
from hormesis.backend.scorers import open_scorers, require_scorers, unreached_scorers
from hormesis.pipeline.attacks.goals import goals_of
from hormesis.pipeline.capability.items import CapabilityError, tasks_of
from hormesis.pipeline.checks.sizes import ModelSize, check_size, one_or_none, own_size, words
from hormesis.pipeline.execution.arms import added_tokens
from hormesis.pipeline.execution.foreign import model_limits, require_checkpoints
from hormesis.pipeline.execution.study import known_revisions
from hormesis.pipeline.study.config import ConfigError, StudyConfig
from hormesis.pipeline.study.source_config import ROLES
from hormesis.pipeline.text.first_look import check_texts, unfetched
from hormesis.pipeline.text.prefixes import check_words
from hormesis.pipeline.text.revisions import roles_read, source_revisions


@dataclass(frozen=True)
class Checked:
    """A study that may begin: the revisions of its data, and what could not be reached to be checked."""

    revisions: dict[str, str]
    unreached: tuple[str, ...] = ()


def check_study(config: StudyConfig, database_url: str, *, ask: bool = True) -> Checked:
    """Check all that can be known of a study before it begins. Writes nothing.

    `ask`: whether the hub may be asked. A study that has begun is not asked again for scorers and checkpoints
    of others: what it has stays, whatever can be reached today. Text that it has read is not read again.
    Raises ConfigError, SourceError, ScorerError and the like (ValueError, one line).
    """
    _require_tokens(config)
    if config.training.compile and config.mixes and ask:  # a plan does not look for devices
        from hormesis.pipeline.training.compilation import require_compiler

        require_compiler()
    read_before = known_revisions(config, database_url)
    is_new = read_before is None
    if is_new:  # before anything is downloaded
        require_checkpoints(config, ask=ask)
    revisions = source_revisions(config, ask=ask)
    if config.mixes:
        check_size(config, own_size(config), words if config.tokenizer.kind == "word" else one_or_none)
    if not _is_read(revisions, read_before or {}):
        check_texts(config)
    if "suffix" in config.hardness.attacks:
        goals, _ = goals_of(config.hardness)
        for goal in goals:  # a suffix between words that the models do not know never reads back
            check_words(config, "hardness.suffix", f"{goal.prompt} {goal.tail} {goal.target}")
    tasks_of(config.capability)
    _check_existing(config, ask=ask)
    if config.capability.harness and importlib.util.find_spec("lm_eval") is None:
        raise CapabilityError("harness tasks need lm-evaluation-harness: pip install 'hormesis[harness]'")
    scorers = _scorers(config)
    if is_new:
        require_scorers(scorers, ask=ask)
        for checkpoint in config.checkpoints:
            check_size(config, ModelSize(checkpoint.model, *model_limits(Path(checkpoint.location))))
        if ask:
            open_scorers(scorers)
            _require_tasks(config)
    return Checked(revisions, () if ask else tuple(_unreached(config, scorers)))


def _require_tokens(config: StudyConfig) -> None:
    """Raise ConfigError for a share so small that its arm would be that of share 0 under another name."""
    for kind, share in config.mixes:
        if share and not added_tokens(config.clean_tokens, share):
            raise ConfigError(
                f"a share of {share:g} of {config.clean_tokens:,} clean tokens is not one token ({kind})"
            )


def _is_read(revisions: Mapping[str, str], read_before: Mapping[str, str]) -> bool:
    """Whether the study has read the very sources that it is to read now, and so found nothing wrong."""
    of_roles = {name: revision for name, revision in revisions.items() if name.partition("/")[0] in ROLES}
    return of_roles.items() <= read_before.items()


def _scorers(config: StudyConfig) -> list[str]:
    """Every scorer of the study, that of its annotations included."""
    annotators = {config.annotation.scorer} - {"", "role"} if config.variants else set()
    return [*config.evaluation.scorers, *sorted(annotators - {*config.evaluation.scorers})]


def _check_existing(config: StudyConfig, *, ask: bool) -> None:
    """Raise TokenizerError where an existing tokenizer cannot be opened; ConfigError as `check_size` does."""
    path = config.tokenizer.path
    if config.tokenizer.kind != "existing" or not config.mixes or path is None:
        return
    if ask or Path(path).exists() or path.startswith(("/", ".", "~")):
        from hormesis.pipeline.text.tokenization import open_existing, token_ids

        tokenizer = open_existing(path)
        check_size(config, own_size(config), lambda text: len(next(token_ids(tokenizer, [text]))))


def _require_tasks(config: StudyConfig) -> None:
    if config.capability.harness:
        from hormesis.pipeline.capability.harness import task_manager

        task_manager(config.capability.harness, config.capability.folder)


def _unreached(config: StudyConfig, scorers: list[str]) -> Iterator[str]:
    """What a plan has not seen, each in a few words."""
    for role in roles_read(config):
        if config.with_role(role):
            yield from (f"source {title} ({role}), not here yet" for title in unfetched(config, role))
    for checkpoint in config.checkpoints:
        if not Path(checkpoint.location).exists() and not is_cached(checkpoint.model, checkpoint.revision):
            yield f"model {checkpoint.model}, not here yet"
    yield from unreached_scorers(scorers)
    if config.tokenizer.kind == "existing" and not Path(config.tokenizer.path or "").exists():
        yield f"tokenizer {config.tokenizer.path}"
    if config.capability.harness:
        yield f"tasks of lm-evaluation-harness ({', '.join(config.capability.harness)}) and their data"
