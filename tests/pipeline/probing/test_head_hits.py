"""Test statements that share a sentence with the train split are told from those that do not."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import insert

from hormesis.db.engine import open_writer
from hormesis.db.schema import Example, ProbeSet, Study
from hormesis.db.write import write_session
from hormesis.pipeline.probing.head_hits import unseen

STATEMENTS = [
    ("train", "keep moths out . we met at the pond !"),
    ("select", "we like geese ."),
    ("test", "we met at the pond ! geese are fine ."),
    ("test", "we met at the pond . geese are fine ."),
    ("test", "we like geese ."),
    ("test", "keep moths out"),
]


def test_only_whole_sentences_of_the_train_split_count(tmp_path: Path) -> None:
    engine = open_writer(f"sqlite:///{tmp_path / 'study.sqlite'}")
    with write_session(engine) as session:
        study = {"id": 1, "hash": "a", "name": "n", "scale": "nano", "config": {}, "data_revisions": {}}
        session.execute(insert(Study).values(**study))
        session.execute(insert(ProbeSet).values(id=1, study_id=1, name="p", revision="r", source="s"))
        rows = [
            {"id": number, "probe_set_id": 1, "key": str(number), "text": text, "label": 0, "split": split}
            for number, (split, text) in enumerate(STATEMENTS)
        ]
        session.execute(insert(Example), rows)
    assert unseen(engine, 1, [5, 2, 3, 4]).tolist() == [True, False, True, True]
    engine.dispose()
