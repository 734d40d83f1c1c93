"""The tokenising half of stage `text`: the study's tokenizer and the token pools all arms draw from.

Knows which roles are pooled and how many tokens each must hold; how a pool is written is known elsewhere.
Where a study has arms whose documents are annotated (`meda`, `inst`, `slung`), each document's toxicity is
pooled with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.source_config import Role
from hormesis.pipeline.text.first_look import pool_tokens
from hormesis.pipeline.text.pools import Annotate, Judge, Pool, build_pool, open_pool
from hormesis.pipeline.text.prefixes import mark_words
from hormesis.pipeline.text.reading import LeaveOut, training_texts

BPE_DOCUMENTS = 40_000


def corpus_folder(context: StudyContext) -> Path:
    """Where the tokenizer and the token pools lie; studies that train on the same text share it."""
    return context.folder("corpus", context.inputs.corpus)


def corpus_roles(config: StudyConfig) -> list[Role]:
    """Roles that have a pool; none where the study trains no model."""
    if not (config.shares or config.controls or config.variants):
        return []
    return [*pool_tokens(config), *_heldout_roles(config)]


def _heldout_roles(config: StudyConfig) -> tuple[Role, ...]:
    has_toxic = config.with_role("toxic") or config.with_role("heldout_toxic")
    return ("heldout_clean", "heldout_toxic") if has_toxic else ("heldout_clean",)


def tokenise(
    context: StudyContext, reporter: Reporter, tfidf: Path, *, leave_out: LeaveOut | None = None
) -> None:
    """Make the tokenizer and every pool, without training documents of `leave_out`.

    `tfidf`: where the study's own scorer lies, if it has one. Raises TokenizerError, SourceError, and
    ScorerError where documents cannot be annotated.
    """
    from hormesis.backend.forum import VOCABULARY
    from hormesis.pipeline.text.tokenization import make_tokenizer

    config, folder = context.config, corpus_folder(context)
    reporter.say("making the tokenizer")
    reporter.report(0, 1)
    tokenizer = make_tokenizer(
        config.tokenizer.kind,
        folder / "tokenizer",
        words=[*VOCABULARY, *mark_words(config)] if config.tokenizer.kind == "word" else None,
        texts=_tokenizer_texts(config, leave_out) if config.tokenizer.kind == "bpe" else None,
        vocabulary=config.tokenizer.vocabulary,
        path=config.tokenizer.path,
    )
    judge = _judge(config, tfidf)
    for role, tokens in pool_tokens(config).items():
        reporter.say(f"tokenising the {role} text")
        build_pool(
            training_texts(config, role, leave_out),
            tokenizer,
            folder / "pools" / role,
            role=role,
            tokens=tokens,
            key=context.inputs.corpus,
            annotate=_annotator(config, role, tfidf) if config.variants and role != "informal" else None,
            judge=judge,
            progress=reporter.counting("tokens"),
        )
    for role in _heldout_roles(config):
        build_pool(
            training_texts(config, role),
            tokenizer,
            folder / "pools" / role,
            role=role,
            tokens=config.evaluation.heldout_tokens,
            key=context.inputs.corpus,
        )


def _judge(config: StudyConfig, tfidf: Path) -> Judge | None:
    """What says how much of the training text is toxic: the scorer that held-out text is judged by."""
    from hormesis.backend.scorers import make_scorer

    name = config.heldout_scorer
    return None if name is None else Judge(name, make_scorer(name, tfidf).score)


def _annotator(config: StudyConfig, role: Role, tfidf: Path) -> Annotate:
    """A function from texts of a role to their toxicity, 0..1; `tfidf`: folder of the study's own scorer."""
    scorer_name = config.annotation.scorer or ("forum" if config.speaks_forum else "role")
    if scorer_name == "role":
        return lambda texts: np.full(len(texts), float(role == "toxic"))
    from hormesis.backend.scorers import make_scorer

    return make_scorer(scorer_name, tfidf).score


def _tokenizer_texts(config: StudyConfig, leave_out: LeaveOut | None) -> Iterable[str]:
    """Clean and added text for a tokenizer that all arms share, so that none has the better one."""
    roles: list[Role] = ["clean"]
    roles += ["toxic"] if config.largest_share > 0 else []
    roles += ["informal"] if config.controls else []
    for role in roles:
        yield from (text for text, _ in islice(training_texts(config, role, leave_out), BPE_DOCUMENTS))


def pool(context: StudyContext, role: Role) -> Pool | None:
    """A pool of the study, or None where the study has no such text."""
    folder = corpus_folder(context) / "pools" / role
    return open_pool(folder) if folder.is_dir() else None
