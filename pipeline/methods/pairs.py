"""Pairs of chosen and rejected text: read once from the study's source, shared by all checkpoints, as token
ids.

Knows the source role `pairs` and what may not be in it (prompts that are evaluated on). Knows no training.
"""

from __future__ import annotations

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
from hormesis.pipeline.text.source_rows import RoleTexts, is_recorded, record_role
from hormesis.pipeline.text.text_pairs import TextPair, row_of, usable_pairs


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
        query = select(Prompt.text).join(PromptSet, Prompt.prompt_set_id == PromptSet.id)
        with read_session(context.engine) as session:
            prompts = set(session.scalars(query.where(PromptSet.study_id == context.study_id)))
        pairs = usable_pairs(context.config, prompts)
        texts = RoleTexts.of(pairs)
        for record, source in pairs.used:
            texts.add(row_of(record)[2], source)
        record_role(context, texts)
        write_sealed_json(path, [row_of(record) for record, _ in pairs.used])
    return [TextPair(*row) for row in json.loads(path.read_text(encoding="utf-8"))]


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
