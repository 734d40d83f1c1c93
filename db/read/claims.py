"""Queries about claims: stored verdicts and fits of the dose."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Engine, select

from db.read.frame import frame
from db.schema import DoseFit, Verdict


def verdicts(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every stored verdict of a study in the order of the registry, for every prompt set and scorer."""
    columns = [c for c in Verdict.__table__.columns if c.name not in ("id", "study_id", "key")]
    query = (
        select(*columns)
        .where(Verdict.study_id == study_id)
        .order_by(Verdict.prompt_set, Verdict.scorer, Verdict.position)
    )
    return frame(engine, query)


def dose_fits(engine: Engine, study_id: int) -> pd.DataFrame:
    """Fits of toxicity over the share, a row per condition, prompt set and scorer; `curve` is a dict."""
    columns = [c for c in DoseFit.__table__.columns if c.name not in ("id", "study_id", "key")]
    query = (
        select(*columns)
        .where(DoseFit.study_id == study_id)
        .order_by(DoseFit.prompt_set, DoseFit.scorer, DoseFit.condition_key)
    )
    return frame(engine, query)
