"""Rows about the sources of a study: what became of each one's rows, and which texts two roles share.

Each role is recorded when it has been read. Its texts are kept as hashes beside the study's text, so that a
role that is read later (pairs, second directions) is compared with all that came before.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from hormesis.db.manifest import is_intact, sealed_file
from hormesis.db.schema import Example, ProbeSet, Prompt, PromptSet, SourceOverlap, SourceUse
from hormesis.db.write import read_session, replace_rows, upsert, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Progress
from hormesis.pipeline.execution.provenance import digest
from hormesis.pipeline.study.source_config import ROLES, Role, SourceConfig
from hormesis.pipeline.text.overlap import RunCount, RunIndex
from hormesis.pipeline.text.pools import Pool
from hormesis.pipeline.text.reading import (
    CountedSource,
    LeaveOut,
    RoleRecords,
    open_role,
    role_settings,
    training_records,
)

USE_KEY = ("study_id", "role", "position")
OVERLAP_KEY = ("study_id", "kind", "first", "second")
Hashes = NDArray[np.uint64]


@dataclass
class RoleTexts:
    """The texts that a role uses, as hashes, each with the place of its source among the role's."""

    role: Role
    sources: list[CountedSource]
    hashes: array[int] = field(default_factory=lambda: array("Q"))
    positions: array[int] = field(default_factory=lambda: array("H"))

    @classmethod
    def of(cls, records: RoleRecords) -> Self:
        """The texts of records that are used."""
        texts = cls(records.role, records.sources)
        for record, source in records.used:
            texts.add(record.text, source)
        return texts

    def add(self, text: str, source: CountedSource) -> None:
        """Take in a text that is used."""
        self.hashes.append(int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big"))
        self.positions.append(source.position)

    def cut(self, lengths: Iterable[int], room: int) -> list[int]:
        """By source, how many texts have more than `room` tokens; `lengths` [texts] in tokens."""
        is_long = np.fromiter(lengths, np.int64) > room
        places = np.frombuffer(self.positions, np.uint16)[is_long]
        return [int(n) for n in np.bincount(places, minlength=len(self.sources))]


def record_role(context: StudyContext, texts: RoleTexts, *, cut: list[int] | None = None) -> None:
    """Write what became of a role's rows, and which texts it shares with other roles.

    `cut`: by source, how many used rows are longer than the models' context; None where that is not known.
    """
    rows = [
        {
            "study_id": context.study_id,
            "role": texts.role,
            "position": source.position,
            "name": source.source.title,
            "kind": source.settings.kind,
            "location": source.settings.path or "",
            "revision": source.source.revision,
            **_description(source.settings),
            "rows_read": source.count.read,
            "rows_used": source.count.used,
            "rows_cut": None if cut is None else cut[source.position],
            "dropped": source.count.reasons,
            "stopped": str(source.count.stopped),
            "note": source.count.note,
        }
        for source in texts.sources
    ]
    hashes: Hashes = np.frombuffer(texts.hashes, np.uint64)
    with sealed_file(hashes_path(context, texts.role)) as temporary, temporary.open("wb") as file:
        np.save(file, hashes)
    overlaps = []
    for role in ROLES:
        path = hashes_path(context, role)
        if role != texts.role and is_intact(path):
            pair = {texts.role: hashes, role: np.load(path)}
            overlaps.append(_identical_texts(context, {name: pair[name] for name in ROLES if name in pair}))
    with write_session(context.engine) as session:
        within = [SourceUse.study_id == context.study_id, SourceUse.role == texts.role]
        replace_rows(session, SourceUse, rows, on=USE_KEY, within=within)
        upsert(session, SourceOverlap, overlaps, on=OVERLAP_KEY)


def is_recorded(context: StudyContext, role: Role) -> bool:
    """Whether the study has rows about what a role read."""
    query = select(SourceUse.id).where(SourceUse.study_id == context.study_id, SourceUse.role == role)
    with read_session(context.engine) as session:
        return session.scalar(query.limit(1)) is not None


def hashes_path(context: StudyContext, role: Role) -> Path:
    """Where the hashes of a role's texts lie."""
    inputs = context.inputs
    return context.folder("texts", digest("texts", inputs.text, role, inputs.roles(role))) / "hashes.npy"


def _description(settings: SourceConfig) -> dict[str, str]:
    return {
        "licence": settings.licence,
        "attribution": settings.attribution,
        "platform": settings.platform or ("forum language" if settings.kind == "forum" else ""),
        "annotators": settings.annotators or ("its grammar" if settings.kind == "forum" else ""),
    }


def _identical_texts(context: StudyContext, hashes: Mapping[Role, Hashes]) -> dict[str, Any]:
    """The row of two roles, by the hashes [texts] of each."""
    (first, first_hashes), (second, second_hashes) = hashes.items()
    return {
        "study_id": context.study_id,
        "kind": "text",
        "first": first,
        "second": second,
        "n_first": len(first_hashes),
        "n_second": len(second_hashes),
        "shared_first": int(np.isin(first_hashes, second_hashes).sum()),
        "shared_second": int(np.isin(second_hashes, first_hashes).sum()),
    }


def record_training(
    context: StudyContext,
    pool: Pool,
    role: Role,
    *,
    index: RunIndex,
    leave_out: LeaveOut | None,
    room: int,
    progress: Progress,
) -> None:
    """Read what a pool was made from once more, and write what became of it and what it shares.

    `room`: the context of the study's models in tokens; `progress(done, total)` counts documents.
    """
    texts, runs = RoleTexts(role, open_role(context.config, role)), RunCount(index)
    with closing(training_records(texts.sources, context.config, role, leave_out=leave_out)) as documents:
        for record, source in islice(documents, None if pool.exhausted else pool.documents):
            texts.add(record.text, source)
            runs.add(record.text)
            progress(len(texts.positions), pool.documents)
    lengths = np.diff(pool.offsets.astype(np.int64)) - 1
    # A tokenizer may make nothing of a document, which is then not in the pool.
    cut = texts.cut(lengths, room) if len(lengths) == len(texts.positions) else None
    record_role(context, texts, cut=cut)
    record_runs(context, role, runs)


def record_runs(context: StudyContext, role: Role, count: RunCount) -> None:
    """Write how many documents of a role share eight words in a row with each role of the index."""
    rows = []
    for second, documents_sharing in count.sharing.items():
        n_texts, n_sharing = count.texts(second)
        rows.append(
            {
                "study_id": context.study_id,
                "kind": "8-gram",
                "first": role,
                "second": second,
                "n_first": count.documents,
                "n_second": n_texts,
                "shared_first": documents_sharing,
                "shared_second": n_sharing,
            }
        )
    with write_session(context.engine) as session:
        upsert(session, SourceOverlap, rows, on=OVERLAP_KEY)


def run_index(context: StudyContext) -> RunIndex:
    """Runs of eight words of the study's statements and prompts, from their rows."""
    statements = select(Example.text).join(ProbeSet, Example.probe_set_id == ProbeSet.id)
    prompts = select(Prompt.text).join(PromptSet, Prompt.prompt_set_id == PromptSet.id)
    with read_session(context.engine) as session:
        return RunIndex(
            {
                "probe": session.scalars(statements.where(ProbeSet.study_id == context.study_id)).all(),
                "prompts": session.scalars(prompts.where(PromptSet.study_id == context.study_id)).all(),
            }
        )


def describe_sources(context: StudyContext) -> None:
    """Bring what the study file says of its sources into rows written when it said something else."""
    with write_session(context.engine) as session:
        for row in session.scalars(select(SourceUse).where(SourceUse.study_id == context.study_id)):
            settings = role_settings(context.config, cast(Role, row.role))
            if row.position < len(settings):
                for column, text in _description(settings[row.position]).items():
                    setattr(row, column, text)
