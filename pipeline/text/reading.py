"""Reading the study's sources by role: what is trained on, what is set aside, and which data that was.

Knows roles; how a source is read is known by `pipeline.sources`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from hormesis.pipeline.sources import Record, Source, SourceError, open_source
from hormesis.pipeline.sources.record import Reason, RowCount, Stop
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.source_config import Role, SourceConfig
from hormesis.pipeline.text.prefixes import PROMPT_TOKENS
from hormesis.pipeline.text.text_keys import key_of
from hormesis.pipeline.text.toxic_sentences import HoldsToxic

log = logging.getLogger(__name__)
LONGEST_GROUP = 40
"""Characters; a longer name of a group is taken for a text."""
HELDOUT_ONE_IN = 50
"""Where held-out text must be set aside from a training source: documents whose hash falls in 1 of 50."""
SET_ASIDE_FROM: dict[Role, Role] = {"heldout_clean": "clean", "heldout_toxic": "toxic"}
Texts = Iterator[tuple[str, str]]
LeaveOut = Callable[[str], bool]
"""Whether a document is not to be trained on."""


@dataclass
class CountedSource:
    """A source in its role, and what became of the rows read from it so far."""

    settings: SourceConfig
    position: int
    """Place among the sources of the role."""
    source: Source
    count: RowCount = field(default_factory=RowCount)


@dataclass
class RoleRecords:
    """What a role has read and uses: its sources with their counts, and each record with its source."""

    role: Role
    sources: list[CountedSource]
    used: list[tuple[Record, CountedSource]] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """Texts of the records that are used."""
        return [record.text for record, _ in self.used]

    @property
    def labels(self) -> list[int]:
        """1 (toxic) or 0 of the records that are used; 0 where the label is not known."""
        return [int(record.label or 0) for record, _ in self.used]

    def draw(self, indices: Iterable[int]) -> None:
        """Use only the records at these places."""
        chosen = set(indices)
        for place, (_, source) in enumerate(self.used):
            if place not in chosen:
                source.count.drop(Reason.NOT_DRAWN)
        self.used = [self.used[place] for place in sorted(chosen)]


def role_settings(config: StudyConfig, role: Role) -> tuple[SourceConfig, ...]:
    """Settings of the sources that a role reads: its own, else those that held-out text is set aside from."""
    return config.with_role(role) or config.with_role(SET_ASIDE_FROM.get(role, role))


def open_role(config: StudyConfig, role: Role) -> list[CountedSource]:
    """Every source that a role reads, none of its rows read."""
    return [
        CountedSource(settings, position, open_source(settings, config.forum))
        for position, settings in enumerate(role_settings(config, role))
    ]


def group_in_rows(record: Record, settings: SourceConfig, config: StudyConfig) -> str | None:
    """The group of a record as rows name it: by its hash where the group's column holds texts, which rows of
    a copy without texts must not quote and a page must not show beside a blurred one.
    """
    if record.group is None or settings.group is None:
        return record.group
    columns = {
        column
        for source in config.sources
        if source.location == settings.location
        for column in (source.text, source.chosen, source.rejected, source.prompt)
    }
    is_text = settings.group in columns or len(record.group) > LONGEST_GROUP
    return key_of(record.group) if is_text else record.group


def records_of(sources: Iterable[CountedSource]) -> Iterator[tuple[Record, CountedSource]]:
    """Records of one source after the other, each with its source."""
    unread = deque(sources)
    try:
        while unread:
            for record in unread[0].source.read(unread[0].count):
                yield record, unread[0]
            unread.popleft()
    finally:
        _stop(unread)


def in_turns(sources: Iterable[CountedSource]) -> Iterator[tuple[Record, CountedSource]]:
    """Records of all sources, one of each in turn, so that a limit does not leave one source out."""
    streams = deque((source.source.read(source.count), source) for source in sources)
    try:
        while streams:
            record = next(streams[0][0], None)
            if record is None:
                streams.popleft()
            else:
                yield record, streams[0][1]
                streams.rotate(-1)
    finally:
        _stop(source for _, source in streams)


def _stop(sources: Iterable[CountedSource]) -> None:
    """Note of sources that nobody asks for more rows."""
    for source in sources:
        source.count.stopped = source.count.stopped or Stop.ENOUGH


def _is_set_aside(text: str) -> bool:
    return int(key_of(text)[:8], 16) % HELDOUT_ONE_IN == 0


def training_records(
    sources: Iterable[CountedSource], config: StudyConfig, role: Role, *, leave_out: LeaveOut | None = None
) -> Generator[tuple[Record, CountedSource], None, None]:
    """Records of a training or held-out role; documents of `leave_out` are not trained on.

    Without a held-out source of its own, held-out text is set aside from training's by its hash.
    """
    heldout: Role = "heldout_toxic" if role == "toxic" else "heldout_clean"
    is_split = role in ("clean", "toxic") and not config.with_role(heldout)
    is_rest = role in SET_ASIDE_FROM and not config.with_role(role)
    n_records = 0
    for record, source in records_of(sources):
        if (is_split or is_rest) and _is_set_aside(record.text) != is_rest:
            source.count.drop(Reason.NOT_SET_ASIDE if is_rest else Reason.SET_ASIDE)
        elif leave_out is not None and leave_out(record.text):
            source.count.drop(Reason.OVERLAP)
        else:
            yield record, source
            n_records += 1
            if is_rest and n_records == config.holdout_documents:
                return


def heldout_records(config: StudyConfig, holds_toxic: HoldsToxic | None = None) -> RoleRecords:
    """Clean documents that are not trained on, about as many as the costs are measured on.

    Those with a toxic sentence are left out: what detoxifies would be charged for not writing them. What is
    read as a prompt is not scored, so short documents make it more of them. Raises SourceError for none.
    """
    heldout = RoleRecords("heldout_clean", open_role(config, "heldout_clean"))
    n_read = 0
    with closing(training_records(heldout.sources, config, "heldout_clean")) as records:
        # Six characters to a token are enough for any language here; the windows cut to the exact count.
        left = config.evaluation.heldout_tokens * 6
        while left > 0 and (batch := _with_characters(records, left)):
            n_read += len(batch)
            texts = [record.text for record, _ in batch]
            is_toxic = holds_toxic(texts) if holds_toxic is not None else [False] * len(batch)
            for (record, source), toxic in zip(batch, is_toxic, strict=True):
                if toxic:
                    source.count.drop(Reason.TOXIC_SENTENCE)
                else:
                    heldout.used.append((record, source))
                    left -= _scored_characters(record)
    if n_toxic := n_read - len(heldout.used):
        log.info("%d of %d held-out texts hold a toxic sentence and are left out", n_toxic, n_read)
    if not heldout.used:
        without = " without a toxic sentence" if n_read else ""
        raise SourceError(f"no held-out text{without}: give a source with role 'heldout_clean'")
    return heldout


def _scored_characters(record: Record) -> int:
    return max(0, len(record.text) - PROMPT_TOKENS * 6)


def _with_characters(
    records: Iterator[tuple[Record, CountedSource]], characters: int
) -> list[tuple[Record, CountedSource]]:
    """The next records with so many scored characters, or all that are left."""
    batch = []
    while characters > 0 and (read := next(records, None)) is not None:
        batch.append(read)
        characters -= _scored_characters(read[0])
    return batch


def chosen_prompts(source: CountedSource, config: StudyConfig) -> RoleRecords:
    """Distinct prompts; where there are more than the limit, those with the smallest hashes."""
    unique: dict[str, Record] = {}
    for record in source.source.read(source.count):
        key = key_of(record.text)
        if key in unique:
            source.count.drop(Reason.SAME_TEXT)
        unique[key] = record
    limit = config.evaluation.prompt_limit
    keys = list(unique) if limit is None or len(unique) <= limit else sorted(unique)[:limit]
    source.count.drop(Reason.NOT_DRAWN, len(unique) - len(keys))
    return RoleRecords("prompts", [source], [(unique[key], source) for key in keys])


def training_texts(config: StudyConfig, role: Role, leave_out: LeaveOut | None = None) -> Texts:
    """(text, source name) of a training or held-out role."""
    for record, source in training_records(open_role(config, role), config, role, leave_out=leave_out):
        yield record.text, record.source or source.source.title
