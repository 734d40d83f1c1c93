"""`sample_text` in a real run: each seed has documents of its own, and only what is made of them is anew."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from hormesis.pipeline.text.mixes import open_mix
from tests.fixtures.tiny_study import MAXIMUM, run, write_study

SMALL = {
    "shares = [0.0, 0.25]": "shares = [0.25]",
    'controls = ["clean-forum"]': "controls = []",
    "seeds = [0]": "seeds = [0, 1]\nsample_text = true",
    "clean_tokens = 16_000": "clean_tokens = 4_000",
    "prompts = 24": "prompts = 4",
    "probe_posts = 300": "probe_posts = 120",
    "scorer_posts = 1_500": "scorer_posts = 300",
    "costs = [0.06]": "costs = []",
    "random_directions = 2": "random_directions = 0",
    'scorers = ["forum", "tfidf"]': 'scorers = ["forum"]',
    "new_tokens = 12": "new_tokens = 4",
    MAXIMUM: "",
}


def folders(home: Path, kind: str) -> set[str]:
    return {folder.name for folder in (home / "files" / kind).iterdir()}


def documents(home: Path, mix: str) -> set[bytes]:
    """Documents of a mix but the last of both sources, which are cut."""
    opened = open_mix(home / "files" / "mixes" / mix)
    stream = np.asarray(opened.stream)
    return {part.tobytes() for part in np.split(stream, np.flatnonzero(stream == opened.eos) + 1)}


@pytest.mark.slow
def test_seeds_train_on_documents_of_their_own_while_sample_text_is_on(tmp_path: Path) -> None:
    home, study = tmp_path / "home", write_study(tmp_path, SMALL)
    database = home / "hormesis.sqlite"

    def finish() -> str:
        done = run(home, "run", str(study))
        assert done.returncode == 0, done.stderr
        return hashlib.sha256(database.read_bytes()).hexdigest()

    first = finish()
    sampled = folders(home, "mixes")
    left, right = (documents(home, mix) for mix in sorted(sampled))
    assert min(len(left), len(right)) > 50 and len(left & right) <= 1
    assert finish() == first

    before = {kind: folders(home, kind) for kind in ("corpus", "mixes", "checkpoints")}
    study.write_text(study.read_text().replace("sample_text = true\n", ""))
    finish()
    anew = {kind: len(folders(home, kind) - names) for kind, names in before.items()}
    assert anew == {"corpus": 1, "mixes": 2, "checkpoints": 2}
    with contextlib.closing(sqlite3.connect(database)) as connection:
        counted = "SELECT count(*), count(DISTINCT text) FROM prompt"
        assert connection.execute(counted).fetchone() == (8, 4), "the prompts are the same"
    left, right = (documents(home, mix) for mix in sorted(folders(home, "mixes") - sampled))
    assert len(left ^ right) <= 4  # the two that each cuts

    stored = folders(home, "checkpoints")
    study.write_text(study.read_text().replace("seeds = [0, 1]\n", "seeds = [0, 1]\nsample_text = true\n"))
    second = hashlib.sha256(database.read_bytes()).hexdigest()
    assert finish() == second and folders(home, "checkpoints") == stored
