"""Scoring a condition on items by the log-likelihood rule, and on held-out text by source.

Knows items, likelihoods and the numbers they become; reads and writes no rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hormesis.backend.crossentropy import prepare_windows
from hormesis.backend.likelihood import log_likelihoods
from hormesis.pipeline.capability.items import Item, Task
from hormesis.pipeline.methods.heldout import window_length
from hormesis.pipeline.methods.opened_condition import OpenedCondition
from hormesis.pipeline.sources import open_source
from hormesis.pipeline.statistics import Estimate, Floats, proportion, ratio_interval
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.text.prefixes import PROMPT_TOKENS
from hormesis.pipeline.text.toxic_sentences import HoldsToxic

log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Scored:
    """One measure of one task or part: a numerator and a denominator per item, so that arms can be paired."""

    task: str
    part: str
    measure: str
    unit: str
    data: str
    chance: float | None
    top: Floats
    """1 for a right answer, or nats of a document."""
    bottom: Floats
    """1 for an item, or tokens of a document."""


def likelihoods(
    opened: OpenedCondition, items: Sequence[Item], *, batch_size: int, progress: Progress
) -> list[Floats]:
    """Log-likelihood (nats) of every choice, an array per item; the condition's prefix is context."""
    pairs = [(opened.prompt(item.context), choice) for item in items for choice in item.choices]
    flat = log_likelihoods(
        opened.loaded, pairs, row=opened.steering, batch_size=batch_size, progress=progress
    )
    per_item, start = [], 0
    for item in items:
        per_item.append(flat[start : start + len(item.choices)])
        start += len(item.choices)
    return per_item


def score_task(
    opened: OpenedCondition, task: Task, *, batch_size: int, progress: Progress
) -> Iterator[Scored]:
    """Accuracy of a task and of its parts; of multiple choice also by likelihood per character.

    `right_plain`, `right_normed`: 1 or 0 per item; `lengths`: characters of each choice, an array per item.
    """
    item_likelihoods = likelihoods(opened, task.items, batch_size=batch_size, progress=progress)
    right_plain = np.array(
        [
            float(np.argmax(values) == item.answer)
            for values, item in zip(item_likelihoods, task.items, strict=True)
        ]
    )
    lengths = [
        np.array([len(choice.removeprefix(" ")) or 1 for choice in item.choices], dtype=np.float64)
        for item in task.items
    ]
    right_normed = np.array(
        [
            float(np.argmax(values / length) == item.answer)
            for values, length, item in zip(item_likelihoods, lengths, task.items, strict=True)
        ]
    )
    parts = sorted({item.part for item in task.items if item.part})
    for measure, is_right in (("accuracy", right_plain), ("accuracy_norm", right_normed)):
        if measure == "accuracy_norm" and not task.name.startswith("mcq_"):
            continue
        for part in ("", *parts):
            yield _scored(task, part, measure, is_right=is_right)


def _scored(task: Task, part: str, measure: str, *, is_right: Floats) -> Scored:
    """The share of right answers in a part of a task; "" is all of it."""
    in_part = np.array([part in ("", item.part) for item in task.items])
    items = [item for item in task.items if part in ("", item.part)]
    chance = sum(1 / len(item.choices) for item in items) / len(items)
    return Scored(
        task.name, part, measure, unit="fraction", data=task.data, chance=chance,
        top=is_right[in_part], bottom=np.ones(len(items)),
    )  # fmt: skip


def score_sources(
    opened: OpenedCondition,
    config: StudyConfig,
    *,
    holds_toxic: HoldsToxic | None,
    batch_size: int,
    progress: Progress,
) -> Iterator[Scored]:
    """Cross-entropy of held-out documents, source by source, in nats per token of this model's tokenizer.

    Of the tokens that costs are measured on: those behind a prompt. Shorter documents are left out.
    """
    length = window_length(config, opened.loaded)
    for source, documents, revision in heldout_by_source(config, holds_toxic):
        windows = prepare_windows(opened.loaded, documents, length, prompt_tokens=PROMPT_TOKENS)
        document_losses = opened.losses(windows, batch_size=batch_size, progress=progress)
        has_tokens = document_losses.tokens > 0
        if has_tokens.any():
            yield Scored(
                "cross_entropy", source, "cross_entropy", unit="nats per token", data=revision, chance=None,
                top=document_losses.nats[has_tokens],
                bottom=document_losses.tokens[has_tokens].astype(np.float64),
            )  # fmt: skip


def heldout_by_source(
    config: StudyConfig, holds_toxic: HoldsToxic | None = None
) -> Iterator[tuple[str, list[str], str]]:
    """Name, documents and revision of each held-out source: clean ones, then the toxic ones.

    Clean ones with a toxic sentence are left out. Documents are taken until a source has about
    `tokens_per_source` (four characters to a token). A study without a source of held-out text has none
    here; its held-out losses are those of the costs.
    """
    budget = 4 * config.capability.tokens_per_source
    names = set[str]()
    for role in ("heldout_clean", "heldout_toxic"):
        documents: dict[str, list[str]] = {}
        characters: dict[str, int] = {}
        revisions: dict[str, str] = {}
        for source in config.with_role(role):
            reader = open_source(source, config.forum)
            for n_read, record in enumerate(reader):
                source_name = record.source or reader.title
                if characters.get(source_name, 0) < budget:
                    documents.setdefault(source_name, []).append(record.text)
                    characters[source_name] = characters.get(source_name, 0) + len(record.text)
                    revisions[source_name] = reader.revision
                # The forum language never ends; a file may hold a rare source at its end.
                elif source.kind == "forum" or n_read > 200_000:
                    break
        for name, texts in documents.items():
            title = name if name not in names else f"{name} ({role})"
            is_toxic = holds_toxic(texts) if role == "heldout_clean" and holds_toxic else [False] * len(texts)
            clean = [text for text, toxic in zip(texts, is_toxic, strict=True) if not toxic]
            if len(clean) < len(texts):
                left_out = len(texts) - len(clean)
                log.info(
                    "%d of %d texts of %s hold a toxic sentence and are left out", left_out, len(texts), title
                )
            yield title, clean, revisions[name]
        names |= documents.keys()


def estimate_of(scored: Scored, draws: int) -> Estimate:
    """Wilson's interval for accuracies; a bootstrap over documents for losses, over items for the rest."""
    if len(scored.top) > 1 and np.isin(scored.top, (0.0, 1.0)).all():
        return proportion(int(scored.top.sum()), len(scored.top), "items")
    if len(scored.top) == 1 and scored.unit == "harness":
        return Estimate(
            float(scored.top[0]), None, None, 1, "of the whole set, not of its items: no interval"
        )
    unit = "documents" if scored.measure == "cross_entropy" else "items"
    return ratio_interval(scored.top, scored.bottom, draws=draws, unit=unit)
