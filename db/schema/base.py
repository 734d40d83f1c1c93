"""What every table shares: the declarative base, names of constraints, and column types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, LargeBinary, MetaData, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def utc_now() -> datetime:
    """The present moment, aware and in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite drops the zone, so it is put back on reading."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store as UTC without a zone. Raises ValueError for a naive datetime."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone cannot be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back an aware datetime."""
        return None if value is None else value.replace(tzinfo=UTC)


# Columns that several tables inherit would come last; a negative place keeps them in front.
Key = Annotated[int, mapped_column(primary_key=True, sort_order=-2)]

QUOTES = "quotes"
"""In a column's `info`: whether it may hold what a model or a data set said, so that a copy can leave it out.
Every column of strings, JSON or bytes says so, by one of the types below."""
LABELS = "labels"
"""In the `info` of a JSON column that quotes: the keys under which everything is ours all the same."""
FREE: Final = {QUOTES: False}


def string(length: int | None = None) -> String:
    """The type of a column of strings of at most `length` characters, in both databases ordered by their
    bytes, as a server's own language would not.
    """
    return String(length).with_variant(String(length, collation="C"), "postgresql")


Label = Annotated[str, mapped_column(info=FREE)]
"""A name, a kind, a unit, a hash or a sentence of ours."""
Name = Annotated[str, mapped_column(string(200), info=FREE)]
QUOTE: Final = {QUOTES: True}
Quote = Annotated[str, mapped_column(info=QUOTE)]
"""What a model or a data set said."""
FOLDERS = "folders"
"""In a column's `info`: True where a string may name a folder of the machine; any JSON may."""
Message = Annotated[str, mapped_column(info={QUOTES: True, FOLDERS: True})]
"""An error in words, which may repeat a text and name a folder."""
Json = Annotated[dict[str, Any], mapped_column(JSON, info=FREE)]
Blob = Annotated[bytes, mapped_column(LargeBinary, info=FREE)]
"""Numbers, as `db.blocks` encodes them."""


MERGE = "merge"
"""In the `info` of a table: what a copy does with a row that is there already and differs. By default it is
a contradiction, and refused."""
FOLLOWS: Final = {MERGE: "follows"}
"""The row stays as it is: it follows from rows of all arms, and stages of the whole study write it anew."""
STATE: Final = {MERGE: "state"}
"""The row stays as it is, unless it is of work that is not done and the other is of work that is."""
ANNOUNCED: Final = {MERGE: "announced"}
"""The row may be there before all its values are known; what one side does not know the other fills in."""
COMPARED = "compared"
"""In the `info` of a column: False where two rows that differ in it alone are not told apart."""
IDS_OF = "ids_of"
"""In the `info` of a column of bytes: the table whose ids they are, int64."""
LIST_HASH = "list_hash"
"""In the `info` of a column that may hold `example_list.hash`, which is made from ids."""


def quoting(*labels: str) -> Any:
    """A JSON column whose strings may be quoted, except those under the keys `labels`."""
    return mapped_column(JSON, info={QUOTES: True, LABELS: frozenset(labels)})


class Base(DeclarativeBase):
    """Declarative base of every table."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime, str: string()}  # noqa: RUF012  (SQLAlchemy reads it as declared)


class StudyRow(Base):
    """A row that belongs to one study."""

    __abstract__ = True

    id: Mapped[Key]
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id", ondelete="CASCADE"), sort_order=-2)


class ProbeSetRow(Base):
    """A row about a checkpoint as a probe set shows it."""

    __abstract__ = True

    id: Mapped[Key]
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"), sort_order=-2)
    probe_set_id: Mapped[int] = mapped_column(ForeignKey("probe_set.id", ondelete="CASCADE"), sort_order=-2)


class HeadRow(ProbeSetRow):
    """A row about one head of a checkpoint, as a probe set shows it at one position of the text."""

    __abstract__ = True

    position: Mapped[Label] = mapped_column(sort_order=-1)
    """`last` token or `mean` over tokens."""
    layer: Mapped[int] = mapped_column(sort_order=-1)
    head: Mapped[int] = mapped_column(sort_order=-1)


class ConditionSummary(StudyRow):
    """A number of one condition over the seeds of an arm, with its interval."""

    __abstract__ = True

    key: Mapped[Label] = mapped_column(sort_order=-1)
    kind: Mapped[Label] = mapped_column(sort_order=-1)
    share: Mapped[float] = mapped_column(sort_order=-1)
    method: Mapped[Label] = mapped_column(sort_order=-1)
    """Method of the condition, as `condition.method`."""
    condition_key: Mapped[Label] = mapped_column(sort_order=-1)
    """As `condition.key`; `random/cost-0.06`: all random directions at that cost, `random-0/cost-0.06` and
    so on, averaged.
    """
    strength: Mapped[float | None] = mapped_column(sort_order=-1)
    matched_cost: Mapped[float | None] = mapped_column(sort_order=-1)
    value: Mapped[float] = mapped_column(sort_order=1)
    low: Mapped[float | None] = mapped_column(sort_order=1)
    high: Mapped[float | None] = mapped_column(sort_order=1)
    n_seeds: Mapped[int] = mapped_column(sort_order=1)
    n: Mapped[int] = mapped_column(sort_order=1)
    """Prompts (or documents, goals, items), summed over the seeds."""
    unit: Mapped[Label] = mapped_column(sort_order=1)
    interval: Mapped[Label] = mapped_column(sort_order=1)
