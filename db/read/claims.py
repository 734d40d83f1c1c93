"""Queries about claims: stored verdicts, fits of the dose, and steering against null directions."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Engine

from hormesis.db.read.columns import study_rows
from hormesis.db.read.frame import frame
from hormesis.db.schema import DoseFit, NullEffect, Verdict


def verdicts(engine: Engine, study_id: int) -> pd.DataFrame:
    """Every stored verdict of a study in the order of the registry, for every prompt set and scorer."""
    query = study_rows(Verdict, study_id)
    sets = (Verdict.prompt_set.nulls_first(), Verdict.scorer.nulls_first())
    return frame(engine, query.order_by(*sets, Verdict.position))


def dose_fits(engine: Engine, study_id: int) -> pd.DataFrame:
    """Fits of toxicity over the share, a row per condition, prompt set and scorer; `curve` is a dict."""
    query = study_rows(DoseFit, study_id)
    return frame(engine, query.order_by(DoseFit.prompt_set, DoseFit.scorer, DoseFit.condition_key))


def null_effects(engine: Engine, study_id: int) -> pd.DataFrame:
    """What ITI takes away beside null directions, a row per arm, kind of these, prompt set and scorer.

    Columns as in `null_effect`, arms as everywhere, null kinds in the order drawn; `falls` is a dict.
    """
    query = study_rows(NullEffect, study_id)
    order = (
        NullEffect.prompt_set,
        NullEffect.scorer,
        NullEffect.kind.desc(),
        NullEffect.share,
        NullEffect.id,
    )
    return frame(engine, query.order_by(*order))
