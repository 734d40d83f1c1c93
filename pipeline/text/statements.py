"""Labelled statements of a study: distinct ones with one label each, of both labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice

from hormesis.pipeline.sources import Record, SourceError
from hormesis.pipeline.sources.record import Reason
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.source_config import Role
from hormesis.pipeline.text.reading import CountedSource, RoleRecords, in_turns, open_role
from hormesis.pipeline.text.text_keys import key_of

LOOK = 20_000
"""Rows of each source that are looked at before a study begins."""
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


def check_labels(config: StudyConfig) -> None:
    """Look at the first rows of labelled sources; raise SourceError where a whole role is of one label.

    A source of more than LOOK rows, or one that must be fetched first, is judged when it is read.
    """
    for role in labelled_roles(config):
        statements = RoleRecords(role, open_role(config, role))
        if not all(getattr(source.source, "is_cached", True) for source in statements.sources):
            continue
        labels: set[int | None] = set()
        n_records, most = 0, LOOK * len(statements.sources)
        for record, source in islice(in_turns(statements.sources), most):
            n_records += 1
            if record.label not in labels:
                labels.add(record.label)
                statements.used.append((record, source))
            if len(labels) == 2:
                break
        if n_records < most:
            require_both(statements)


def labelled_roles(config: StudyConfig) -> tuple[Role, ...]:
    """Roles of the study that need statements of both labels."""
    roles: list[Role] = ["probe"]
    roles += ["scorer"] if "tfidf" in config.evaluation.scorers else []
    roles += ["directions"] if config.methods.second_directions else []
    return tuple(roles)
