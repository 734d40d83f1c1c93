"""Tables of where text came from: what became of a source's rows, and what two roles have in common."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hormesis.db.schema.base import COMPARED, FOLDERS, FREE, Json, Label, Name, StudyRow


class SourceUse(StudyRow):
    """One source in one role of a study: where it is from, and what became of each of its rows."""

    __tablename__ = "source_use"
    __table_args__ = (UniqueConstraint("study_id", "role", "position"),)

    role: Mapped[Label]
    """What the text is used for: `clean`, `toxic`, `probe`, `prompts` and so on."""
    position: Mapped[int]
    """Place among the sources of the role, from 0."""
    name: Mapped[Name]
    kind: Mapped[Label]
    """`forum`, `file`, `hub` or `wheel`."""
    location: Mapped[Label] = mapped_column(info=FREE | {FOLDERS: True, COMPARED: False})
    """Path or name as the study file has it; empty for the forum language."""
    revision: Mapped[Label]
    """Content hash, commit, or generator version and seed."""
    licence: Mapped[Label]
    """As the study file states it; empty where it states none. So are the three below."""
    attribution: Mapped[Label]
    """Whom to name where the texts are shown."""
    platform: Mapped[Label]
    """Where the texts were written."""
    annotators: Mapped[Label]
    """Who labelled them."""
    rows_read: Mapped[int]
    """Rows read: those used and those dropped."""
    rows_used: Mapped[int]
    """Rows that the role uses."""
    rows_cut: Mapped[int | None]
    """Used rows longer than the context of the study's own models: statements and prompts lose their
    beginning, documents go on in the next window. Null for other roles and where no model is trained.
    """
    dropped: Mapped[Json]
    """Reason to number of rows that were read and not used."""
    stopped: Mapped[Label]
    """Why rows may be left unread; empty where the source was read to its end."""
    note: Mapped[Label]
    """What reading assumed that the study file does not say."""


class SourceOverlap(StudyRow):
    """What the texts of two roles have in common."""

    __tablename__ = "source_overlap"
    __table_args__ = (UniqueConstraint("study_id", "kind", "first", "second"),)

    kind: Mapped[Label]
    """`text`: identical texts; `8-gram`: eight words in a row, in any case and without punctuation."""
    first: Mapped[Label]
    """Role, as `source_use.role`."""
    second: Mapped[Label]
    """Role, as `source_use.role`."""
    n_first: Mapped[int]
    """Texts that the first role uses (a pair has two); `8-gram`: those of at least eight words."""
    n_second: Mapped[int]
    """Texts that the second role uses (a pair has two); `8-gram`: those of at least eight words."""
    shared_first: Mapped[int]
    """Of `n_first`, how many share a text (or eight words) with any of the second role."""
    shared_second: Mapped[int]
    """Of `n_second`, how many share a text (or eight words) with any of the first role."""
