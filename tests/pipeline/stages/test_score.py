"""Scores of a checkpoint: a service that is gone, expected maxima, and what scorers were trained on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import delete, select, text, update

from hormesis.backend.forum import post
from hormesis.backend.scorers import ScorerError, perspective
from hormesis.db import read
from hormesis.db.contract.scorer_training import overlap, training_of
from hormesis.db.engine import open_writer
from hormesis.db.schema import EXTRA_SAMPLES, Generation, Score, Scorer
from hormesis.db.write import insert_missing, write_session
from hormesis.pipeline.claims.rows import StudyRows
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import silent
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.probing.head_accuracy import ArmGroup
from hormesis.pipeline.stages.score import _estimates, score_checkpoint
from hormesis.pipeline.study.config import ConfigError, parse_study
from hormesis.pipeline.summaries.summary import summarise
from hormesis.pipeline.text.score_grids import ScoreGrids
from tests.fixtures.shared_worlds import copy_database

ARM, SEEDS = ArmGroup("toxic", 0.25), ("toxic-25-s0", "toxic-25-s1")
DAYS = ("perspective TOXICITY 2026-12-30", "perspective TOXICITY 2026-12-31")
COPY = """
INSERT INTO score (generation_id, scorer_id, value) SELECT s.generation_id, :scorer, s.value FROM score s
JOIN scorer r ON r.id = s.scorer_id AND r.name = 'forum' JOIN generation g ON g.id = s.generation_id
JOIN condition k ON k.id = g.condition_id JOIN checkpoint c ON c.id = k.checkpoint_id
WHERE c.name = :checkpoint
"""
METRICS = """
SELECT s.name AS scorer, k.key AS condition, m.name AS metric, m.value, m.n, m.interval FROM metric m
JOIN checkpoint c ON c.id = m.checkpoint_id JOIN condition k ON k.id = m.condition_id
JOIN scorer s ON s.id = m.scorer_id WHERE c.name = :checkpoint
"""
MAXIMA = """
SELECT max(s.value) AS largest FROM score s JOIN generation g ON g.id = s.generation_id
JOIN condition k ON k.id = g.condition_id AND k.key = 'none'
JOIN checkpoint c ON c.id = k.checkpoint_id AND c.name LIKE 'toxic-25-%'
WHERE s.scorer_id = (SELECT max(id) FROM scorer WHERE name = 'forum')
GROUP BY g.condition_id, g.prompt_id HAVING count(*) = 3
"""


@pytest.fixture
def context(tiny_database: Path, tmp_path: Path) -> Iterator[StudyContext]:
    """A seeded study of two arms and two seeds, one sample a prompt, to score by the forum's grammar."""
    engine = open_writer(copy_database(tiny_database, tmp_path / "study.sqlite"))
    yield changed(StudyContext(parse_study({"name": "seeded"}), 1, tmp_path, engine), scorers=["forum"])
    engine.dispose()


def changed(context: StudyContext, **evaluation: object) -> StudyContext:
    config = parse_study({"name": "seeded", "evaluation": {"bootstrap": 50, **evaluation}})
    return StudyContext(config, context.study_id, context.home, context.engine)


def metrics(context: StudyContext, checkpoint: str = SEEDS[0], **values: str) -> pd.DataFrame:
    """A row per condition and metric of a checkpoint, those with these values."""
    with context.engine.connect() as connection:
        rows = pd.read_sql(text(METRICS), connection, params={"checkpoint": checkpoint})
    for name, value in values.items():
        rows = rows[rows[name] == value]
    return rows.set_index("condition").sort_index()


def test_a_study_keeps_the_scores_of_a_service_that_is_gone(
    context: StudyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two seeds scored on two days; later there is no key, and every number is made from what is stored."""
    monkeypatch.delenv(perspective.KEY, raising=False)
    by_service = changed(context, scorers=["perspective"])
    with write_session(context.engine) as session:
        rows = [{"name": "perspective", "revision": day, "measures": "toxicity"} for day in DAYS]
        insert_missing(session, Scorer, rows, on=("name", "revision"))
        ids = dict(session.execute(select(Scorer.revision, Scorer.id)).all())
        for day, checkpoint in zip(DAYS, SEEDS, strict=True):
            session.execute(text(COPY), {"scorer": ids[day], "checkpoint": checkpoint})
    for checkpoint in SEEDS:
        score_checkpoint(by_service, Subject(checkpoint), silent())
        of_service, of_grammar = (
            metrics(context, checkpoint, scorer=scorer, metric="toxicity")[["value", "n"]]
            for scorer in ("perspective", "forum")
        )
        pd.testing.assert_frame_equal(of_service, of_grammar)
    summarise(by_service, ARM)
    summaries = read.summaries(context.engine, 1, name="toxicity", scorer="perspective")
    assert len(summaries) and set(summaries["n_seeds"]) == {2}, "a score of an earlier day counts"
    grids = StudyRows(context.engine, 1).grids("none", "forum-prompts", "perspective")
    assert grids["toxic", 0.25].shape[0] == 2
    table = read.scorers(context.engine, 1).set_index("name")
    assert "perspective" in table.index, "the page says who scored"
    # A text without a score needs the service, and the refusal names the way out.
    with write_session(context.engine) as session:
        session.execute(
            delete(Score).where(Score.scorer_id == ids[DAYS[0]]).where(Score.generation_id % 2 == 0)
        )
    with pytest.raises(ScorerError, match=r"closes on 31 December 2026.*name another scorer"):
        score_checkpoint(by_service, Subject(SEEDS[0]), silent())


def test_expected_maximum_toxicity_needs_several_samples(context: StudyContext) -> None:
    for checkpoint in SEEDS:
        score_checkpoint(context, Subject(checkpoint), silent())
        assert metrics(context, checkpoint, metric="expected_max_toxicity").empty, (
            "of one sample it is the mean"
        )
    before = metrics(context, metric="toxicity")
    few = changed(context, scorers=["forum"], maximum={"samples": 3, "conditions": ["none"]})
    words = random.Random(3)
    kind, toxic = (post(words, toxic=is_toxic).text for is_toxic in (False, True))
    with write_session(context.engine) as session:
        columns = (Generation.condition_id, Generation.prompt_id, Generation.sample)
        rows = session.execute(select(*columns)).all()
        unsteered = {key for (key,) in session.execute(text("SELECT id FROM condition WHERE key = 'none'"))}
        prompt_ids = sorted({row.prompt_id for row in rows})[:5]
        session.add_all(
            Generation(
                condition_id=row.condition_id,
                prompt_id=row.prompt_id,
                sample=EXTRA_SAMPLES + number,
                text=extra,
                tokens=4,
                finished=True,
            )
            for row in rows
            if row.condition_id in unsteered and row.prompt_id in prompt_ids
            for number, extra in enumerate((kind, toxic if row.prompt_id % 2 else kind))
        )
    for checkpoint in SEEDS:
        score_checkpoint(few, Subject(checkpoint), silent())
    pd.testing.assert_frame_equal(metrics(context, metric="toxicity"), before)
    largest = metrics(context, metric="expected_max_toxicity", scorer="forum")
    assert list(largest.index) == ["none"] and largest["n"].tolist() == [5]
    assert largest["interval"].str.endswith("largest of 3 samples").all()
    summarise(few, ARM)
    stored = read.summaries(context.engine, 1, name="expected_max_toxicity", scorer="forum")
    (row,) = stored.to_dict("records")
    with context.engine.connect() as connection:
        maxima = pd.read_sql(text(MAXIMA), connection)["largest"]
    assert 0 < maxima.mean() < 1
    assert (row["n_seeds"], row["n"]) == (2, 5) and row["value"] == pytest.approx(maxima.mean())
    assert row["low"] <= row["value"] <= row["high"] and row["interval"].endswith("largest of 3 samples")
    texts = read.generations(context.engine, min(unsteered), 1, scorer_id=1)
    assert len(texts) == 8 and np.isfinite(texts["score"]).all(), "pages show the samples that means are over"


def test_empty_texts_have_no_score_and_their_rate_is_a_metric(
    context: StudyContext, caplog: pytest.LogCaptureFixture
) -> None:
    """One text of eight empty in a seed, all of a condition in the other; scores of an earlier version go."""
    steered = "iti/mass_mean/cost-0.06"
    for checkpoint in SEEDS:
        score_checkpoint(context, Subject(checkpoint), silent())
    of_texts = "SELECT g.id FROM generation g JOIN condition k ON k.id = g.condition_id JOIN checkpoint c ON"
    of_texts += " c.id = k.checkpoint_id WHERE c.name = :checkpoint AND k.key = :key ORDER BY g.id"
    with write_session(context.engine) as session:
        chosen = [
            *session.scalars(text(of_texts), {"checkpoint": SEEDS[0], "key": "none"}).all()[:1],
            *session.scalars(text(of_texts), {"checkpoint": SEEDS[1], "key": steered}),
        ]
        session.execute(update(Generation).where(Generation.id.in_(chosen)).values(text=" \n"))
        stored = session.execute(select(Score.value).where(Score.generation_id == chosen[0])).all()
    assert stored
    before = metrics(context, metric="toxicity", scorer="forum").loc["none"]
    for checkpoint in SEEDS:
        score_checkpoint(context, Subject(checkpoint), silent())
    assert "100 % of texts are empty, more than 25 %" in caplog.text and steered in caplog.text
    with write_session(context.engine) as session:
        assert not session.execute(select(Score).where(Score.generation_id.in_(chosen))).all()
        newest = "scorer_id = (SELECT max(id) FROM scorer WHERE name = 'forum')"
        of_rest = text(f"SELECT value FROM score WHERE {newest} AND generation_id IN ({of_texts})")
        rest = session.scalars(of_rest, {"checkpoint": SEEDS[0], "key": "none"}).all()
    after = metrics(context, metric="toxicity", scorer="forum").loc["none"]
    assert (before["n"], after["n"], len(rest)) == (8, 7, 7)
    assert after["value"] == pytest.approx(100 * np.mean(rest))
    left = metrics(context, SEEDS[1], metric="toxicity", scorer="forum")
    assert "none" in left.index and steered not in left.index, "nothing to score"
    rates = empty_rates(context)
    assert rates.loc[(SEEDS[0], "none"), ["value", "n"]].tolist() == [1 / 8, 8]
    assert rates.loc[(SEEDS[1], steered), ["value", "low", "high"]].tolist() == pytest.approx(
        [1, 0.63, 1], abs=0.01
    )
    summarise(context, ARM)
    summaries = read.summaries(context.engine, 1, scorer="forum")
    summaries = summaries[summaries["share"] == ARM.share].set_index(["name", "condition_key"])
    assert ("toxicity", steered) not in summaries.index
    row = summaries.loc["toxicity", "none"]
    other = metrics(context, SEEDS[1], metric="toxicity", scorer="forum").loc["none"]
    assert row["value"] == pytest.approx((after["value"] + other["value"]) / 2) and row["n"] == 8
    assert summaries.loc[("empty", steered), "value"] == pytest.approx(0.5)


def empty_rates(context: StudyContext) -> pd.DataFrame:
    query = "SELECT c.name AS checkpoint, k.key AS condition, m.* FROM metric m JOIN checkpoint c ON c.id ="
    query += " m.checkpoint_id JOIN condition k ON k.id = m.condition_id WHERE m.name = 'empty'"
    with context.engine.connect() as connection:
        return pd.read_sql(text(query), connection).set_index(["checkpoint", "condition"])


def test_scores_say_what_their_scorer_was_trained_on(context: StudyContext) -> None:
    score_checkpoint(changed(context, scorers=["forum", "profanity"]), Subject(SEEDS[0]), silent())
    table = read.scorers(context.engine, 1).set_index("name")
    assert table.loc["profanity", "trained_on"].startswith("Wikipedia talk pages of Jigsaw's 2018 challenge")
    assert table.loc["tfidf", "trained_on"].startswith("This study's own"), "as declared, in older rows"


def test_a_scorer_says_what_it_has_in_common_with_a_study() -> None:
    def use(role: str, platform: str, annotators: str = "", location: str = "") -> dict[str, str]:
        return {
            "role": role, "platform": platform, "annotators": annotators, "location": location, "kind": "hub"
        }  # fmt: skip

    civil = ("comments on news sites (Civil Comments, 2015-2017)", "Jigsaw 2019, crowd workers")
    talk = ("Wikipedia talk pages", "Jigsaw 2018, crowd workers")
    uses = [
        use("toxic", *civil, "google/civil_comments"), use("informal", *civil, "google/civil_comments"),
        use("probe", *talk), use("scorer", *talk), use("prompts", "web pages", "Perspective API"),
    ]  # fmt: skip
    sentences = {
        "classifier:unitary/unbiased-toxic-roberta@x": "Shares data, platform and annotators with toxic text "
        "and clean-forum control.",
        "classifier:unitary/toxic-bert": "Shares platform and annotators with probe set and study's own "
        "scorer.",
        "tfidf": "Shares platform and annotators with probe set.",
        "forum": "",
        "classifier:some/one": "What it was trained on is not stated, so it cannot be compared with this "
        "study's sources.",
    }
    assert {name: overlap(training_of(name), uses) for name in sentences} == sentences
    assert "annotators with prompts" in overlap(training_of("perspective"), uses)
    unknown = [*uses[:2], use("prompts", "")]
    assert overlap(training_of("classifier:unitary/toxic-bert"), unknown) == (
        "Nothing in common that is stated. Not compared: 1 of 3 sources that state no platform."
    )


def test_a_maximum_over_fewer_samples_than_means_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"evaluation: maximum\.samples must be more than samples"):
        parse_study({"name": "x", "evaluation": {"samples": 5, "maximum": {"samples": 5}}})


def test_no_number_of_scores_that_agree_is_certain() -> None:
    grids = [ScoreGrids(np.full((20, 1), value), None) for value in (0.0, 1.0)]
    estimates = _estimates("toxicity", *grids, draws=50) + _estimates("fluency", *grids, draws=50)
    assert len(estimates) == 4
    assert all(estimate.low < estimate.high for _, estimate, _ in estimates)  # type: ignore[operator]
