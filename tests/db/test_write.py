"""Idempotent writes: a second run changes no row, ids stay, numpy numbers arrive as numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hormesis.db import write
from hormesis.db.engine import open_writer
from hormesis.db.schema import Arm, Base, Scorer, StageRun, Study, TrainPoint
from hormesis.db.write import delete_others, ids, insert_missing, replace_rows, upsert, write_session
from tests.fixtures.seeded_database import TINY, build
from tests.fixtures.shared_worlds import copy_database

STUDY = {
    "hash": "a",
    "name": "n",
    "scale": "nano",
    "config": {"b": [1, None], "a": 0.1},
    "data_revisions": {},
}


@pytest.fixture
def engine(new_url: str) -> Iterator[Engine]:
    engine = open_writer(new_url)
    yield engine
    engine.dispose()


CHANGES = {
    "sqlite": "SELECT total_changes()",
    "postgresql": "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_xact_user_tables",
}


def changes(session: Session) -> int:
    """Rows that the session's transaction has written so far, or its connection."""
    connection = session.connection()
    return int(connection.exec_driver_sql(CHANGES[connection.dialect.name]).scalar_one())


def point(step: int, loss: float | None) -> dict[str, object]:
    return {"arm_id": 1, "step": step, "tokens": 2**40, "loss": loss}


def with_arm(session: Session) -> None:
    upsert(session, Study, [STUDY], on=("hash",))
    arm = {"study_id": 1, "name": "x", "kind": "toxic", "share": 0.1, "seed": 0, "composition": {}}
    upsert(session, Arm, [arm], on=("study_id", "name"))


def test_an_unchanged_row_is_not_written(engine: Engine) -> None:
    run = {
        "study_id": 1,
        "stage": "train",
        "subject": "x",
        "input_hash": "h",
        "status": "done",
        "error": None,
        "started": datetime(2026, 1, 1, tzinfo=UTC),
        "heartbeat": None,
        "finished": None,
        "pid": 3,
        "packages": {"torch": "2"},
        "git_revision": None,
    }
    with write_session(engine) as session:
        with_arm(session)
        upsert(session, StageRun, [run], on=("study_id", "stage", "subject"))
    with write_session(engine) as session:
        before = changes(session)
        with_arm(session)
        upsert(session, StageRun, [run], on=("study_id", "stage", "subject"))
        assert changes(session) == before
        upsert(session, StageRun, [run | {"error": "x"}], on=("study_id", "stage", "subject"))
        assert changes(session) == before + 1
        assert session.scalars(select(StageRun.error)).one() == "x"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.dictionaries(st.integers(0, 9), st.none() | st.floats(-1, 1), max_size=12),
        min_size=1,
        max_size=4,
    )
)
def test_upsert_equals_a_dictionary(engine: Engine, batches: list[dict[int, float | None]]) -> None:
    model: dict[int, float | None] = {}
    with write_session(engine) as session:
        with_arm(session)
        session.execute(text("DELETE FROM train_point"))
        for batch in batches:
            upsert(session, TrainPoint, [point(*row) for row in batch.items()], on=("arm_id", "step"))
            model.update(batch)
            stored = session.execute(select(TrainPoint.step, TrainPoint.loss)).all()
            assert {row[0]: row[1] for row in stored} == model


def test_two_rows_of_one_key_are_refused_and_none_is_lost(engine: Engine) -> None:
    with write_session(engine) as session:
        with_arm(session)
        with pytest.raises(ValueError, match=r"two rows for train_point have the key \(1, 3\)"):
            upsert(session, TrainPoint, [point(3, 0.5), point(3, 0.6)], on=("arm_id", "step"))
        assert session.scalars(select(TrainPoint.step)).all() == []


def test_ids_stay_and_columns_not_given_stay(engine: Engine) -> None:
    with write_session(engine) as session:
        upsert(
            session,
            Scorer,
            [{"name": n, "revision": "1", "measures": "fluency"} for n in "abc"],
            on=("name", "revision"),
        )
        before = ids(session, Scorer, "name", "revision")
        upsert(session, Scorer, [{"name": n, "revision": "1"} for n in "cbad"], on=("name", "revision"))
        after = ids(session, Scorer, "name", "revision")
        assert {key: after[key] for key in before} == before
        measures = dict(session.execute(select(Scorer.name, Scorer.measures)).all())
        assert measures == {"a": "fluency", "b": "fluency", "c": "fluency", "d": "toxicity"}
        assert ids(session, Scorer, "name", where=[Scorer.name == "a"]) == {"a": after["a", "1"]}


def test_insert_missing_leaves_what_is_there(engine: Engine) -> None:
    with write_session(engine) as session:
        with_arm(session)
        insert_missing(session, TrainPoint, [point(1, 0.5)], on=("arm_id", "step"))
        insert_missing(session, TrainPoint, [point(1, 9.0), point(2, 0.25)], on=("arm_id", "step"))
        stored = session.execute(select(TrainPoint.step, TrainPoint.loss).order_by(TrainPoint.step)).all()
        assert [tuple(row) for row in stored] == [(1, 0.5), (2, 0.25)]


def test_many_chunks(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "CHUNK", 7)
    with write_session(engine) as session:
        with_arm(session)
        upsert(session, TrainPoint, [point(i, i / 100) for i in range(100)], on=("arm_id", "step"))
        assert len(session.scalars(select(TrainPoint.step)).all()) == 100


@pytest.mark.parametrize("new_url", ["sqlite"], indirect=True)
def test_numpy_numbers_are_stored_as_numbers(engine: Engine) -> None:
    row = {"arm_id": np.int64(1), "step": np.int32(5), "tokens": np.int64(7), "loss": np.float32(0.5)}
    with write_session(engine) as session:
        with_arm(session)
        upsert(session, TrainPoint, [row], on=("arm_id", "step"))
        kinds = session.execute(
            text("SELECT typeof(step), typeof(tokens), typeof(loss) FROM train_point")
        ).one()
        assert tuple(kinds) == ("integer", "integer", "real")


def test_unequal_rows_and_missing_keys_are_refused(engine: Engine) -> None:
    with write_session(engine) as session:
        with pytest.raises(ValueError, match="same columns"):
            upsert(session, Scorer, [{"name": "a", "revision": "1"}, {"name": "b"}], on=("name",))
        with pytest.raises(ValueError, match="lack the key column revision"):
            upsert(session, Scorer, [{"name": "a"}], on=("name", "revision"))
        upsert(session, Scorer, [], on=("name", "revision"))


def test_an_exception_rolls_everything_back(engine: Engine) -> None:
    with pytest.raises(RuntimeError), write_session(engine) as session:
        upsert(session, Study, [STUDY], on=("hash",))
        raise RuntimeError
    with write_session(engine) as session:
        assert ids(session, Study, "hash") == {}


def test_a_broken_reference_is_a_programmers_error(engine: Engine) -> None:
    with pytest.raises(IntegrityError), write_session(engine) as session:
        upsert(session, TrainPoint, [point(1, 0.5)], on=("arm_id", "step"))


def test_objects_of_the_session_see_upserts(engine: Engine) -> None:
    with write_session(engine) as session:
        session.add(Scorer(name="a", revision="1", measures="toxicity"))
        upsert(
            session, Scorer, [{"name": "a", "revision": "1", "measures": "fluency"}], on=("name", "revision")
        )
        assert session.scalars(select(Scorer)).one().measures == "fluency"


@pytest.mark.slow
def test_the_seeded_study_is_repeatable(tiny_database: Path, tmp_path: Path) -> None:
    dumps = []
    for url in (copy_database(tiny_database, tmp_path / "one.db"), f"sqlite:///{tmp_path}/two.db"):
        engine = open_writer(url)
        if dumps:
            build(engine, TINY)
        with write_session(engine) as session:
            # When a verdict was reached is the one thing that cannot repeat.
            dump_columns = {
                t.name: [c for c in t.columns if c.name != "evaluated"] for t in Base.metadata.sorted_tables
            }
            dumps.append(
                {name: session.execute(select(*columns)).all() for name, columns in dump_columns.items()}
            )
        engine.dispose()
    assert dumps[0] == dumps[1]
    assert all(dumps[0].values())


def test_replacing_rows_keeps_ids_and_what_lies_elsewhere(engine: Engine) -> None:
    def scorers(names: str, revision: str) -> list[dict[str, object]]:
        return [{"name": name, "revision": revision, "measures": "toxicity"} for name in names]

    with write_session(engine) as session:
        upsert(session, Scorer, scorers("abc", "1") + scorers("ab", "2"), on=("name", "revision"))
        before = ids(session, Scorer, "name", "revision")
        new = [row | {"measures": "fluency"} for row in scorers("bd", "1")]
        replace_rows(session, Scorer, new, on=("name", "revision"), within=[Scorer.revision == "1"])
        after = ids(session, Scorer, "name", "revision")
        assert set(after) == {("b", "1"), ("d", "1"), ("a", "2"), ("b", "2")}
        assert {key: after[key] for key in after if key != ("d", "1")} == {
            key: before[key] for key in after if key != ("d", "1")
        }
        measures = select(Scorer.measures).where(Scorer.name == "b").order_by(Scorer.revision)
        assert session.scalars(measures).all() == ["fluency", "toxicity"]
        count = changes(session)
        replace_rows(session, Scorer, new, on=("name", "revision"), within=[Scorer.revision == "1"])
        assert changes(session) == count, "the same rows again write nothing"
        replace_rows(session, Scorer, [], on=("name", "revision"), within=[Scorer.name == "b"])
        assert set(ids(session, Scorer, "name", "revision")) == {("d", "1"), ("a", "2")}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.integers(0, 9), st.floats(-1, 1)), min_size=1, max_size=4))
def test_replacing_rows_of_a_table_without_an_id(engine: Engine, states: list[dict[int, float]]) -> None:
    with write_session(engine) as session:
        with_arm(session)
        for state in states:
            rows = [point(step, np.float64(loss)) for step, loss in state.items()]
            replace_rows(session, TrainPoint, rows, on=("arm_id", "step"), within=[TrainPoint.arm_id == 1])
            assert dict(session.execute(select(TrainPoint.step, TrainPoint.loss)).all()) == state


def test_deleting_others_takes_along_what_hangs_on_them(engine: Engine) -> None:
    arms: list[dict[str, object]] = [
        {"study_id": 1, "name": name, "kind": "toxic", "share": 0.1, "seed": 0, "composition": {}}
        for name in ("y", "z")
    ]
    with write_session(engine) as session:
        with_arm(session)
        upsert(session, Arm, arms, on=("study_id", "name"))
        session.add(Arm(study_id=1, name="not flushed", kind="t", share=0.1, seed=0, composition={}))
        upsert(
            session, TrainPoint, [point(1, 0.5) | {"arm_id": arm} for arm in (1, 2)], on=("arm_id", "step")
        )
        delete_others(session, Arm, ["y", "absent"], on=("name",), within=[Arm.study_id == 1])
        assert ids(session, Arm, "name") == {"y": 2}
        assert session.scalars(select(TrainPoint.arm_id)).all() == [2]
