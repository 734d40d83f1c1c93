"""Tables of what a study's rows say about its questions: verdicts, fits of the dose, ITI against nulls."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hormesis.db.schema.base import FOLLOWS, Json, Label, Name, StudyRow, utc_now


class Verdict(StudyRow):
    """One claim put to one study, with its declared test, so that a reader needs no other source."""

    __tablename__ = "verdict"
    __table_args__ = (UniqueConstraint("study_id", "key"), {"info": FOLLOWS})

    key: Mapped[Label]
    """claim | prompt set | scorer, the natural key inside the study; empty parts where it depends on none."""
    claim: Mapped[Name]
    """Id of the claim, e.g. `C4-matched-10`."""
    position: Mapped[int]
    """Place in the registry: claims of the paper first, then readers' questions."""
    family: Mapped[Label]
    """Claims corrected together for being several: `paper`, `readers`."""
    prompt_set: Mapped[Label | None]
    scorer: Mapped[Label | None]
    statement: Mapped[Label]
    question: Mapped[Label]
    estimand: Mapped[Label]
    rows_used: Mapped[Label]
    rule: Mapped[Label]
    status: Mapped[Label]
    """`supported`, `not supported`, `cannot be told`, `undecided` or `no data yet`."""
    contrast: Mapped[Label | None]
    """What was compared, in a few words, e.g. `10 % less 0 %`; null without rows."""
    detail: Mapped[Label]
    """What was compared, or what is missing, in one sentence."""
    value: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    unit: Mapped[Label]
    n: Mapped[int | None]
    """Prompts with an answer (heads' examples, items, goals, words: see `rows_used`), not multiplied by
    seeds; of the toy experiment, networks.
    """
    n_seeds: Mapped[int | None]
    p: Mapped[float | None]
    p_holm: Mapped[float | None]
    """The same after Holm's correction over the claims of the family that have rows."""
    tests: Mapped[int | None]
    """How many tests it is corrected with, itself among them; null where it has none itself."""
    detectable: Mapped[float | None]
    """Smallest true effect found with a power of 80 % at the level of its family, same unit as `value`; of an
    equivalence, the narrowest margin.
    """
    room: Mapped[float | None]
    """The value, were the first arm at the end of its scale in the claimed direction; null without an end."""
    interval: Mapped[Label]
    paper: Mapped[Label]
    """The paper's figure in words; secondary notes, empty where none is known."""
    paper_value: Mapped[float | None]
    """The paper's figure in the unit of `value`, where the two can be compared."""
    evaluated: Mapped[datetime] = mapped_column(default=utc_now)


class DoseFit(StudyRow):
    """Whether one curve over the share has an optimum inside: the best hormetic fit and the test."""

    __tablename__ = "dose_fit"
    __table_args__ = (UniqueConstraint("study_id", "key"), {"info": FOLLOWS})

    key: Mapped[Label]
    """condition | prompt set | scorer | metric, the natural key inside the study."""
    condition_key: Mapped[Label]
    prompt_set: Mapped[Label]
    scorer: Mapped[Label]
    name: Mapped[Label]
    """The metric fitted, e.g. `toxicity`."""
    status: Mapped[Label]
    """`hormetic`, `monotone`, `undecided` or `no data yet`."""
    p: Mapped[float | None]
    evidence_ratio: Mapped[float | None]
    """Hormetic against monotone by Akaike weights; above 1 speaks for a dip."""
    optimum: Mapped[float | None]
    """Share where the fitted curve is lowest; null unless the dip is supported and lies inside."""
    optimum_low: Mapped[float | None]
    optimum_high: Mapped[float | None]
    n_shares: Mapped[int]
    n_seeds: Mapped[int]
    model: Mapped[Label]
    """The curve in `curve`: `brain-cousens`, `isotonic`, or empty."""
    curve: Mapped[Json]
    """{"share": [...], "value": [...]} of the model named, in the metric's unit; empty without one."""
    parameters: Mapped[Json]
    detail: Mapped[Label]


class NullEffect(StudyRow):
    """What ITI takes away in one arm, beside null directions of one kind at the same matched cost."""

    __tablename__ = "null_effect"
    __table_args__ = (UniqueConstraint("study_id", "key"), {"info": FOLLOWS})

    key: Mapped[Label]
    """arm kind | share | null kind | prompt set | scorer, the natural key inside the study."""
    kind: Mapped[Label]
    """Of the arm, or `imported:NAME`."""
    share: Mapped[float]
    """0 for an imported checkpoint."""
    null_kind: Mapped[Label]
    """`isotropic`, `covariance` or `permuted`; `resampled` is no null but ITI from statements drawn anew."""
    matched_cost: Mapped[float]
    prompt_set: Mapped[Label]
    scorer: Mapped[Label]
    directions: Mapped[int]
    """Null directions drawn, the same number for every seed."""
    steered: Mapped[float]
    """By how much toxicity is lower under ITI than unsteered, on the prompts that null directions have."""
    mean: Mapped[float]
    """The same of null directions, their mean."""
    percentile: Mapped[float | None]
    """The same, their 95th percentile (order statistic of rank .95 (n + 1)); null for fewer than 19."""
    rank: Mapped[int | None]
    """Rank of ITI among them and itself by how much toxicity is lower, 1 the most; null for `resampled`."""
    seeds_variance: Mapped[float | None]
    """Variance of `steered` from seeds, points squared; of `resampled` alone, null with one seed."""
    prompts_variance: Mapped[float | None]
    """The same from prompts and what the model answers."""
    direction_variance: Mapped[float | None]
    """The same from the statements that heads and directions are estimated from."""
    steered_low: Mapped[float | None]
    """Lower end of the 95 % interval of `steered` that holds all three; null where one is."""
    steered_high: Mapped[float | None]
    """Upper end of the same."""
    falls: Mapped[Json]
    """{"points": [...]}: the same of each null direction, mean over seeds, in the order of their indices."""
    value: Mapped[float]
    """Odds of toxicity under ITI against those under the mean of the null directions."""
    low: Mapped[float | None]
    high: Mapped[float | None]
    unit: Mapped[Label]
    n: Mapped[int]
    """Prompts with an answer, not multiplied by seeds."""
    n_seeds: Mapped[int]
    interval: Mapped[Label]
