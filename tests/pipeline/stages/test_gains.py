"""Gains over baselines on the small study: equal to sklearn, shared by arms of one seed, calls once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sqlalchemy import select

from hormesis.backend.capture import capture
from hormesis.backend.model.models import load_model, untrained
from hormesis.db.blocks import decode_float32
from hormesis.db.schema import Arm, Checkpoint, Direction, Example, Probe, ProbeGain
from hormesis.db.write import read_session
from hormesis.pipeline.execution.arms import plan_arms
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import silent
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.probing import gains as gains_module
from hormesis.pipeline.stages.probe import probe_checkpoint
from hormesis.pipeline.training.train import initial_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def stored(study: StudyContext) -> list[tuple[object, ...]]:
    with read_session(study.engine) as session:
        return sorted(tuple(row) for row in session.execute(select(*ProbeGain.__table__.columns)))


def model_folder(study: StudyContext) -> Path:
    with read_session(study.engine) as session:
        return study.home / session.scalars(select(Checkpoint.path).order_by(Checkpoint.id)).first()


def test_every_checkpoint_has_both_gains_over_each_baseline(study: StudyContext) -> None:
    with read_session(study.engine) as session:
        gains = session.scalars(select(ProbeGain)).all()
        probes = session.scalars(select(Probe).where(Probe.rank.is_not(None)).order_by(Probe.rank)).all()
        arms = session.query(Arm).count()
    subsets = {gain.subset for gain in gains}
    assert {"all", "matched"} <= subsets and len(gains) == 8 * len(subsets) * arms
    for gain in gains:
        assert gain.value == pytest.approx(gain.auroc - gain.baseline_auroc)
        if gain.subset == "matched" and gain.baseline == "words":
            assert gain.baseline_auroc == pytest.approx(0.5, abs=1e-9)  # twins have equal scores
        if gain.subset != "all":
            continue
        of_heads = [probe.auroc for probe in probes if probe.checkpoint_id == gain.checkpoint_id]
        of_heads = of_heads[:1] if gain.heads == "best" else of_heads
        assert gain.n_heads == len(of_heads) and gain.auroc == pytest.approx(np.mean(of_heads), abs=1e-6)
        ends = np.quantile(decode_float32(gain.resamples), [0.025, 0.975])
        assert (gain.low, gain.high) == pytest.approx(tuple(ends), abs=1e-6) and gain.low <= gain.high
        assert len(decode_float32(gain.resamples)) == 50 and "50 draws" in gain.interval
    assert len(list((study.home / "files" / "baselines").iterdir())) == 2  # the text's, and the seed's


def test_step_zero_is_what_training_began_with_and_is_read_by_its_own_heads(study: StudyContext) -> None:
    loaded = load_model(model_folder(study), dtype="float32")
    before = untrained(loaded, 0)
    began = initial_model(loaded.model.config, 0).state_dict()
    weights = before.model.state_dict()
    assert all(torch.equal(weights[name], began[name]) for name in began)
    assert before.weights_hash() != loaded.weights_hash()
    with read_session(study.engine) as session:
        statements = session.scalars(select(Example).order_by(Example.id)).all()
        row = session.scalars(
            select(ProbeGain)
            .where(ProbeGain.baseline == "untrained", ProbeGain.heads == "best", ProbeGain.subset == "all")
            .order_by(ProbeGain.id)
        ).first()
    labels = np.array([statement.label for statement in statements])
    splits = np.array([statement.split for statement in statements])
    activations = capture(before, [statement.text for statement in statements])
    best = (-1.0, -1.0, 0.0)
    for block in activations.values():
        for head in range(block.shape[1]):
            values = block[:, head].astype(float)
            train = values[splits == "train"]
            values = (values - train.mean(0)) / train.std(0)
            fit = LogisticRegression(class_weight="balanced", max_iter=2000, tol=1e-8)
            fit.fit(values[splits == "train"], labels[splits == "train"])
            scores = fit.decision_function(values)
            fired, toxic = scores[splits == "select"] > 0, labels[splits == "select"] == 1
            accuracy = (fired[toxic].mean() + (~fired[~toxic]).mean()) / 2
            on_select, on_test = (
                roc_auc_score(labels[splits == split], scores[splits == split])
                for split in ("select", "test")
            )
            best = max(best, (accuracy, on_select, on_test))
    assert row is not None and row.baseline_auroc == pytest.approx(best[2], abs=0.005)
    assert row.baseline_select_auroc == pytest.approx(best[1], abs=0.005)


def test_a_second_run_reads_what_is_there_and_damage_is_made_again(
    study: StudyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, arm = stored(study), plan_arms(study.config)[0]
    subject = Subject(arm.name, arm=arm, weights_hash=study.inputs.train(arm))
    calls: list[str] = []
    for name in ("text_readings", "_untrained"):
        function = getattr(gains_module, name)
        monkeypatch.setattr(
            gains_module, name, lambda *a, _f=function, _n=name, **k: (calls.append(_n), _f(*a, **k))[1]
        )
    probe_checkpoint(study, subject, silent())
    assert calls == [] and stored(study) == before
    for path in (study.home / "files" / "baselines").glob("*/readings.json"):
        path.write_text("{}")
    probe_checkpoint(study, subject, silent())
    assert calls == ["text_readings", "_untrained"] and stored(study) == before


def test_pairs_of_one_meaning_are_a_subset_of_their_own(
    study: StudyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statements of the study's first label taken for pairs; the other rows stay as they are."""
    before, arm = stored(study), plan_arms(study.config)[0]
    subject = Subject(arm.name, arm=arm, weights_hash=study.inputs.train(arm))
    with read_session(study.engine) as session:
        by_label = [list(session.scalars(select(Example.text).where(Example.label == n))) for n in (0, 1)]
    pairs = list(zip(*by_label, strict=False))[:20]
    with monkeypatch.context() as patch:
        patch.setattr(gains_module, "paraphrases", lambda config, statements: pairs)
        probe_checkpoint(study, subject, silent())
    with read_session(study.engine) as session:
        checkpoint = session.scalars(select(Checkpoint).where(Checkpoint.name == arm.name)).one()
        rows = session.scalars(
            select(ProbeGain).where(ProbeGain.subset == "paraphrases", ProbeGain.heads == "selected")
        ).all()
        probes = session.scalars(
            select(Probe).where(Probe.rank.is_not(None), Probe.checkpoint_id == checkpoint.id)
        ).all()
        vectors = {
            (row.layer, row.head): decode_float32(row.vector)
            for row in session.scalars(
                select(Direction).where(Direction.checkpoint_id == checkpoint.id, Direction.method == "probe")
            )
        }
    assert {row.baseline for row in rows} == {"words", "length", "embeddings", "untrained"}
    assert {row.n_test for row in rows} == {40} and {row.checkpoint_id for row in rows} == {checkpoint.id}
    loaded = load_model(study.home / checkpoint.path)
    activations = capture(loaded, [side for pair in pairs for side in pair])
    aurocs = [
        roc_auc_score([0, 1] * 20, activations[probe.layer][:, probe.head] @ vectors[probe.layer, probe.head])
        for probe in probes
    ]
    assert rows[0].auroc == pytest.approx(np.mean(aurocs), abs=0.005)
    probe_checkpoint(study, subject, silent())
    assert stored(study) == before


def test_no_word_of_a_statement_is_kept(study: StudyContext) -> None:
    with read_session(study.engine) as session:
        words = {word for text in session.scalars(select(Example.text)) for word in text.split()}
    for path in (study.home / "files" / "baselines").glob("*/readings.json"):
        parts = set(path.read_text().replace('"', " ").split())
        assert parts and not parts & {word for word in words if len(word) > 3 and word.isalpha()}
