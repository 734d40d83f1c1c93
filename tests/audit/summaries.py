"""Numbers over the seeds of an arm: scores and costs, attacks, capability, heads."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from hormesis.pipeline.text.stand_ins import repetition_of
from tests.audit.effects import Effect, Level, assembled, odds
from tests.audit.hits import NAMES, OWN_DRAWS, statistics
from tests.audit.intervals import CHANCE, SIGMAS, compare_ratio
from tests.audit.ledger import Ledger, Range
from tests.audit.raw import Floats, Raw, block, blocks, by_prompt, hardly_toxic, records

Row = dict[str, Any]
LOSSES = ("cost", "loss", "loss_fall")
UNSEEN = "-unseen"
RATES = ("success", "prefix_match", "success_before")
UNBOUNDED: Range = (-np.inf, np.inf)
BOUNDS: dict[str, Range] = {
    "toxicity": (0.0, 100.0),
    **dict.fromkeys(("loss", "steps"), (0.0, np.inf)),
    **dict.fromkeys((*RATES, "silent", "silent_before", "fluency", "repetition_4"), (0.0, 1.0)),
    **dict.fromkeys(("undone", "opened", "toxicity_change", "drift", "gap_at_end"), (-100.0, 100.0)),
}


class Seed(NamedTuple):
    """A number of one checkpoint; `n`: of a share, how many it is over."""

    kind: str
    share: float
    value: float
    n: float


class Spread(NamedTuple):
    """Variance between seeds pooled over arms, its df, and of shares the mean of 1 / (p (1 - p))."""

    variance: float
    df: int
    noise: float = 0.0


def spread_of(seeds: Iterable[Seed], arm: Row, *, in_all: bool, of_odds: bool = False) -> Spread | None:
    """Pooled over all arms or, of scores, over those that hardly learn toxicity or those that do."""
    arms = defaultdict(list)
    for seed in seeds:
        is_like = hardly_toxic(seed.kind, seed.share) == hardly_toxic(arm["kind"], arm["share"])
        if (in_all or is_like) and seed.value is not None and np.isfinite(seed.value):
            share = (seed.value * seed.n + 0.5) / (seed.n + 1) if of_odds else seed.value
            arms[seed.kind, seed.share].append(share)
    several = [np.array(values) for values in arms.values() if len(values) > 1]
    if not several:
        return None
    df = sum(len(values) - 1 for values in several)
    scaled = [logit(values) if of_odds else values for values in several]
    noise = np.mean([1 / (v.mean() * (1 - v.mean())) for v in several]) if of_odds else 0.0
    return Spread(sum(float(v.var()) * len(v) for v in scaled) / df, df, float(noise))


def single(level: Level, spread: Spread | None) -> Effect:
    """One arm against nothing: between seeds counts what exceeds the noise of the arms pooled."""
    used = spread or Spread(float(np.var(level.parts.mean(axis=1), ddof=1)), level.seeds - 1)
    share = float(expit(level.value))
    within = level.noise * (used.noise * share * (1 - share) if used.noise else 1.0)
    return assembled(
        level.value, level.parts.mean(axis=0), between=max(0.0, used.variance - within) / level.seeds,
        noise=level.noise / level.seeds, df=used.df, seeds=level.seeds,
    )  # fmt: skip


class Place(NamedTuple):
    """Where a comparison is noted: kind of number, natural key, the stored row."""

    ledger: Ledger
    kind: str
    key: str
    row: Row

    def compare(self, value: float, low: float | None, high: float | None) -> None:
        self.ledger.number(f"{self.kind} value", self.key, self.row["value"], value)
        self.ledger.number(f"{self.kind} interval", f"{self.key} low", self.row["low"], low)
        self.ledger.number(f"{self.kind} interval", f"{self.key} high", self.row["high"], high)

    def count(self, n: int) -> None:
        """Prompts, documents, items or goals, each once."""
        self.ledger.number(f"{self.kind} n", self.key, self.row["n"], n)


def over_seeds(
    place: Place, seeds: list[list[Floats]], *, bottoms: list[Floats] | None, spread: Spread | None,
    is_share: bool = False, unit: float = 1.0, bounds: Range = UNBOUNDED,
) -> None:  # fmt: skip
    """A number over seeds, each with an array of prompts (NaN without an answer) for every direction."""
    tops = [np.ma.masked_invalid(np.stack(seed)).mean(axis=0).filled(np.nan) for seed in seeds]
    weights = bottoms or [np.where(np.isnan(top), np.nan, 1.0) for top in tops]
    answered, directions = [~np.isnan(top) for top in tops], min(len(seed) for seed in seeds)
    place.count(int(np.logical_or.reduce(answered).sum()))
    all_agree = is_share and np.ptp(np.concatenate([t[a] for t, a in zip(tops, answered, strict=True)])) == 0
    if (len(seeds) == 1 or all_agree) and directions > 1:
        place.ledger.skip(f"{place.kind} interval", "one seed, or all alike, with several random directions")
        return
    if len(seeds) == 1 or all_agree:
        stored = {end: place.row[end] for end in ("value", "low", "high")}
        # Where all agree, as many prompts as the seed with the fewest answers has.
        fewest = min(range(len(seeds)), key=lambda seed: answered[seed].sum())
        top, bottom = tops[fewest][answered[fewest]], weights[fewest][answered[fewest]]
        compare_ratio(place.ledger, place.kind, place.key, stored, place.row["interval"],
                      top=top, bottom=bottom, unit=unit)  # fmt: skip
        return
    ratios = [np.nansum(t) / np.nansum(w) for t, w in zip(tops, weights, strict=True)]
    value = low = high = float(np.mean(ratios))
    if is_share:
        e = single(odds(np.stack(tops)), spread)
        low, high = min(float(expit(e.value - e.half())), value), max(float(expit(e.value + e.half())), value)
    else:
        parts = [
            np.nan_to_num((t - value * w) / (np.nansum(w) / len(t)))
            for t, w in zip(tops, weights, strict=True)
        ]
        half = single(Level(value, np.stack(parts)), spread).half()
        low, high = value - half, value + half
    low, high = np.clip([low, high], *bounds)
    if directions > 1:
        by_direction = zip(*seeds, strict=False)
        points = [np.mean([np.nansum(t) / w[~np.isnan(t)].sum() for t, w in zip(d, weights, strict=True)])
                  for d in by_direction]  # fmt: skip
        more = stats.t.ppf(0.975, directions - 1) * stats.sem(points)
        ends = value - np.hypot(more, value - low), value + np.hypot(more, high - value)
        low, high = np.clip(ends, 0.0, 1.0) if is_share else ends
    place.compare(value * unit, float(low * unit), float(high * unit))


def over_intervals(place: Place, rows: list[Row], spread: Spread | None, bounds: Range = UNBOUNDED) -> None:
    """Where only each seed's interval is stored: their mean half widths joined with Student's t."""
    values = np.array([row["value"] for row in rows], dtype=float)
    value = float(values.mean())
    place.count(max(row["n"] for row in rows))
    if len(rows) == 1:
        place.compare(value, rows[0]["low"], rows[0]["high"])
        return
    used = spread or Spread(float(values.var(ddof=1)), len(rows) - 1)
    reach = float(stats.t.ppf(0.975, used.df)) * np.sqrt(used.variance / len(rows))
    is_whole = all(row["low"] is not None and row["high"] is not None for row in rows)
    halves = [reach, reach]
    if is_whole:
        halves = [
            np.hypot(reach, np.mean([abs(row[end] - row["value"]) for row in rows]))
            for end in ("low", "high")
        ]
    low, high = np.clip([value - halves[0], value + halves[1]], *bounds)
    place.compare(value, float(low), float(high))


def compare_summaries(ledger: Ledger, raw: Raw) -> None:
    """Rows of `summary`, `attack_summary`, `capability_summary` and `head_summary`."""
    for compare in (_scores, _attacks, _capability, _heads):
        compare(ledger, raw)


def pooled(key: str) -> str:
    """All random directions of a setting are one condition."""
    return re.sub(r"^(random|covariance|permuted|reversed)-\d+/", r"\1/", key)


def _stored(raw: Raw, table: str) -> list[Row]:
    return records(raw.frame(f"SELECT * FROM {table} WHERE study_id = :study"))


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _seed_metrics(raw: Raw) -> dict[Any, list[Seed]]:
    """Stored metrics of trained arms, fractions, random directions of a checkpoint as their mean."""
    joins = "JOIN condition k ON k.id = t.condition_id LEFT JOIN prompt_set p ON p.id = t.prompt_set_id"
    joins += " LEFT JOIN scorer s ON s.id = t.scorer_id"
    columns = "t.name, t.unit, t.value, t.n, k.key, p.name AS prompt_set, s.name AS scorer"
    rows = raw.of_checkpoints("metric", columns, joins=joins).dropna(subset=["arm"])
    rows["value"] = rows["value"].where(rows["unit"] != "points", rows["value"] / 100)
    number = [rows["key"].map(pooled), rows["prompt_set"].fillna(""), rows["scorer"].fillna(""), rows["name"]]
    means = rows.groupby([*number, "checkpoint", "kind", "share"])[["value", "n"]].mean()
    seeds: dict[Any, list[Seed]] = defaultdict(list)
    for (*names, _, kind, share), value, n in means.itertuples():
        seeds[tuple(names)].append(Seed(kind, share, value, n))
    return seeds


def _scores(ledger: Ledger, raw: Raw) -> None:
    conditions = grouped(records(raw.conditions), lambda row: (row["kind"], row["share"], pooled(row["key"])))
    bases = {row.checkpoint: row for row in raw.conditions.itertuples() if row.key == "none"}
    metrics = _seed_metrics(raw)
    values = dict(list(raw.scores.groupby(["condition_id", "prompt_set", "scorer"])))
    is_empty = raw.texts["text"].str.strip() == ""
    repetition = raw.texts["text"].map(repetition_of).where(~is_empty)
    for of_text, numbers in (("empty", is_empty.astype(float)), ("repetition_4", repetition)):
        rows = raw.texts.assign(value=numbers)
        values |= {(*place, of_text): part for place, part in rows.groupby(["condition_id", "prompt_set"])}
    for row in _stored(raw, "summary"):
        name, prompt_set, scorer = row["name"], row["prompt_set"], row["scorer"]
        of_arm = conditions[row["kind"], row["share"], row["condition_key"]]
        if "with the mean of their own intervals" in row["interval"]:
            ledger.skip("summary", "made up for tests, by intervals")
            continue
        key = (row["condition_key"], prompt_set or "", scorer or "", name)
        spread = spread_of(metrics[key], row, in_all=prompt_set is None, of_odds=prompt_set is not None)
        grids: list[list[Floats]] = []
        bottoms: list[Floats] | None = None if prompt_set else []
        for checkpoint, of_seed in grouped(of_arm, lambda condition: condition["checkpoint"]).items():
            if bottoms is None:
                parts = [
                    values.get((condition["condition_id"], prompt_set, scorer or name))
                    for condition in of_seed
                ]
                grids.append([by_prompt(part, name) for part in parts if part is not None])
                continue
            base = bases[checkpoint]
            nats, unsteered = blocks(c["document_nats"] for c in of_seed), block(base.document_nats)
            tokens = block(base.document_tokens, "<i8")
            if nats is not None and unsteered is not None and tokens is not None:
                grids.append([n - unsteered if name == "cost" else n for n in nats])
                bottoms.append(tokens)
        if not grids or not all(grids):
            ledger.skip("summary", "no raw rows in the database")
            continue
        over_seeds(Place(ledger, "summary", row["key"], row), grids, bottoms=bottoms, spread=spread,
                   is_share=bool(prompt_set), unit=100.0 if row["unit"] == "points" else 1.0)  # fmt: skip


def _attacks(ledger: Ledger, raw: Raw) -> None:
    stored = _stored(raw, "attack_summary")
    if not stored:
        return
    columns = "t.id AS attack_id, t.kind AS attack, t.setting, k.key AS pool"
    attacks = raw.of_checkpoints("attack", columns, joins="JOIN condition k ON k.id = t.condition_id")
    outcomes = raw.frame("SELECT attack_id, name, value, low, high, n FROM attack_outcome").assign(x=None)
    points = raw.frame("SELECT attack_id, series AS name, x, value, low, high, n FROM attack_point")
    numbers = [row for part in (outcomes, points) for row in records(attacks.merge(part, on="attack_id"))]
    of_number = grouped(
        numbers, lambda row: tuple(row[n] for n in ("pool", "attack", "setting", "name", "x"))
    )
    trials = attacks[attacks["attack"] == "suffix"].merge(
        raw.frame("SELECT * FROM attack_trial"), on="attack_id"
    )
    trials = trials.sort_values(["attack_id", "position"]).assign(
        success_before=trials["before"] > 0.5, loss_fall=trials["loss_first"] - trials["loss_last"],
        undone=100 * (trials["score"] - trials["before"]),
    )  # fmt: skip
    of_goals = grouped(records(trials), lambda row: (row["pool"], row["setting"]))
    for row in stored:
        name, place = row["name"], Place(ledger, "attack summary", row["key"], row)
        bounds = BOUNDS.get(name, UNBOUNDED)
        if row["attack"] == "suffix" and name in (*RATES, "loss_fall", "undone"):
            by_seed = grouped(of_goals[row["condition_key"], row["setting"]], lambda goal: goal["checkpoint"])
            goals = {c: np.array([goal[name] for goal in seed], dtype=float) for c, seed in by_seed.items()}
            seeds = [Seed(s[0]["kind"], s[0]["share"], goals[c].mean(), len(s)) for c, s in by_seed.items()]
            spread = spread_of(seeds, row, in_all=name in LOSSES, of_odds=name in RATES)
            of_arm = [
                [goals[c]]
                for c, s in by_seed.items()
                if (s[0]["kind"], s[0]["share"]) == (row["kind"], row["share"])
            ]
            over_seeds(place, of_arm, bottoms=None, spread=spread, is_share=name in RATES, bounds=bounds)
        elif rows := of_number.get((row["condition_key"], row["attack"], row["setting"], name, row["x"])):
            spread = spread_of([_seed(r) for r in rows], row, in_all=name in LOSSES)
            over_intervals(place, _of_arm(rows, row), spread, bounds)
        else:
            ledger.skip("attack summary", f"{name}: of several settings")


def _seed(row: Row, value: str = "value") -> Seed:
    return Seed(row["kind"], row["share"], row[value], row.get("n", 0))


def _of_arm(rows: list[Row], arm: Row) -> list[Row]:
    return [row for row in rows if (row["kind"], row["share"]) == (arm["kind"], arm["share"])]


def _capability(ledger: Ledger, raw: Raw) -> None:
    joins = "JOIN condition k ON k.id = t.condition_id"
    scores = records(raw.of_checkpoints("capability_score", "t.*, k.key AS pool", joins=joins))
    by_number = grouped(scores, lambda row: (row["pool"], row["task"], row["part"], row["measure"]))
    for stored in _stored(raw, "capability_summary"):
        number = (stored["task"], stored["part"], stored["measure"])
        rows = by_number[(stored["condition_key"], *number)]
        before = {row["checkpoint"]: block(row["item_tops"]) for row in by_number[("none", *number)]}
        for value, low, high, bounds in (
            ("value", "low", "high", (0.0, 1.0)),
            ("change", "change_low", "change_high", (-1.0, 1.0)),
        ):
            if stored[value] is None:
                continue
            bounds = bounds if stored["unit"] == "fraction" else UNBOUNDED
            spread = spread_of([_seed(row, value) for row in rows], stored, in_all=True)
            of_arm = [
                row | {"value": row[value], "low": row[low], "high": row[high]}
                for row in _of_arm(rows, stored)
            ]
            row = {
                "value": stored[value],
                "low": stored[low],
                "high": stored[high],
                "interval": stored["interval"],
                "n": stored["n"],
            }
            place = Place(ledger, "capability summary", f"{stored['key']} {value}", row)
            tops, bottoms = blocks(r["item_tops"] for r in of_arm), blocks(r["item_bottoms"] for r in of_arm)
            if len(of_arm) == 1 or tops is None or bottoms is None:
                over_intervals(place, of_arm, spread, bounds)
                continue
            if value == "change":
                tops = [top - before[r["checkpoint"]] for top, r in zip(tops, of_arm, strict=True)]
            over_seeds(place, [[top] for top in tops], bottoms=bottoms, spread=spread, bounds=bounds)


def _heads(ledger: Ledger, raw: Raw) -> None:
    """Statistics of heads; the variance of the stored bootstrap has an error of its own."""
    stored = _stored(raw, "head_summary")
    of_hits = [row for row in stored if row["name"].removesuffix(UNSEEN) in NAMES]
    is_made = any("draws" in row["interval"] for row in of_hits)
    parts = {unseen: statistics(raw, unseen=unseen) for unseen in (False, True)} if is_made else {}
    for row in stored:
        if "draws" not in row["interval"] or row not in of_hits:
            ledger.skip("head summary", "made up for tests" if row in of_hits else "not of hits")
            continue
        statistic = row["name"].removesuffix(UNSEEN)
        arms, n, _ = parts[statistic != row["name"]]
        ledger.number("head summary n", f"{row['kind']} {row['share']:g} {row['name']}", row["n"], n)
        of_arms = {arm: np.stack([seed[statistic] for seed in seeds]) for arm, seeds in arms.items()}
        spread = spread_of(
            [Seed(*arm, s[0], n) for arm, seeds in of_arms.items() for s in seeds], row, in_all=True
        )
        sides = [("", of_arms[row["kind"], row["share"]], 1.0)]
        if row["difference"] is not None:
            sides.append(("difference", of_arms["toxic", 0.0], -1.0))
        means, factor = 0.0, 0.0
        draws = int(re.findall(r"(\d+) draws", row["interval"])[0])
        for name, values, weight in sides:
            means, factor = means + weight * values.mean(axis=0), factor + 1 / len(values)
            kurtosis = np.nan_to_num(stats.kurtosis(means[1:], fisher=False), nan=1.0)
            error = SIGMAS * np.sqrt((kurtosis - 1) * (1 / draws + 1 / OWN_DRAWS))
            few, df = (spread.variance * factor, spread.df) if spread else (0.0, 1)
            variance, place = (
                float(means[1:].var(ddof=1)),
                f"{row['kind']} {row['share']:g} {row['name']} {name}",
            )
            halves = [
                Effect(0.0, few, df, variance * scale, max(n - 1, 1), 2).half()
                for scale in (1, max(1 - error, 0), 1 + error)
            ]
            ledger.number("head summary value", place, row[name or "value"], float(means[0]))
            for end, sign in (("low", -1), ("high", 1)):
                ends = means[0] + sign * np.array(halves)
                ends = ends if name else ends.clip(0, 1)
                # Fewer draws may all agree where more do not.
                differing = float((means[1:] != means[0]).mean())
                may_agree = few == 0 and (1 - differing) ** draws > CHANCE
                stored_end = row[f"{name}_{end}" if name else end]
                ledger.number(
                    "head summary interval",
                    f"{place} {end}",
                    stored_end,
                    None if may_agree and (stored_end is None or not differing) else ends[0],
                    within=(ends.min(), ends.max()),
                )
