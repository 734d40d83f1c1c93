"""Small databases on disk, and what a folder holds byte by byte, for tests that open and watch files."""

from __future__ import annotations

import shutil
import sqlite3
from functools import cache
from pathlib import Path

import pytest

from db import migrate
from db.engine import open_writer
from db.schema import Study
from db.write import upsert, write_session

ROW = {"hash": "a", "name": "n", "scale": "nano", "config": {}, "data_revisions": {}}


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def make(path: Path) -> str:
    engine = open_writer(url_of(path))
    with write_session(engine) as session:
        upsert(session, Study, [ROW], on=("hash",))
    engine.dispose()
    return url_of(path)


def make_old(path: Path) -> str:
    """A file as the first version (revision 0002) made and filled it."""
    script = Path(__file__).parent / "fixtures" / "database_0002.sql"
    connection = sqlite3.connect(path)
    connection.executescript(script.read_text(encoding="utf-8"))
    connection.execute("PRAGMA journal_mode = WAL")  # as its file was; a dump does not keep it
    connection.close()
    return url_of(path)


def stamp_revision(path: Path, revision: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.commit()
    connection.close()


LATER = """
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.add_column("study", sa.Column("note", sa.String()))
"""


def own_revisions(folder: Path, monkeypatch: pytest.MonkeyPatch, later: str = "") -> Path:
    """Copy the revisions into `folder` and have this process use the copy, with a `later` one if given."""
    shutil.copytree(migrate.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    if later:
        (folder / "versions" / "0003_later.py").write_text(later, encoding="utf-8")
    monkeypatch.setattr(migrate, "FOLDER", folder)
    monkeypatch.setattr(migrate, "revisions", cache(migrate.revisions.__wrapped__))
    return folder / "versions"


def snapshot(folder: Path, *, times: bool = True) -> dict[str, tuple[bytes, int]]:
    return {
        p.name: (p.read_bytes(), p.stat().st_mtime_ns if times else 0)
        for p in sorted(folder.iterdir())
        if p.is_file()
    }
