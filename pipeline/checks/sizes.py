"""Whether what a study generates, measures and attacks fits a model: its context and its heads.

Opens no model. Tokens are counted by the model's own tokenizer where there is one, else each text counts one:
then only what cannot fit by any tokenizer is refused here, and the rest when the tokenizer is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hormesis.pipeline.attacks.goals import goals_of
from hormesis.pipeline.study.config import ConfigError, StudyConfig
from hormesis.pipeline.study.scales import SHAPES, train_settings
from hormesis.pipeline.text.prefixes import SHORTEST, no_room, prefixes

CountTokens = Callable[[str], int]


@dataclass(frozen=True)
class ModelSize:
    """What limits a study on one model: whose they are, tokens of context and heads; None: not known."""

    owner: str
    context: int | None
    heads: int | None


def own_size(config: StudyConfig) -> ModelSize:
    """The models that a study trains itself."""
    shape = SHAPES[config.scale]
    context = train_settings(config.scale, config.training, seed=0).sequence_length
    return ModelSize(f"scale {config.scale}", context, shape.layers * shape.heads)


def one_or_none(text: str) -> int:
    """Tokens that a text has at least."""
    return int(bool(text.strip()))


def words(text: str) -> int:
    """Tokens of a text by the word tokenizer of the forum language."""
    return len(text.split())


def check_size(config: StudyConfig, size: ModelSize, count_tokens: CountTokens = one_or_none) -> None:
    """Raise ConfigError, one line with the setting to change, where a model is too small for the study."""
    heads = config.probe.heads
    if heads != "auto" and size.heads is not None and heads > size.heads:
        raise ConfigError(f"probe.heads: cannot steer {heads} heads, {size.owner} has {size.heads}")
    if size.context is None:
        return
    longest = max(map(count_tokens, prefixes(config)))
    _check_generation(config, size.owner, size.context, longest=longest)
    if size.context - longest < SHORTEST:
        raise ConfigError(no_room(size.owner, size.context, longest=longest))
    if "suffix" in config.hardness.attacks:
        _check_goals(config, size.owner, size.context, longest=longest, count_tokens=count_tokens)


def _check_generation(config: StudyConfig, owner: str, context: int, *, longest: int) -> None:
    """The lengths of texts that are generated; `longest`: tokens of the longest prefix."""
    lengths = {"evaluation.new_tokens": config.evaluation.new_tokens}
    if "suffix" in config.hardness.attacks:
        lengths["hardness.suffix.new_tokens"] = config.hardness.suffix.new_tokens
    if "long" in config.hardness.attacks:
        lengths["hardness.block_tokens"] = min(config.hardness.block_tokens, max(1, context // 2))
    for setting, new_tokens in lengths.items():
        if new_tokens + longest + 1 > context:
            beside = f" beside a prefix of {longest}" if longest else ""
            raise ConfigError(
                f"{setting}: {new_tokens} new tokens{beside} do not fit the context of {context} tokens of "
                f"{owner}; at most {max(0, context - longest - 1)} do"
            )


def _check_goals(
    config: StudyConfig, owner: str, context: int, *, longest: int, count_tokens: CountTokens
) -> None:
    """Each goal with its suffix, its target and the longest prefix."""
    suffix_tokens = config.hardness.suffix.suffix_tokens
    for goal in goals_of(config.hardness)[0]:
        length = longest + suffix_tokens + sum(map(count_tokens, (goal.prompt, goal.tail, goal.target)))
        if length > context:
            raise ConfigError(
                f"hardness.suffix: a goal with its suffix and target takes {length} tokens, and {owner} has "
                f"a context of {context}: lower suffix_tokens, or use a longer sequence_length or other goals"
            )
