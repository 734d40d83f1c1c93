"""Maps of a copy from which activations were left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import delete, func, select

from hormesis.db.engine import open_writer
from hormesis.db.schema import ActivationBlock, DirectionProfile, MapAgreement, Projection
from hormesis.db.write import read_session, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import silent
from hormesis.pipeline.execution.stage import STUDY
from hormesis.pipeline.stages.project import project
from hormesis.pipeline.study.config import parse_study
from tests.fixtures.shared_worlds import copy_database


def test_maps_stay_where_what_they_are_made_from_was_left_out(
    small_database: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_writer(copy_database(small_database, tmp_path / "study.sqlite"))
    tables = (Projection, MapAgreement)

    def counts() -> list[int | None]:
        with read_session(engine) as session:
            return [session.scalar(select(func.count()).select_from(table)) for table in tables]

    before = counts()
    with write_session(engine) as session:
        session.execute(delete(ActivationBlock))
        session.execute(delete(DirectionProfile))
    project(StudyContext(parse_study({"name": "seeded"}), 1, tmp_path, engine), STUDY, silent())
    assert all(before) and counts() == before and "the maps stay as they are" in caplog.text
    engine.dispose()
