"""What the stored DiDs say, in sentences. Knows the columns of `toy_effects`, no pages.

The rule: an effect is said to be there where its whole 95 % interval lies above zero, reversed where it lies
below, and not seen where it holds zero. Nothing is called absent: the interval says how large it may be.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from hormesis.dashboard.base.headlines import Headline, signed
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.toy_rows import SETTINGS
from hormesis.dashboard.base.toy_rows import estimate as estimate
from hormesis.dashboard.base.toy_rows import pick as pick
from hormesis.dashboard.base.verdicts import NO_DATA

MORE, LESS, NONE, UNKNOWN = "more entangled", "less entangled", "no difference seen", "not enough seeds"


@dataclass(frozen=True)
class Line:
    """One thing the experiment was built to tell, and what the rows say of it."""

    question: str
    answer: str
    details: tuple[str, ...]


def status_of(low: float | None, high: float | None) -> str:
    """The status of an interval."""
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return UNKNOWN
    if low > 0:
        return MORE
    return LESS if high < 0 else NONE


def main_experiments(experiments: pd.DataFrame) -> list[int]:
    """Of each setting the configuration with most runs (the oldest of equals): what sentences are about."""
    order = experiments.sort_values(["runs", "id"], ascending=[False, True])
    return [int(experiment_id) for experiment_id in order.drop_duplicates("setting")["id"]]


def _details(rows: pd.DataFrame) -> tuple[str, ...]:
    titles = [SETTINGS.get(str(setting), str(setting)) for setting in rows["setting"]]
    return tuple(
        f"{name}: {estimate(row)}, {status_of(row['low'], row['high'])}"
        for name, (_, row) in zip(titles, rows.iterrows(), strict=True)
    )


def _answer(rows: pd.DataFrame) -> str:
    """One status for several settings (rows of effects): the common one, or how many say what."""
    if rows.empty:
        return "no such runs"
    statuses = [status_of(row.low, row.high) for row in records(rows)]
    if len(set(statuses)) == 1:
        return statuses[0]
    return ", ".join(f"{status} in {statuses.count(status)}" for status in dict.fromkeys(statuses))


def _line(question: str, rows: pd.DataFrame) -> Line:
    return Line(question, _answer(rows), _details(rows))


def lines(effects: pd.DataFrame, experiments: pd.DataFrame, probe: str, *, cosine: str) -> list[Line]:
    """Five answers under a probe and cosine, from the DiDs (rows) of each setting's main configuration."""
    of_cosine = effects[effects["experiment_id"].isin(main_experiments(experiments))]
    of_cosine = of_cosine[of_cosine["cosine"] == cosine]
    chosen = pick(of_cosine, probe=probe, network="trained")
    other_settings = chosen[chosen["setting"] != "literal"]
    literal = chosen[(chosen["setting"] == "literal") & (chosen["split"] == "all")]
    frozen, stopped = (pick(of_cosine, probe=name, network="frozen") for name in ("mixture", "stopped"))
    return [
        _line(
            "Chains with states of their own, while the rare one is under-learned (accuracy below .99)",
            pick(other_settings, split="under-learned"),
        ),
        _line("The same once it is learned (accuracy .99 or more)", pick(other_settings, split="learned")),
        _line("The literal setting, states shared by the chains", literal),
        _line("The network frozen at r = 1, only the probe weighted by the mixture", frozen),
        _line("The same frozen network, that probe stopped before it has converged", stopped),
    ]


QUESTION = "Are rare features entangled?"
PAPER = (
    "The paper's toy experiment: 12 features of three chains share a few dimensions, and one chain is rare. "
    "Is it squeezed against the others? DiD: how much more its entanglement rises when it is rare than that "
    "of the others."
)


def headline(
    experiment: pd.Series | None, effects: pd.DataFrame | None = None, cosine: str = "absolute"
) -> Headline:
    """The answer for the configuration on show: `effects`, its DiD over all low shares, a row or none."""
    if experiment is None:
        return Headline(QUESTION, NO_DATA, "Not known yet: nothing has been run.", PAPER)
    setting = SETTINGS.get(str(experiment["setting"]), str(experiment["setting"]))
    if effects is None or effects.empty:
        answer = f"{setting}: no run at a share of .01 or less yet, so nothing is answered."
        return Headline(QUESTION, NO_DATA, answer, PAPER)
    row = effects.iloc[0]
    answer = {
        MORE: "Rare features look more entangled here",
        LESS: "Rare features look less entangled here",
        NONE: "Undecided: no rare-specific entanglement is seen here",
        UNKNOWN: "Too few seeds to tell here",
    }[status_of(row["low"], row["high"])]
    ends = "no interval" if pd.isna(row["low"]) else f"{signed(row['low'])}, {signed(row['high'])}"
    seeds = "1 seed" if row["n_seeds"] == 1 else f"{row['n_seeds']} seeds"
    did = f"{signed(row['value'])} [{ends}] ({seeds}, n = {row['n_runs']} runs)"
    detail = f"One interval, not corrected for the other configurations and probes tried. {PAPER}"
    return Headline(QUESTION, "", f"{answer}. {setting}, {cosine} cosine: DiD {did}.", detail)


def tried(effects: pd.DataFrame) -> str:
    """How many configurations and DiDs (rows) there are, and how many intervals leave zero out by chance."""
    with_interval = effects[effects["low"].notna() & ~((effects["low"] == 0) & (effects["high"] == 0))]
    apart = int(((with_interval["low"] > 0) | (with_interval["high"] < 0)).sum())
    count = effects["experiment_id"].nunique()
    return (
        f"{count} configuration{'s' if count != 1 else ''} tried, {len(with_interval)} DiDs with an interval "
        f"in all (probes, cosines and splits); {apart} leave zero out, about "
        f"{0.05 * len(with_interval):.1f} would by chance."
    )
