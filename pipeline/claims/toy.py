"""C1, the toy experiment: is a rare feature more entangled while it is rare? Reads toy runs, of any study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from sqlalchemy import select

from hormesis.db.schema import Study, ToyExperiment, ToyMeasure, ToyRun
from hormesis.db.write import read_session
from hormesis.pipeline.claims.declared import (
    DIRECTION,
    Claim,
    Comparison,
    Missing,
    Outcome,
    Scale,
    directional,
)
from hormesis.pipeline.claims.rows import StudyRows
from hormesis.pipeline.statistics import Contrast, contrast
from hormesis.pipeline.study.config_sections import DEFAULT_SEEDS
from hormesis.pipeline.toy.config import LOW, REFERENCE, SHARES, parse_config

SESOI = 0.03
COSINE = Scale("|cos|")


def _measures(study: StudyRows, setting: str, probe: str) -> pd.DataFrame:
    """A row per run (share, seed): mean entanglement of the rare and of the control features.

    Of the setting's default options, so that trying others out moves no verdict.
    """
    query = (
        select(
            ToyRun.share,
            ToyRun.seed,
            ToyMeasure.rare_absolute.label("rare"),
            ToyMeasure.control_absolute.label("control"),
        )
        .join(ToyMeasure, ToyMeasure.run_id == ToyRun.id)
        .join(ToyExperiment, ToyExperiment.id == ToyRun.experiment_id)
        .where(
            ToyExperiment.hash == parse_config({"setting": setting}).hash,
            ToyRun.share.in_(SHARES),
            ToyRun.seed < _seeds(study),
            ToyMeasure.probe == probe,
            ToyMeasure.network == "trained",
        )
    )
    return study.frame(query)


def _seeds(study: StudyRows) -> int:
    """Seeds that count, from 0 on: as many as the study asks for, and no fewer than the default."""
    with read_session(study.engine) as session:
        config = session.get_one(Study, study.study_id).config
    return max(DEFAULT_SEEDS, int((config.get("toy") or {}).get("seeds", 0)))


def effect(setting: str, study: StudyRows) -> Outcome:
    """Difference in differences by seed: rare less control at shares up to .01, less the same at share 1."""
    difference = _contrast(setting, "means", study)
    if isinstance(difference, Missing):
        return difference
    detail = f", {setting} setting, {difference.seeds} seeds, class means"
    other = _contrast(setting, "balanced", study)
    if isinstance(other, Contrast):
        low, high = other.interval()
        detail += f"; by class-balanced logistic probes {other.value:+.3f} [{low:+.3f}, {high:+.3f}]"
    return directional(
        # Rare features at |cos| 1 and controls at 0 while rare, and the other way about at share 1.
        Comparison(difference, [replace(difference, value=end) for end in (2.0, -2.0)]), +1, SESOI,
        scale=COSINE, contrast="shares up to .01 less share 1", detail=detail,
        interval="Student's t over seeds, 95 %",
    )  # fmt: skip


def _contrast(setting: str, probe: str, study: StudyRows) -> Contrast | Missing:
    """Difference in differences over seeds. `measures`: a row per run; `low`, `high`: mean excess by seed."""
    measures = _measures(study, setting, probe)
    if measures.empty:
        return Missing(f"needs the toy experiment, {setting} setting, default options: hormesis toy")
    measures = measures.assign(excess=measures["rare"] - measures["control"])
    low = measures[measures["share"] <= LOW].groupby("seed")["excess"].mean()
    high = measures[measures["share"] == REFERENCE].groupby("seed")["excess"].mean()
    differences = (low - high).dropna().to_numpy(dtype=np.float64)
    difference = contrast([differences], [1.0]) if len(differences) else None
    if difference is None:
        return Missing("needs two seeds with a share up to .01 and share 1")
    return replace(difference, n=len(measures), seeds=len(differences))


def _claim(setting_id: str, setting: str, where: str) -> Claim:
    """C1 in one toy setting, `literal` or `disjoint`; `where`: words for it."""
    return Claim(
        id=f"C1-{setting_id}",
        family="paper",
        statement=f"Toy: rare features are more entangled ({where})",
        question="Does a feature become less entangled as its data grow?",
        estimand="Entanglement (largest |cos|) of rare less control features at shares up to .01, less the "
        "same at share 1; directions are class means; a number for each seed",
        rows="toy_run and toy_measure of the trained network, default options, seeds 0 to 9 (or as many as "
        "the study asks for)",
        rule=DIRECTION.format(sesoi=SESOI, unit="|cos|"),
        test=lambda study, scope: effect(setting, study),
        breadth="study",
    )


CLAIMS = (
    _claim("literal", "literal", "the paper's setting: shared symbols"),
    _claim("disjoint", "disjoint", "each chain with its own symbols"),
)
