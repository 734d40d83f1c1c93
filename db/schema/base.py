"""What every table shares: the declarative base, names of constraints, and column types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

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
Name = Annotated[str, mapped_column(String(200))]
Json = Annotated[dict[str, Any], mapped_column(JSON)]
Blob = Annotated[bytes, mapped_column(LargeBinary)]


class Base(DeclarativeBase):
    """Declarative base of every table."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012  (SQLAlchemy reads it as declared)


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

    position: Mapped[str] = mapped_column(sort_order=-1)
    """`last` token or `mean` over tokens."""
    layer: Mapped[int] = mapped_column(sort_order=-1)
    head: Mapped[int] = mapped_column(sort_order=-1)


class ConditionSummary(StudyRow):
    """A number of one condition over the seeds of an arm, with its interval."""

    __abstract__ = True

    key: Mapped[str] = mapped_column(sort_order=-1)
    kind: Mapped[str] = mapped_column(sort_order=-1)
    share: Mapped[float] = mapped_column(sort_order=-1)
    method: Mapped[str] = mapped_column(sort_order=-1)
    """Method of the condition, as `condition.method`."""
    condition_key: Mapped[str] = mapped_column(sort_order=-1)
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
    unit: Mapped[str] = mapped_column(sort_order=1)
    interval: Mapped[str] = mapped_column(sort_order=1)
