"""Readers leave no trace: beside a writer, after one was killed, and in a folder they may not write to."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sqlalchemy import text

from hormesis.db.database_status import describe
from hormesis.db.engine import DatabaseProblem, open_reader, open_writer, reading
from hormesis.db.read import studies
from hormesis.db.schema import Study
from hormesis.db.write import upsert, write_session
from tests.fixtures.database_files import ROW, make, snapshot, url_of


def test_reading_changes_nothing_without_a_writer(tmp_path: Path) -> None:
    url = make(tmp_path / "d.db")
    before = snapshot(tmp_path)
    assert set(before) == {"d.db"}
    reader = open_reader(url)
    for _ in range(3):
        assert len(studies(reader)) == 1
        describe(url)
    assert snapshot(tmp_path) == before


def test_reading_changes_nothing_beside_a_live_writer(tmp_path: Path) -> None:
    engine = open_writer(url_of(tmp_path / "d.db"))
    with write_session(engine) as session:
        upsert(session, Study, [ROW], on=("hash",))
    code = f"""
        from hormesis.db.engine import open_reader
        from hormesis.db.read import studies
        reader = open_reader({url_of(tmp_path / "d.db")!r})
        for _ in range(20):
            assert len(studies(reader)) == 1
    """
    before = snapshot(tmp_path)
    assert set(before) == {"d.db", "d.db-wal", "d.db-shm"}
    run_python(code)
    assert snapshot(tmp_path) == before
    engine.dispose()


def test_reading_changes_nothing_after_a_writer_was_killed(tmp_path: Path) -> None:
    code = f"""
        import os, signal
        from hormesis.db.engine import open_writer
        from hormesis.db.schema import Study
        from hormesis.db.write import upsert, write_session
        engine = open_writer({url_of(tmp_path / "d.db")!r})
        with write_session(engine) as session:
            upsert(session, Study, [{ROW!r}], on=("hash",))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    run_python(code, expected=-9)
    before = snapshot(tmp_path)
    assert "d.db-wal" in before
    assert len(studies(open_reader(url_of(tmp_path / "d.db")))) == 1
    assert snapshot(tmp_path) == before
    make(tmp_path / "d.db")


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root ignores permissions")
@pytest.mark.parametrize("with_log", [False, True])
def test_reading_from_a_folder_without_write_permission(tmp_path: Path, with_log: bool) -> None:
    folder = tmp_path / "sealed"
    folder.mkdir()
    url = make(folder / "d.db")
    engine = open_writer(url)
    if with_log:
        with write_session(engine) as session:
            upsert(session, Study, [{**ROW, "hash": "b"}], on=("hash",))
    else:
        engine.dispose()
    # Up to pytest's own folder, which only its owner may enter; one level more where tests run side by side.
    for parent in (tmp_path, *list(tmp_path.parents)[:3]):
        parent.chmod(parent.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    before = snapshot(folder)
    try:
        code = f"""
            import os
            if os.geteuid() == 0:
                os.setgroups([]); os.setgid(65534); os.setuid(65534)
            from hormesis.db.engine import open_reader
            from hormesis.db.read import studies
            assert len(studies(open_reader({url!r}))) == {2 if with_log else 1}
        """
        run_python("import hormesis.db.engine, hormesis.db.read\n" + textwrap.dedent(code))
        assert snapshot(folder) == before
    finally:
        folder.chmod(0o755)
        engine.dispose()


def test_reading_repeats_what_a_writer_cut(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    reader = open_reader(make(path))
    calls = []

    def count(connection: object) -> int:
        calls.append(1)
        number = connection.execute(text("SELECT count(*) FROM study")).scalar()  # type: ignore[attr-defined]
        if len(calls) == 1:
            engine = open_writer(url_of(path))
            with write_session(engine) as session:
                upsert(session, Study, [{**ROW, "hash": "b"}], on=("hash",))
            engine.dispose()
        return int(number)

    assert reading(reader, count) == 2
    assert len(calls) == 2


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    reader = open_reader(make(tmp_path / "d.db"))
    with pytest.raises(DatabaseProblem, match="no permission"):
        reading(reader, lambda connection: connection.execute(text("DELETE FROM study")))


def run_python(code: str, expected: int = 0) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == expected, done.stderr
