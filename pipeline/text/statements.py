"""Labelled statements of a study: distinct ones with one label each, of both labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from hormesis.pipeline.sources import Record, SourceError
from hormesis.pipeline.sources.record import Reason
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.config_sections import ProbeConfig
from hormesis.pipeline.study.source_config import Role
from hormesis.pipeline.text.probe_splits import (
    ProbeError,
    Split,
    draw_examples,
    require_both_classes,
    split_examples,
)
from hormesis.pipeline.text.reading import CountedSource, RoleRecords, in_turns, open_role, records_of
from hormesis.pipeline.text.text_keys import key_of, words_key

SCORER_DOCUMENTS = 10_000
"""Labelled documents that the study's own scorer learns from, at most."""
MOST_DIRECTIONS = 3000
"""Statements of the second set of directions at most, where `probe.limit` does not say less."""
NAMES: dict[Role, str] = {
    "probe": "the probe set",
    "scorer": "the text of the study's own scorer",
    "directions": "the second set of directions",
}
Statement = tuple[Record, CountedSource]


def drop_both_labels(statements: Iterable[Statement]) -> list[Statement]:
    """The statements whose text has one label throughout: of a text with both, neither is known."""
    labels: defaultdict[str, set[int | None]] = defaultdict(set)
    rows = list(statements)
    for record, _ in rows:
        labels[record.text].add(record.label)
    for record, source in rows:
        if len(labels[record.text]) > 1:
            source.count.drop(Reason.BOTH_LABELS)
    return [statement for statement in rows if len(labels[statement[0].text]) == 1]


def distinct_statements(statements: Iterable[Statement]) -> dict[str, Statement]:
    """Key of each text to its first statement; what is left out is counted."""
    distinct: dict[str, Statement] = {}
    for record, source in drop_both_labels(statements):
        key = key_of(record.text)
        if key in distinct:
            source.count.drop(Reason.SAME_TEXT)
        distinct.setdefault(key, (record, source))
    return distinct


def require_both(statements: RoleRecords) -> None:
    """Raise SourceError, one line, where labelled statements are all toxic or none is."""
    labels = {record.label for record, _ in statements.used} - {None}
    if len(labels) == 2:
        return
    titles = ", ".join(dict.fromkeys(source.source.title for source in statements.sources))
    content = f"only {'toxic' if 1 in labels else 'non-toxic'} statements" if labels else "no statement"
    n_rows = sum(source.count.read for source in statements.sources)
    raise SourceError(
        f"{NAMES[statements.role]} ({titles}) holds {content} in {n_rows:,} rows, and needs both kinds: "
        f"check label, positive and negative, or add a source with role '{statements.role}'"
    )


def labelled_roles(config: StudyConfig) -> tuple[Role, ...]:
    """Roles of the study that need statements of both labels."""
    roles: list[Role] = ["probe"]
    roles += ["scorer"] if "tfidf" in config.evaluation.scorers else []
    roles += ["directions"] if config.methods.second_directions else []
    return tuple(roles)


def probe_statements(config: StudyConfig) -> tuple[RoleRecords, Split]:
    """The probe set: distinct statements, those that `probe.limit` draws used, and the split of each.

    Raises SourceError where all have one label, ProbeError where a split has too few of one.
    """
    probe = RoleRecords("probe", open_role(config, "probe"))
    unique = distinct_statements(records_of(probe.sources))
    probe.used = list(unique.values())
    require_both(probe)
    probe.draw(draw_examples(list(unique), probe.labels, config.probe.limit))
    return probe, split_of(probe, config.probe)


def split_of(statements: RoleRecords, settings: ProbeConfig) -> Split:
    """The split of the statements that are used. Raises ProbeError where one has too few of a label."""
    split = split_examples(
        [words_key(text) for text in statements.texts],
        [record.group for record, _ in statements.used],
        select_fraction=settings.select_fraction,
        test_fraction=settings.test_fraction,
    )
    require_both_classes(statements.labels, split.codes)
    return split


def scorer_statements(config: StudyConfig, probed_keys: Collection[str]) -> RoleRecords:
    """Labelled text without that of the probe set: a scorer must not know what probes saw."""
    scorer = RoleRecords("scorer", open_role(config, "scorer"))
    for record, source in in_turns(scorer.sources):
        if key_of(record.text) in probed_keys:
            source.count.drop(Reason.PROBED)
        else:
            scorer.used.append((record, source))
        if len(scorer.used) == SCORER_DOCUMENTS:
            break
    scorer.used = drop_both_labels(scorer.used)
    require_both(scorer)
    return scorer


def direction_statements(config: StudyConfig, probed_keys: Collection[str]) -> tuple[RoleRecords, Split]:
    """Labelled statements of the second source, none of them in the probe set, evenly drawn by label.

    Raises ProbeError where a class is missing, or a split has too few of one.
    """
    second = RoleRecords("directions", open_role(config, "directions"))
    unique = distinct_statements(records_of(second.sources))
    for key in unique.keys() & probed_keys:
        _, source = unique.pop(key)
        source.count.drop(Reason.PROBED)
    second.used = list(unique.values())
    if len(set(second.labels)) < 2:
        raise ProbeError("the second set of directions needs toxic and other statements that were not probed")
    limit = min(config.probe.limit or MOST_DIRECTIONS, MOST_DIRECTIONS)
    second.draw(draw_examples(list(unique), second.labels, limit))
    return second, split_of(second, config.probe)
