"""What the tests of stages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hormesis.db.engine import open_writer
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.study.config import load_study
from hormesis.pipeline.text.revisions import source_revisions
from tests.fixtures.tiny_study import finished_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyContext]:
    """A study of three arms with one seed, run to its end; a copy for each module."""
    file, home = finished_study(tmp_path_factory)
    config = load_study(str(file))
    engine = open_writer(f"sqlite:///{home / 'hormesis.sqlite'}")
    yield StudyContext(config, 1, home, engine, source_revisions(config))
    engine.dispose()
