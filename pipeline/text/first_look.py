"""Everything that can be known of a study's text before it begins, read as its stages will read it.

What a stage would refuse is refused here, with its words: a bad row with file, line and column, a set with
one label, a split without a class, too little text. Sources that must be fetched first are judged when read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice

from hormesis.pipeline.execution.arms import added_tokens
from hormesis.pipeline.sources import SourceError
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.source_config import Role
from hormesis.pipeline.text.reading import (
    chosen_prompts,
    heldout_records,
    in_turns,
    open_role,
    role_settings,
    training_records,
)
from hormesis.pipeline.text.statements import direction_statements, probe_statements, scorer_statements
from hormesis.pipeline.text.text_keys import key_of
from hormesis.pipeline.text.text_pairs import usable_pairs

SLACK = 1.02
"""Times the text that is needed where each seed has documents of its own, which end where they end."""
LOOK = 20_000
"""Rows of each source of training text that are looked at."""
STATEMENTS = 500
"""Statements by which the language of a study is told."""
LARGE = 200_000
"""A labelled source of more rows is judged by as many, as training text is, and wholly when it is read."""


def unfetched(config: StudyConfig, role: Role) -> list[str]:
    """Titles of the sources that a role reads and that must be fetched first."""
    sources = open_role(config, role)
    return [source.source.title for source in sources if not getattr(source.source, "is_cached", True)]


def check_texts(config: StudyConfig) -> None:
    """Read what the study reads, as far as it is here. Raises SourceError and ProbeError, one line."""
    prompts, probed_keys = set[str](), set[str]()
    if not unfetched(config, "prompts"):
        for source in open_role(config, "prompts"):
            prompts |= set(chosen_prompts(source, config).texts)
    if not unfetched(config, "probe") and not _is_large(config, "probe"):
        statements, _ = probe_statements(config)
        _check_language(config, statements.texts[:STATEMENTS])
        probed_keys = {key_of(text) for text in statements.texts}
    if "tfidf" in config.evaluation.scorers and not unfetched(config, "scorer"):
        scorer_statements(config, probed_keys)
    if config.methods.second_directions and not unfetched(config, "directions"):
        direction_statements(config, probed_keys)
    if config.methods.tuned and not unfetched(config, "pairs"):
        usable_pairs(config, prompts)
    if not unfetched(config, "heldout_clean"):
        heldout_records(config)
    for role, tokens in pool_tokens(config).items():
        if not unfetched(config, role):
            _check_corpus(config, role, tokens)


def _check_language(config: StudyConfig, statements: Sequence[str]) -> None:
    """Raise SourceError where a tokenizer or scorer of the forum language is to read another one.

    To the one every word would be the same unknown one, to the other no text toxic.
    """
    from hormesis.backend.forum import VOCABULARY, judge

    words = [word for statement in statements for word in statement.split()]
    vocabulary = set(VOCABULARY)
    n_known = sum(word in vocabulary for word in words)
    if config.tokenizer.kind == "word" and config.mixes and 2 * n_known < len(words):
        unknown = 1 - n_known / len(words)
        raise SourceError(
            f"tokenizer.kind = 'word' knows the forum language, and {unknown:.0%} of the words of the "
            "study's statements are none of it: set tokenizer.kind = 'bpe'"
        )
    if "forum" in config.evaluation.scorers and not any(judge(text).fluency for text in statements):
        raise SourceError(
            "the scorer 'forum' knows the forum language, and no statement of the study is in it: name "
            "another in evaluation.scorers"
        )


def _is_large(config: StudyConfig, role: Role) -> bool:
    """Whether a role has more rows than are read at the start; those that are must be readable."""
    most = LARGE * len(role_settings(config, role))
    return sum(1 for _ in islice(in_turns(open_role(config, role)), most + 1)) > most


def pool_tokens(config: StudyConfig) -> dict[Role, int]:
    """Training role to the tokens that its pool must hold for the largest arm, of all seeds where each has
    documents of its own; empty without any.
    """
    if not config.mixes:
        return {}
    control_share = config.control_share or max(config.shares, default=0.0)
    needed: dict[Role, int] = {"clean": config.clean_tokens}
    if config.largest_share > 0:
        needed["toxic"] = added_tokens(config.clean_tokens, config.largest_share)
    if config.controls:
        needed["informal"] = added_tokens(config.clean_tokens, control_share)
    if config.sample_text:
        return {role: math.ceil(SLACK * len(config.seeds) * tokens) for role, tokens in needed.items()}
    return needed


def _check_corpus(config: StudyConfig, role: Role, tokens: int) -> None:
    """Read the first rows of training text. Raises SourceError where all there is cannot make the tokens."""
    if any(source.kind == "forum" and source.limit is None for source in config.with_role(role)):
        return  # endless, and without a bad row
    sources = open_role(config, role)
    most = LOOK * len(sources)
    n_records = n_tokens = 0
    for record, _ in islice(training_records(sources, config, role), most):
        n_records += 1
        n_tokens += most_tokens(config, record.text)
    if n_records == most or n_tokens >= tokens or (n_tokens and config.allow_repetition and role != "clean"):
        return
    why = f" for documents of {len(config.seeds)} seeds each (sample_text)" if config.sample_text else ""
    raise SourceError(
        f"{tokens - n_tokens:,} tokens of {role} text are missing: the sources hold {n_tokens:,} at most, "
        f"and {tokens:,} are needed{why}; lower the shares or clean_tokens, or give more text"
    )


def most_tokens(config: StudyConfig, text: str) -> int:
    """At most as many tokens as a text can have with its separator: its words, or its bytes."""
    return 1 + (len(text.split()) if config.tokenizer.kind == "word" else len(text.encode()) + 1)
