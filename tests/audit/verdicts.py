"""Verdicts: value, interval, p, Holm's p, tests, room, detectable effect and status, made anew."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from tests.audit import claims
from tests.audit.claims import OF_STUDY, SCORED, Scope, Test, sampling, scorers_z
from tests.audit.dips import OWN_DRAWS, Dose, dose_of
from tests.audit.effects import Effect, Level, best_odds, effect, odds, plain
from tests.audit.intervals import SIGMAS, quantile_ranges
from tests.audit.ledger import Ledger, Range
from tests.audit.raw import Arm, Raw, records, toxic

STORED_DRAWS = 999
NUMBERS = ("value", "low", "high", "p", "room")
POWER_ERROR = 0.12
"""Of a dip's power at the stored depth: both critical values are simulated."""


@dataclass
class Anew:
    """One verdict made anew. `ranges`: of numbers that resampling is in."""

    numbers: dict[str, float | None]
    seeds: int
    claimed: bool = False
    excluded: bool = False
    opposed: bool = False
    best_p: float | None = None
    ranges: dict[str, Range] = field(default_factory=dict)
    best_range: Range | None = None
    test: Test | None = None
    dose: tuple[Dose, int] | None = None
    n: int | None = None
    """Prompts or goals; None where these are no answers."""
    varies: bool = True

    @property
    def alike(self) -> bool:
        return self.numbers["low"] is not None and self.numbers["low"] == self.numbers["high"]


def shown(test: Test, value: float) -> float:
    return float(np.exp(min(value, 700))) if test.ratio else value * test.factor


def numbers_of(test: Test) -> Anew:
    """The rule for directions, or for equivalence where no sign is claimed."""
    e, sign = test.effect, test.sign
    half = e.half()
    sesoi = float(np.log(test.sesoi)) if test.ratio else test.sesoi / test.factor
    ends = (e.value - half, e.value + half)
    p = e.p() if sign else e.equivalence(sesoi)
    room = shown(test, test.best[0].value) if test.best else None
    numbers = dict(
        zip(NUMBERS, (shown(test, e.value), *(shown(test, v) for v in ends), p, room), strict=True)
    )
    if not sign:
        beyond = ends[0] > sesoi or ends[1] < -sesoi
        best = replace(e, value=0.0).equivalence(sesoi)
        return Anew(
            numbers, e.seeds, abs(e.value) < sesoi, beyond, beyond, best, test=test, n=e.n, varies=e.varies
        )
    reach = sign * e.value + half
    best_ps = [b.p() if sign * b.value > 0 else 1.0 for b in (e, *test.best)]
    return Anew(
        numbers, e.seeds, sign * e.value > 0, reach < sign * sesoi, reach < 0,
        min(best_ps) if test.best else None, test=test, n=e.n, varies=e.varies,
    )  # fmt: skip


def with_ranges(test: Test) -> Anew:
    """The same, with ranges where part of the variance is resampled."""
    anew = numbers_of(test)
    if not test.effect.uncertain:
        return anew
    scales = (1 - test.effect.uncertain, 1 + test.effect.uncertain)
    others = [
        numbers_of(replace(test, effect=_scaled(test.effect, s), best=[_scaled(b, s) for b in test.best]))
        for s in scales
    ]
    anew.ranges = {n: _range([o.numbers[n] for o in others]) for n in ("low", "high", "p")}
    anew.best_range = _range([o.best_p for o in others])
    return anew


def _scaled(e: Effect, factor: float) -> Effect:
    return replace(e, many=e.many * factor)


def _range(values: list[float | None]) -> Range:
    floats = [v for v in values if v is not None]
    return min(floats), max(floats)


def _binomial(p: float, draws: int = OWN_DRAWS) -> Range:
    """Where a p of so many simulated draws may lie, ours being `p`."""
    reach = SIGMAS * np.sqrt(max(p * (1 - p), 1 / draws) * (1 / STORED_DRAWS + 1 / draws)) + 1 / STORED_DRAWS
    return float(p - reach), float(p + reach)


def levels_of(raw: Raw, scope: Scope, key: str | None) -> tuple[dict[Arm, Level], Dose] | None:
    """Log-odds of the toxic arms and their dose; None where no curve can be fitted."""
    arms = toxic(raw.grids(key, scope.prompt_set, scope.scorer)) if key else {}
    shares = sorted(share for _, share in arms)
    if len(shares) < 4 or shares[0] != 0:
        return None
    levels = {arm: odds(values) for arm, values in sorted(arms.items())}
    dose = dose_of(shares, list(levels.values()))
    return None if dose is None or (dose.variances <= 0).any() else (levels, dose)


def sides(levels: dict[Arm, Level]) -> dict[float, tuple[float, Effect, bool, float]]:
    """Of each share inside: its depth below the nearer end, that effect, whether a dip is ruled out."""
    arms, pool = list(levels), list(levels.values())
    alpha = 0.05 / (len(arms) - 2)
    depths: dict[float, tuple[float, Effect, bool, float]] = {}
    for arm in arms[1:-1]:
        pair = [e for end in (arms[0], arms[-1]) if (e := effect([levels[arm], levels[end]], [1, -1], pool))]
        nearer = max(pair, key=lambda e: e.value)
        lowest = max(e.value - e.half(alpha) for e in pair)
        depths[arm[1]] = (nearer.value, nearer, lowest > -np.log(1.5), alpha)
    return depths


def dip(raw: Raw, scope: Scope, key: str | None) -> Anew | None:
    """The claim that there is a best dose under a condition."""
    fit = levels_of(raw, scope, key)
    if fit is None:
        return None
    levels, dose = fit
    inside = sides(levels)
    depth, nearer, _, alpha = min(inside.values(), key=lambda side: side[0])
    half = nearer.half(alpha)
    best_share = min(inside, key=lambda share: (round(abs(share - 0.1), 9), share))
    place = list(dose.shares).index(best_share)
    arms = list(levels)
    ends = best_odds(raw.grids(str(key), scope.prompt_set, scope.scorer)["toxic", best_share], -1)
    best = []
    for end in ends:
        other = dose_of(list(dose.shares), [end if a[1] == best_share else levels[a] for a in arms])
        best.append(other.p(draws=OWN_DRAWS // 4) if other else 1.0)
    room = ends[0].value - min(levels[arms[0]].value, levels[arms[-1]].value)
    p = dose.p()
    values = (depth, depth - half, depth + half)
    numbers = dict(zip(NUMBERS, (*np.exp(values), p, np.exp(room)), strict=True))
    anew = Anew(
        numbers,
        nearer.seeds,
        bool(np.isfinite(dose.lowest(dose.means, dose.hormetic(dose.means[None])[1][0]))) and p <= 0.05,
    )
    anew.excluded, anew.opposed = all(side[2] for side in inside.values()), depth > half
    best_p = min(*best, p)
    anew.best_p, anew.best_range, anew.ranges = (
        best_p,
        _binomial(best_p, OWN_DRAWS // 4),
        {"p": _binomial(p)},
    )
    anew.n, anew.varies = nearer.n, depth != 0 or any(level.varies for level in levels.values())
    anew.dose = (dose, place)
    return anew


def scorers(raw: Raw, scope: Scope) -> Anew | None:
    """The claim that two scorers agree: one-sided, Fisher's z over seeds against .8."""
    z = scorers_z(raw, scope.prompt_set)
    e = None if z is None else effect([plain(z)], [1])
    if e is None:
        return None
    null = float(np.arctanh(0.8))

    def one_sided(value: float) -> float:
        p = replace(e, value=value).p(null) / 2
        return p if value > null else 1 - p

    values = np.tanh([e.value, e.value - e.half(), e.value + e.half()])
    numbers = dict(zip(NUMBERS, (*values, one_sided(e.value), 0.9999), strict=True))
    best = one_sided(float(np.arctanh(0.9999)))
    below = bool(values[2] < 0.8)
    return Anew(numbers, e.seeds, values[0] > 0.8, below, below, best_p=best, test=Test(e, 2, null))


def least_fall(raw: Raw) -> Anew | None:
    """The claim on every sampling setting: the setting of the least fall, the largest p of all."""
    settings = {setting: numbers_of(test) for setting, test in sampling(raw).items()}
    if not settings:
        return None
    least = max(settings.values(), key=lambda anew: anew.numbers["value"] or 0.0)
    least.numbers["p"] = max(anew.numbers["p"] or 0.0 for anew in settings.values())
    least.best_p = max(anew.best_p or 0.0 for anew in settings.values())
    least.claimed = all(anew.claimed for anew in settings.values())
    least.excluded = any(anew.excluded for anew in settings.values())
    return least


def anew_of(raw: Raw, claim: str, scope: Scope) -> Anew | None:
    if claim.endswith("-dip"):
        choose = claims.middle if claim == "C4-matched-dip" else claims.strongest
        return dip(raw, scope, choose(raw))
    if claim == "R-scorer":
        return scorers(raw, scope)
    if claim == "R-sampling":
        return least_fall(raw)
    test = {**SCORED, **OF_STUDY}[claim](raw, scope)
    return with_ranges(test) if test else None


def holm(ps: list[float]) -> list[float]:
    """Of each p the largest among those up to it, times how many are not smaller, at most 1."""
    return [min(1.0, max(q * sum(r >= q for r in ps) for q in ps if q <= p)) for p in ps]


def status(anew: Anew, p_holm: float | None, best: float | None) -> str:
    """By the rules' texts."""
    if anew.seeds < 2 or p_holm is None or not anew.varies or (anew.n or 2) < 2:
        return "cannot be told"
    if anew.claimed and not anew.excluded and p_holm <= 0.05:
        return "supported"
    if anew.opposed:
        return "not supported"
    if best is not None and best > 0.05:
        return "cannot be told"
    return "not supported" if anew.excluded else "undecided"


def compare_verdicts(ledger: Ledger, raw: Raw) -> None:
    """Every stored verdict; p of Holm from the stored ps, which are compared themselves."""
    stored = raw.frame("SELECT * FROM verdict WHERE study_id = :study")
    stored[["prompt_set", "scorer"]] = stored[["prompt_set", "scorer"]].fillna("")
    stored["curve"] = stored["claim"].str.endswith("-dip")
    for _, family in stored.groupby(["family", "prompt_set", "scorer", "curve"]):
        anews = {
            row.key: anew_of(raw, row.claim, Scope(row.prompt_set, row.scorer)) for row in family.itertuples()
        }
        for anew in anews.values():
            if anew and anew.alike:
                anew.numbers["p"], anew.best_p, anew.claimed, anew.excluded = None, None, False, False
        tested = {row.key: row.p for row in family.itertuples()
                  if (m := anews[row.key]) and m.numbers["p"] is not None and pd.notna(row.p)}  # fmt: skip
        raised = dict(zip(tested, holm(list(tested.values())), strict=True))
        for row in records(family):
            _compare(ledger, row, anews[row["key"]], tested, raised)


def _compare(
    ledger: Ledger,
    row: dict[str, object],
    anew: Anew | None,
    tested: dict[str, float],
    raised: dict[str, float],
) -> None:
    key = str(row["key"])
    if anew is None:
        ledger.word("verdict status", key, str(row["status"]), {"no data yet"})
        return
    for name in NUMBERS:
        kind = "verdict interval" if name in ("low", "high") else f"verdict {name}"
        ledger.number(kind, f"{key} {name}", row[name], anew.numbers[name], within=anew.ranges.get(name))  # type: ignore[arg-type]
    ledger.number("verdict seeds", key, row["n_seeds"], anew.seeds)  # type: ignore[arg-type]
    if anew.n is None:
        ledger.skip("verdict n", "not of answers")
    else:
        ledger.number("verdict n", key, row["n"], anew.n)  # type: ignore[arg-type]
    ledger.number("verdict Holm's p", key, row["p_holm"], raised.get(key))  # type: ignore[arg-type]
    is_tested = key in tested
    ledger.number("verdict tests", key, row["tests"], len(tested) if is_tested else None)  # type: ignore[arg-type]
    level = 0.05 / (len(tested) + (not is_tested))
    _compare_detectable(ledger, key, row["detectable"], anew, level)  # type: ignore[arg-type]

    def best(p: float | None) -> float | None:
        others = [v for k, v in tested.items() if k != key]
        return None if p is None or key not in tested else holm([p, *others])[0]

    words = {status(anew, raised.get(key), best(p)) for p in (anew.best_p, *(anew.best_range or ()))}
    ledger.word("verdict status", key, str(row["status"]), words)


def _compare_detectable(ledger: Ledger, key: str, stored: float | None, anew: Anew, alpha: float) -> None:
    kind, test = "verdict detectable", anew.test
    if anew.alike:
        ledger.number(kind, key, stored, None)
    elif anew.dose and stored:
        dose, place = anew.dose
        power = dose.power(place, -float(np.log(stored)), alpha)
        near = (0.8 - POWER_ERROR, 0.8 + POWER_ERROR)
        ledger.word(
            f"{kind}, of dips", f"{key}: power {power:.2f}", str(near[0] <= power <= near[1]), {"True"}
        )
    elif test and test.sign == 2:
        ledger.number(kind, key, stored, float(np.tanh(test.sesoi + test.effect.detectable(2 * alpha))))
    elif test:

        def seen(e: Effect) -> float:
            return abs(
                shown(test, test.sign * e.detectable(alpha)) if test.sign else shown(test, e.margin(alpha))
            )

        u = test.effect.uncertain
        within = _range([seen(_scaled(test.effect, s)) for s in (1 - u, 1 + u)]) if u else None
        ledger.number(kind, key, stored, seen(test.effect), within=within)


def compare_fits(ledger: Ledger, raw: Raw) -> None:
    """Stored fits of dose curves: p, evidence, status, and where the optimum is."""
    for row in records(raw.frame("SELECT * FROM dose_fit WHERE study_id = :study")):
        fit = levels_of(raw, Scope(row["prompt_set"], row["scorer"]), row["condition_key"])
        if fit is None:
            ledger.word("dose fit status", row["key"], row["status"], {"no data yet"})
            continue
        levels, dose = fit
        p = dose.p()
        ledger.number("dose fit p", row["key"], row["p"], p, within=_binomial(p))
        ledger.number("dose fit evidence", row["key"], row["evidence_ratio"], dose.evidence())
        is_ruled_out = all(side[2] for side in sides(levels).values())
        supported = row["p"] <= 0.05
        ledger.word("dose fit status", row["key"], row["status"],
                    {"hormetic" if supported else "monotone" if is_ruled_out else "undecided"})  # fmt: skip
        if not supported:
            ledger.skip("dose fit optimum", "no dip supported")
            continue
        place, optima = dose.optimum()
        index = int(np.abs(dose.shares - place).argmin())
        neighbours = (
            (dose.shares[index - 1], dose.shares[index + 1]) if len(dose.shares) <= 5 else (np.inf, -np.inf)
        )
        low, low_range, high, high_range = quantile_ranges(optima, STORED_DRAWS)
        ledger.number("dose fit optimum", row["key"], row["optimum"], place)
        for end, choose, own_end, span, neighbour in (
            ("low", min, low, low_range, neighbours[0]), ("high", max, high, high_range, neighbours[1])
        ):  # fmt: skip
            span = (choose(span[0], neighbour), choose(span[1], neighbour))
            ledger.number("dose fit interval", f"{row['key']} {end}", row[f"optimum_{end}"],
                          choose(own_end, neighbour), within=span)  # fmt: skip
