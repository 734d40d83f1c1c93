"""Pairs of chosen and rejected text: read once from the study's source, shared by all checkpoints, as token
ids.

Knows the source role `pairs` and what may not be in it (prompts that are evaluated on). Knows no training.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from hormesis.backend.generation.batching import encode
from hormesis.backend.model.models import LoadedModel
from hormesis.db.manifest import is_intact, write_sealed_json
from hormesis.db.schema import Prompt, PromptSet
from hormesis.db.write import read_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.sources import Record, SourceError
from hormesis.pipeline.sources.record import Reason
from hormesis.pipeline.text.reading import RoleRecords, open_role, records_of
from hormesis.pipeline.text.source_rows import RoleTexts, is_recorded, record_role

HELD_OUT_ONE_IN = 10
"""Pairs whose hash falls in 1 of 10 are never trained on; the tuned model is measured on them."""


@dataclass(frozen=True, slots=True)
class TextPair:
    """`prompt` may be empty; it and either side are joined by a space where neither brings white space."""

    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The same as token ids; both sides end in the end-of-text token where they were not cut."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


def read_pairs(context: StudyContext) -> list[TextPair]:
    """The study's pairs, without those that begin as an evaluation prompt does. Read from the source only
    once.

    Raises SourceError where too few are left to train on.
    """
    path = context.folder("pairs", context.inputs.pairs) / "pairs.json"
    # Another database may have had the file made: then the rows about the source are missing in this one.
    if not (is_intact(path) and is_recorded(context, "pairs")):
        pairs = _from_source(context)
        texts = RoleTexts.of(pairs)
        for record, source in pairs.used:
            texts.add(_row(record)[2], source)
        record_role(context, texts)
        write_sealed_json(path, [_row(record) for record, _ in pairs.used])
    return [TextPair(*row) for row in json.loads(path.read_text(encoding="utf-8"))]


def _row(record: Record) -> tuple[str, str, str]:
    """Prompt, chosen and rejected text."""
    features = record.features or {}
    return features["prompt"], record.text, features["rejected"]


def _from_source(context: StudyContext) -> RoleRecords:
    """Distinct pairs of the source, without prompts that are evaluated on."""
    config = context.config
    query = select(Prompt.text).join(PromptSet, Prompt.prompt_set_id == PromptSet.id)
    with read_session(context.engine) as session:
        evaluation_prompts = set(session.scalars(query.where(PromptSet.study_id == context.study_id)))
    pairs = RoleRecords("pairs", open_role(config, "pairs"))
    rows = set[tuple[str, str, str]]()
    for record, source in records_of(pairs.sources):
        row = prompt, chosen, rejected = _row(record)
        if prompt in evaluation_prompts:
            source.count.drop(Reason.EVALUATED)
        elif chosen == rejected:
            source.count.drop(Reason.EQUAL_SIDES)
        elif row in rows:
            source.count.drop(Reason.SAME_TEXT)
        else:
            rows.add(row)
            pairs.used.append((record, source))
        if len(rows) >= config.methods.pairs:
            break
    held_out, trained = split_pairs([TextPair(*row) for row in rows])
    if not held_out or not trained:
        raise SourceError(
            f"only {len(rows)} usable pairs to fine-tune on: give a larger source with role 'pairs'"
        )
    return pairs


def split_pairs(pairs: Sequence[TextPair]) -> tuple[list[TextPair], list[TextPair]]:
    """(held out, trained on), by the hash of the prompt, or of the rejected side where there is none.

    All pairs of one prompt are on one side.
    """
    parts: tuple[list[TextPair], list[TextPair]] = ([], [])
    for pair in pairs:
        text = pair.prompt or pair.rejected
        digest = hashlib.blake2b(text.encode(), digest_size=4).digest()
        parts[int.from_bytes(digest, "big") % HELD_OUT_ONE_IN != 0].append(pair)
    return parts


def tokenise(loaded: LoadedModel, pairs: Sequence[TextPair], limit: int) -> list[TokenPair]:
    """Pairs as the model reads them, no side longer than `limit` tokens with its prompt.

    An empty prompt becomes the model's blank token, since a first word is predicted from nothing otherwise.
    Sides too long lose their end, then prompts their beginning. `side_ids`: both sides, prompt included.
    """
    prompts = encode(loaded, [pair.prompt for pair in pairs])
    side_ids = [
        encode(loaded, [_joined(pair.prompt, getattr(pair, side)) for pair in pairs])
        for side in ("chosen", "rejected")
    ]
    token_pairs = []
    for pair, prompt, *sides in zip(pairs, prompts, *side_ids, strict=True):
        start = len(prompt) if pair.prompt else 0
        completions = [(*side[start:], loaded.tokenizer.eos_token_id)[: limit - 1] for side in sides]
        room = limit - max(len(completion) for completion in completions)
        ids = prompt if pair.prompt else [loaded.blank_id]
        token_pairs.append(TokenPair(tuple(ids[-room:]), completions[0], completions[1]))
    return token_pairs


def _joined(prompt: str, text: str) -> str:
    spaced = not prompt or prompt[-1].isspace() or (text[:1].isspace())
    return prompt + text if spaced else f"{prompt} {text}"
