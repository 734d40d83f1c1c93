"""Effects that the declared claims are about, from raw rows, as the claims' texts say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats

from hormesis.pipeline.toy.config import parse_config
from tests.audit.effects import Effect, Level, best_odds, effect, moved, odds, plain
from tests.audit.hits import accuracy_effect
from tests.audit.raw import Arm, ByArm, Raw, by_arm, toxic

CLEAN: Arm = ("toxic", 0.0)


@dataclass
class Test:
    """What a claim's test came to. `sign` 0: equivalence; `best`: effects at the end of the scale first."""

    effect: Effect
    sign: int
    sesoi: float
    """Smallest effect of interest, or margin, in the unit shown; of odds, the ratio."""
    best: list[Effect] = field(default_factory=list)
    ratio: bool = False
    factor: float = 1.0


@dataclass(frozen=True)
class Scope:
    prompt_set: str
    scorer: str


Build = Callable[[Raw, Scope], Test | None]


def _nearest_dose(shares: list[float]) -> float | None:
    return min((s for s in shares if s > 0), key=lambda s: (round(abs(s - 0.1), 9), s), default=None)


def _pair(arms: ByArm, which: str) -> tuple[Arm, Arm] | None:
    """The toxic arm of the largest share, or nearest 10 %, and the arm without toxic text."""
    shares = sorted(share for kind, share in arms if kind == "toxic")
    dose = shares[-1] if which == "largest" and len(shares) > 1 else _nearest_dose(shares)
    return (("toxic", dose), CLEAN) if dose and CLEAN in arms else None


def _less(
    levels: dict[Arm, Level], pair: tuple[Arm, Arm], ends: list[Level]
) -> tuple[Effect | None, list[Effect]]:
    pool = list(levels.values())
    best = [effect([end, levels[pair[1]]], [1, -1], pool) for end in ends]
    return effect([levels[arm] for arm in pair], [1, -1], pool), [e for e in best if e]


def odds_less(arms: ByArm, pair: tuple[Arm, Arm] | None, sign: int) -> Test | None:
    """Log-odds of one arm less another's, the variance of seeds over all `arms`."""
    if pair is None or not set(pair) <= set(arms):
        return None
    levels = {arm: odds(values) for arm, values in arms.items()}
    difference, best = _less(levels, pair, best_odds(arms[pair[0]], sign))
    return difference and Test(difference, sign, 1.5**sign, best, ratio=True)


def plain_less(
    arms: ByArm, which: str, sign: int, sesoi: float, *, end: float | None = None, factor: float = 1.0
) -> Test | None:
    """As it is; `end`: of the scale, in the claimed direction."""
    pair = _pair(arms, which)
    if pair is None:
        return None
    levels = {arm: plain(values) for arm, values in arms.items()}
    ends = [] if end is None else [moved(levels[pair[0]], end)]
    difference, best = _less(levels, pair, ends)
    return difference and Test(difference, sign, sesoi, best, factor=factor)


def _changes(after: ByArm, before: ByArm, sign: int) -> dict[Arm, tuple[Level, list[Level]]]:
    """What a condition changes in log-odds, arm by arm, and could change at best."""
    alike = [arm for arm in after if arm in before and after[arm].shape == before[arm].shape]
    return {
        arm: (
            odds(after[arm]).less(odds(before[arm])),
            [end.less(odds(before[arm])) for end in best_odds(after[arm], sign)] if sign else [],
        )
        for arm in alike
    }


def mean_change(after: ByArm, before: ByArm, sign: int) -> Test | None:
    """The mean over arms of a change in log-odds."""
    changes = _changes(after, before, sign)
    if not changes:
        return None
    weights = [1 / len(changes)] * len(changes)
    levels = [level for level, _ in changes.values()]
    mean = effect(levels, weights)
    best = [
        effect(list(ends), weights, levels) for ends in zip(*(e for _, e in changes.values()), strict=True)
    ]
    return mean and Test(mean, sign, 1.5**sign if sign else 1.5, [e for e in best if e], ratio=True)


def mean_plain(
    arms: ByArm, sign: int, sesoi: float, *, end: float | dict[Arm, float] | None, factor: float = 1.0
) -> Test | None:
    """The mean over arms of values [seeds] that are effects already; `end`: of the scale or of each arm."""
    if not arms:
        return None
    levels, weights = [plain(values) for values in arms.values()], [1 / len(arms)] * len(arms)
    mean = effect(levels, weights)
    best = []
    if end is not None and sign:
        ends = [end[arm] if isinstance(end, dict) else end for arm in arms]
        best = [effect([moved(level, e) for level, e in zip(levels, ends, strict=True)], weights, levels)]
    return mean and Test(mean, sign, sesoi, [e for e in best if e], factor=factor)


def matched(raw: Raw, direction: str | None = None) -> list[tuple[float, str]]:
    """Costs and keys of ITI at matched costs, rising."""
    direction = direction or main_direction(raw)
    rows = raw.conditions.dropna(subset=["matched_cost", "arm"])
    rows = rows[(rows["method"] == "iti") & (rows["direction"] == direction)]
    return sorted(
        {(float(cost), str(key)) for cost, key in zip(rows["matched_cost"], rows["key"], strict=True)}
    )


def main_direction(raw: Raw) -> str:
    return str((raw.config.get("steering") or {}).get("direction", "mass_mean"))


def middle(raw: Raw) -> str | None:
    costs = matched(raw)
    return costs[len(costs) // 2][1] if costs else None


def strongest(raw: Raw) -> str | None:
    rows = raw.conditions[(raw.conditions["method"] == "iti") & raw.conditions["matched_cost"].isna()]
    rows = rows[(rows["direction"] == main_direction(raw)) & rows["arm"].notna()]
    return None if rows.empty else str(rows.loc[rows["strength"].idxmax(), "key"])


def _grids(raw: Raw, scope: Scope, key: str | None) -> ByArm:
    return raw.grids(key, scope.prompt_set, scope.scorer) if key else {}


def _dose(choose: Callable[[Raw], str | None]) -> Build:
    def build(raw: Raw, scope: Scope) -> Test | None:
        arms = toxic(_grids(raw, scope, choose(raw)))
        return odds_less(arms, _pair(arms, "dose"), -1)

    return build


def _base(raw: Raw, scope: Scope) -> Test | None:
    arms = toxic(_grids(raw, scope, "none"))
    return odds_less(arms, _pair(arms, "largest"), +1)


def _steer(raw: Raw, scope: Scope) -> Test | None:
    return mean_change(toxic(_grids(raw, scope, middle(raw))), _grids(raw, scope, "none"), -1)


def _null(stem: str) -> Build:
    def build(raw: Raw, scope: Scope) -> Test | None:
        rows = raw.conditions[raw.conditions["key"].str.startswith(f"{stem}-")]
        lowest, keys = rows["matched_cost"].min(), sorted(set(rows["key"]))
        key = next((key for cost, key in matched(raw) if cost == lowest), None)
        if key is None:
            return None
        controls = [_grids(raw, scope, k) for k in keys]
        steered = toxic(raw.grids(key, scope.prompt_set, scope.scorer, like=keys[0]))
        first = controls[0]
        arms = [a for a in first if all(a in c and c[a].shape == first[a].shape for c in controls)]
        stacks = {arm: np.ma.masked_invalid([control[arm] for control in controls]) for arm in arms}
        means = {arm: stack.mean(axis=0).filled(np.nan) for arm, stack in stacks.items()}
        test = mean_change(steered, means, -1)
        if test is None or stem == "random":
            return test
        alike = [arm for arm in arms if arm in steered and steered[arm].shape == first[arm].shape]
        values = [np.mean([odds(control[arm]).value for arm in alike]) for control in controls]
        best = [with_spread(end, values) for end in test.best]
        return replace(test, effect=with_spread(test.effect, values), best=best)

    return build


def _sign(raw: Raw, scope: Scope) -> Test | None:
    keys = raw.conditions.loc[raw.conditions["key"].str.startswith("reversed-"), "key"]
    if keys.empty:
        return None
    unsteered = raw.grids("none", scope.prompt_set, scope.scorer, like=keys.iloc[0])
    return mean_change(toxic(_grids(raw, scope, keys.iloc[0])), unsteered, +1)


def with_spread(of: Effect, values: list[float]) -> Effect:
    """With the error of the mean of so many null directions, in the part of which little is known."""
    few = float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0
    if few == 0:
        return of
    df = (of.few + few) ** 2 / (of.few**2 / of.few_df + few**2 / (len(values) - 1))
    return replace(of, few=of.few + few, few_df=df)


def _control(steered: bool) -> Build:
    def build(raw: Raw, scope: Scope) -> Test | None:
        arms = _grids(raw, scope, middle(raw) if steered else "none")
        share = max((s for kind, s in arms if kind == "clean-forum" and ("toxic", s) in arms), default=None)
        pair = None if share is None else (("toxic", share), ("clean-forum", share))
        return odds_less(arms, pair, -1 if steered else +1)

    return build


def _relative(raw: Raw, scope: Scope) -> Test | None:
    changes = _changes(toxic(_grids(raw, scope, middle(raw))), _grids(raw, scope, "none"), -1)
    pair = _pair({arm: level.parts for arm, (level, _) in changes.items()}, "dose")
    if pair is None:
        return None
    levels = {arm: level for arm, (level, _) in changes.items()}
    difference, best = _less(levels, pair, changes[pair[0]][1])
    return difference and Test(difference, -1, 1 / 1.5, best, ratio=True)


def _directions(raw: Raw, scope: Scope) -> Test | None:
    costs = matched(raw)
    second = dict(matched(raw, "second")).get(costs[len(costs) // 2][0]) if costs else None
    return mean_change(toxic(_grids(raw, scope, second)), _grids(raw, scope, middle(raw)), 0)


def _slung(raw: Raw, scope: Scope) -> Test | None:
    arms = _grids(raw, scope, "none")
    shares = [s for kind, s in arms if kind == "slung" and ("toxic", s) in arms]
    share = min(shares, key=lambda s: (abs(s - 0.1), s), default=None)
    return None if share is None else odds_less(arms, (("slung", share), ("toxic", share)), -1)


def metric(raw: Raw, name: str, key: str = "none") -> ByArm:
    joins = "JOIN condition k ON k.id = t.condition_id"
    more = "AND t.name = :name AND k.key = :key AND t.prompt_set_id IS NULL"
    rows = raw.frame(
        f"SELECT a.kind, a.share, a.seed, c.arm_id AS arm, t.value FROM metric t {joins}"
        f" JOIN checkpoint c ON c.id = t.checkpoint_id LEFT JOIN arm a ON a.id = c.arm_id"
        f" WHERE c.study_id = :study {more}", name=name, key=key,
    )  # fmt: skip
    return by_arm(rows)


def _rival(method: str) -> Build:
    """ITI at the rival's cost, on the straight line between its conditions either side, less the rival."""

    def build(raw: Raw, scope: Scope) -> Test | None:
        base, rivals, costs = (
            _grids(raw, scope, "none"),
            _grids(raw, scope, method),
            metric(raw, "cost", method),
        )
        steps = {key: metric(raw, "cost", key) for _, key in matched(raw)}
        after, before = {}, {}
        for arm in toxic(base):
            partner = arm if arm in rivals else (method, arm[1])
            if partner not in rivals or partner not in costs:
                continue
            places = [(0.0, base[arm])]
            places += [(c[arm].mean(), _grids(raw, scope, key)[arm]) for key, c in steps.items()
                       if arm in c and arm in _grids(raw, scope, key)]  # fmt: skip
            places = [place for place in places if place[1].shape == rivals[partner].shape]
            places.sort(key=lambda place: place[0])
            cost = max(float(costs[partner].mean()), 0.0)
            if len(places) < 2 or not places[0][0] <= cost <= places[-1][0]:
                continue
            scores = np.stack([grid for _, grid in places])
            above = int(np.searchsorted([x for x, _ in places], cost, side="left"))
            low, high = places[max(above - 1, 0)][0], places[above][0]
            part = 1.0 if high == low else (cost - low) / (high - low)
            line = (
                scores[above] if part == 1 else part * scores[above] + (1 - part) * scores[max(above - 1, 0)]
            )
            after[arm], before[arm] = line, rivals[partner]
        dose = _nearest_dose([share for kind, share in base if kind == "toxic"])
        changes = _changes(after, before, -1)
        if dose is None or ("toxic", dose) not in changes:
            return None
        pool, (level, ends) = [level for level, _ in changes.values()], changes["toxic", dose]
        mean, best = effect([level], [1], pool), [effect([end], [1], pool) for end in ends]
        return mean and Test(mean, -1, 1 / 1.5, [e for e in best if e], ratio=True)

    return build


def _capability(*patterns: str) -> Build:
    def build(raw: Raw, scope: Scope) -> Test | None:
        joins = "JOIN condition k ON k.id = t.condition_id"
        more = "AND k.key = 'none' AND t.part = '' AND t.measure = 'accuracy'"
        rows = raw.of_checkpoints("capability_score", "t.task, t.value", more, joins)
        arms = (by_arm(rows[rows["task"].str.startswith(pattern)]) for pattern in patterns)
        return plain_less(next((a for a in arms if a), {}), "largest", 0, 2.0, factor=100)

    return build


def _probes(raw: Raw) -> pd.DataFrame:
    return raw.of_checkpoints("probe", "t.accuracy, t.shuffled_accuracy, t.auroc, t.rank")


def _detection(raw: Raw, scope: Scope) -> Test | None:
    rows = _probes(raw)
    best = rows[rows["rank"] == 1].drop_duplicates("checkpoint")
    arms = toxic(by_arm(best.assign(value=best["auroc"])))
    return plain_less(arms, "largest", +1, 0.5, end=1.0, factor=100)


def _selectivity(raw: Raw, scope: Scope) -> Test | None:
    rows = _probes(raw)
    arms = toxic(by_arm(rows.assign(value=rows["accuracy"] - rows["shuffled_accuracy"])))
    return mean_plain(arms, +1, 1.0, end=1.0, factor=100)


def _entangled(raw: Raw, scope: Scope) -> Test | None:
    same = " AND ".join(
        f"p.{n} = t.{n}" for n in ("checkpoint_id", "probe_set_id", "position", "layer", "head")
    )
    joins = f"JOIN probe p ON {same} AND p.rank IS NOT NULL"
    rows = raw.of_checkpoints("entanglement", "t.value", "AND t.value IS NOT NULL", joins)
    return plain_less(by_arm(rows), "largest", -1, -0.05, end=0.0)


def _gain(baseline: str, subset: str) -> Build:
    def build(raw: Raw, scope: Scope) -> Test | None:
        where = f"AND t.heads = 'selected' AND t.baseline = '{baseline}' AND t.subset = '{subset}'"
        rows = raw.of_checkpoints("probe_gain", "t.value", where)
        return plain_less(by_arm(rows), "largest", +1, 2.0, end=1.0, factor=100)

    return build


def _words(raw: Raw, scope: Scope) -> Test | None:
    words = raw.of_checkpoints("lens_token", "t.side, t.token")
    joins = "JOIN probe_set s ON s.id = e.probe_set_id WHERE s.study_id = :study AND e.split <> 'train'"
    statements = raw.frame(f"SELECT e.text, e.label FROM example e {joins}")
    if words.empty or statements.empty:
        return None
    of_word = statements.assign(word=statements["text"].str.lower().str.split().map(set)).explode("word")
    counts = pd.crosstab(of_word["word"], of_word["label"]).reindex(columns=[0, 1], fill_value=0)
    shares = counts / statements["label"].value_counts().reindex([0, 1]).clip(lower=1)
    is_toxic = (shares[1] >= 2 * shares[0])[counts.sum(axis=1) >= 5].astype(float)
    words = words.assign(value=words["token"].str.strip().str.lower().map(is_toxic)).dropna(subset=["value"])
    sides = words.groupby(["kind", "share", "seed", "arm", "side"])["value"].mean().unstack()
    if not {"top", "bottom"} <= set(sides):
        return None
    rows = (sides["top"] - sides["bottom"]).rename("value").reset_index()
    arms = {arm: values for arm, values in toxic(by_arm(rows)).items() if arm != CLEAN}
    return mean_plain(arms, +1, 10.0, end=1.0, factor=100)


def _toy(setting: str) -> Build:
    def build(raw: Raw, scope: Scope) -> Test | None:
        rows = raw.frame(
            "SELECT r.share, r.seed, m.rare_absolute - m.control_absolute AS excess FROM toy_run r"
            " JOIN toy_measure m ON m.run_id = r.id JOIN toy_experiment e ON e.id = r.experiment_id"
            " WHERE e.hash = :hash AND m.probe = 'means' AND m.network = 'trained'",
            hash=parse_config({"setting": setting}).hash,
        )
        seeds = max(10, int((raw.config.get("toy") or {}).get("seeds", 0)))
        rows = rows[rows["seed"] < seeds]
        low = rows[rows["share"] <= 0.01].groupby("seed")["excess"].mean()
        differences = (low - rows[rows["share"] == 1].groupby("seed")["excess"].mean()).dropna().to_numpy()
        mean = effect([plain(differences)], [1]) if len(differences) else None
        return mean and Test(mean, +1, 0.03, [Effect(2.0, mean.few, mean.few_df, mean.many, mean.many_df, 2)])

    return build


def _attacks(raw: Raw, kind: str) -> tuple[pd.DataFrame, str | None]:
    """Attacks of a kind, and the key of the strongest ITI among them: largest cost, else strength."""
    joins = "JOIN condition k ON k.id = t.condition_id"
    columns = (
        "t.id AS attack, t.setting, t.budget, k.key, k.method, k.direction_method, k.matched_cost, k.strength"
    )
    rows = raw.of_checkpoints("attack", columns, f"AND t.kind = '{kind}'", joins).dropna(subset=["arm"])
    iti = rows[(rows["method"] == "iti") & (rows["direction_method"] == main_direction(raw))]
    for column in ("matched_cost", "strength"):
        if iti[column].notna().any():
            return rows, str(iti.sort_values([column, "key"]).dropna(subset=[column])["key"].iloc[-1])
    return rows, None


def _trials(raw: Raw) -> tuple[ByArm, ByArm]:
    """Successes of GCG by goal: under the strongest steering attacked, and unsteered."""
    attacks, key = _attacks(raw, "suffix")
    trials = raw.frame("SELECT attack_id AS attack, goal, success AS value FROM attack_trial")
    rows = trials.astype({"value": float}).merge(attacks[attacks["setting"] == "gcg"], on="attack")
    steered, unsteered = (by_arm(rows[rows["key"] == k], "goal") for k in (key, "none"))
    return toxic(steered), unsteered


def _suffix_dose(raw: Raw, scope: Scope) -> Test | None:
    arms = _trials(raw)[0]
    return odds_less(arms, _pair(arms, "dose"), -1)


def attack_numbers(raw: Raw, kind: str, name: str, setting: str | None = None) -> tuple[ByArm, ByArm]:
    """A number of an attack, mean over settings: under the strongest steering attacked, and unsteered."""
    attacks, key = _attacks(raw, kind)
    outcomes = raw.frame(
        "SELECT attack_id AS attack, value FROM attack_outcome WHERE name = :name", name=name
    )
    rows = outcomes.merge(attacks, on="attack")
    rows = rows if setting is None else rows[rows["setting"] == setting]
    if kind == "relearn":  # beyond the budget counts as the budget
        rows = rows.assign(value=rows["value"].astype(float).fillna(rows["budget"].astype(float)))
    steered, unsteered = (by_arm(rows[rows["key"] == k]) for k in (key, "none"))
    return steered, unsteered


def _steered_dose(kind: str, name: str, sesoi: float, end: float | None) -> Build:
    return lambda raw, scope: plain_less(
        toxic(attack_numbers(raw, kind, name)[0]), "dose", +1, sesoi, end=end
    )


def steered_change(raw: Raw, kind: str, name: str, setting: str | None = None) -> ByArm:
    steered, unsteered = attack_numbers(raw, kind, name, setting)
    alike = [a for a in toxic(steered) if a in unsteered and unsteered[a].shape == steered[a].shape]
    return {arm: steered[arm] - unsteered[arm] for arm in alike}


def _relearning(raw: Raw, scope: Scope) -> Test | None:
    budget = float(_attacks(raw, "relearn")[0]["budget"].max())
    return _steered_dose("relearn", "steps", 1.0, budget)(raw, scope)


def _rounding(raw: Raw, scope: Scope) -> Test | None:
    return mean_plain(toxic(attack_numbers(raw, "quantised", "toxicity_change", "int4")[0]), 0, 3.0, end=None)


def sampling(raw: Raw) -> dict[str, Test]:
    """Of each temperature and top-p, what steering changes."""
    settings = sorted(set(_attacks(raw, "sampling")[0]["setting"]))
    tests = {}
    for setting in settings:
        changes = steered_change(raw, "sampling", "toxicity", setting)
        unsteered = attack_numbers(raw, "sampling", "toxicity", setting)[1]
        ends = {arm: -float(unsteered[arm].mean()) for arm in changes}
        tests[setting] = mean_plain(changes, -1, -3.0, end=ends)
    return {setting: test for setting, test in tests.items() if test}


def scorers_z(raw: Raw, prompt_set: str) -> np.ndarray | None:
    """Fisher's z of each seed's rank correlation of two scorers over arms and conditions."""
    scores = raw.scores[(raw.scores["prompt_set"] == prompt_set) & (raw.scores["measures"] == "toxicity")]
    names = sorted(set(scores["scorer"]))[:2]
    keys = sorted({key for key, p, s in raw._grids if p == prompt_set and s == (names or [""])[0]})
    pairs: dict[int, list[tuple[float, float]]] = {}
    for key in keys:
        grids = [raw.grids(key, prompt_set, name) for name in names]
        for arm in (a for a in grids[0] if len(grids) > 1 and a in grids[1]):
            for seed, pair in enumerate(zip(*(np.nanmean(grid[arm], axis=1) for grid in grids), strict=True)):
                pairs.setdefault(seed, []).append(pair)
    arrays = [np.array(p).T for p in pairs.values() if len(p) >= 5]
    if not arrays or any(np.ptp(side) == 0 for array in arrays for side in array):
        return None
    rhos = [stats.spearmanr(*array).statistic for array in arrays]
    return np.arctanh(np.clip(rhos, -0.9999, 0.9999))


SCORED: dict[str, Build] = {
    "C4-matched-10": _dose(middle), "C4-fixed-10": _dose(strongest), "C4-base": _base, "C4-steer": _steer,
    "C4-random": _null("random"), "C4-covariance": _null("covariance"), "C4-permuted": _null("permuted"),
    "C4-sign": _sign, "R-control": _control(False), "R-control-steered": _control(True),
    "R-relative": _relative, "R-directions": _directions, "R-slung": _slung,
    **{f"C4-vs-{name}": _rival(name) for name in ("prompt", "sft", "dpo", "meda", "inst")},
}  # fmt: skip
OF_STUDY: dict[str, Build] = {
    "C1-literal": _toy("literal"), "C1-disjoint": _toy("disjoint"),
    "C2-cross-entropy": lambda raw, scope: plain_less(metric(raw, "cross_entropy"), "largest", 0, 0.05),
    "C2-minimal-pairs": _capability("blimp", "minimal_pairs"), "C2-multiple-choice": _capability("mcq"),
    "C2-detection": _detection, "C3-words": _words, "R-selectivity": _selectivity, "R-entangled": _entangled,
    "R-gain-embeddings": _gain("embeddings", "all"), "R-gain-step-0": _gain("untrained", "all"),
    "R-gain-same-words": _gain("words", "matched"),
    "C3-mean": lambda raw, scope: Test(*t) if (t := accuracy_effect(raw, "mean")) else None,
    "C3-tail": lambda raw, scope: Test(*t) if (t := accuracy_effect(raw, "p90")) else None,
    "C5-steer": lambda raw, scope: mean_change(*_trials(raw), -1), "C5-10": _suffix_dose,
    "R-relearn": _relearning,
    "R-long": _steered_dose("long", "drift", 3.0, 100.0),
    "R-injection": lambda raw, scope: mean_plain(
        steered_change(raw, "injection", "toxicity_change"), +1, 3.0, end=100.0),
    "R-drift": lambda raw, scope: mean_plain(steered_change(raw, "long", "drift"), +1, 3.0, end=100.0),
    "R-rounding": _rounding,
}  # fmt: skip
