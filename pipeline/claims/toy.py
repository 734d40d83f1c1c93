"""C1, the toy experiment: is a rare feature more entangled while it is rare? Reads toy runs, of any study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from sqlalchemy import select

from db.schema import ToyExperiment, ToyMeasure, ToyRun
from pipeline.claims.declared import DIRECTION, Claim, Missing, Outcome, Scope, directional
from pipeline.claims.rows import StudyRows
from pipeline.statistics import contrast

RARE, EQUAL = 0.01, 1.0
LEAST = 0.03


def _measures(rows: StudyRows, setting: str, probe: str) -> pd.DataFrame:
    query = (
        select(
            ToyRun.experiment_id.label("experiment"),
            ToyRun.share,
            ToyRun.seed,
            ToyMeasure.rare_absolute.label("rare"),
            ToyMeasure.control_absolute.label("control"),
        )
        .join(ToyMeasure, ToyMeasure.run_id == ToyRun.id)
        .join(ToyExperiment, ToyExperiment.id == ToyRun.experiment_id)
        .where(ToyExperiment.setting == setting, ToyMeasure.probe == probe, ToyMeasure.network == "trained")
    )
    found = rows.frame(query)
    if found.empty:
        return found
    # Of several configurations of a setting the one with most runs counts, the first where they are equal.
    counts = found["experiment"].value_counts()
    chosen = min(counts[counts == counts.max()].index)
    mine: pd.DataFrame = found.loc[found["experiment"] == chosen]
    return mine


def effect(setting: str, probe: str, rows: StudyRows) -> Outcome:
    """Difference in differences by seed: rare less control at shares up to .01, less the same at share 1."""
    found = _measures(rows, setting, probe)
    if found.empty:
        return Missing(f"needs the toy experiment in the {setting} setting: hormesis toy")
    found = found.assign(excess=found["rare"] - found["control"])
    low = found[found["share"] <= RARE].groupby("seed")["excess"].mean()
    high = found[found["share"] == EQUAL].groupby("seed")["excess"].mean()
    each = (low - high).dropna().to_numpy(dtype=np.float64)
    made = contrast([each], [1.0]) if len(each) else None
    if made is None:
        return Missing("needs two seeds with a share up to .01 and share 1")
    told = directional(made, +1, LEAST, "|cos|", f"{setting} setting, {len(each)} seeds, probe: {probe}")
    return replace(told, n=len(found), interval="Student's t over seeds, 95 %")


def _claim(name: str, setting: str, where: str) -> Claim:
    def test(rows: StudyRows, scope: Scope) -> Outcome:
        return effect(setting, "balanced" if setting == "literal" else "means", rows)

    return Claim(
        id=f"C1-{name}",
        family="paper",
        statement=f"Toy: rare features are more entangled ({where})",
        question="Does a feature become less entangled as its data grow?",
        estimand="Entanglement (largest |cos|) of rare less control features at shares up to .01, less the "
        "same at share 1; a number for each seed",
        rows="toy_run and toy_measure of the trained network: class-balanced probes (literal), class means "
        "(own vocabulary)",
        rule=DIRECTION.format(least=LEAST, unit="|cos|"),
        test=test,
        scoped=False,
    )


CLAIMS = (
    _claim("literal", "literal", "the paper's setting: shared symbols"),
    _claim("disjoint", "disjoint", "each chain with its own symbols"),
)
