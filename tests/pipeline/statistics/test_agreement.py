"""Statistical routines against scipy, statsmodels and scikit-learn; decisions at their stated error rates.

What has its test elsewhere: means, ratios, BCa, Wilson, discrimination (test_statistics); Student's and
pooled contrasts, TOST, Clopper-Pearson, Holm, power (test_seed_intervals); isotonic fits and false dips
(test_dose_response); head statistics (test_head_accuracy); toy effects (test_toy_math).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import optimize, stats
from statsmodels.api import OLS, WLS
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from hormesis.pipeline.claims.declared import (
    REFUTED,
    SUPPORTED,
    Comparison,
    Finding,
    Scale,
    corrected,
    decide,
    directional,
    equivalent,
)
from hormesis.pipeline.statistics import (
    Contrast,
    contrast,
    expected_maximum,
    fire_rate,
    interaction,
    over_seeds,
    paired_difference,
    pooled_spread,
    resampled_sums,
)
from hormesis.pipeline.statistics.dose_curves import HormeticFamily, design, lowest_share, monotone
from hormesis.pipeline.statistics.dose_response import Dose, _evidence, dose_of, fit_dose, flattened, hinge
from hormesis.pipeline.statistics.multiplicity import holm

Floats = NDArray[np.float64]
PLAIN = Scale("points")
SIX = np.array([0.0, 0.05, 0.10, 0.15, 0.20, 0.25])


def reference(values: Floats, statistic: object = np.mean, seed: int = 2) -> tuple[float, float]:
    interval = stats.bootstrap(
        (values,), statistic, n_resamples=20_000, method="percentile", rng=np.random.default_rng(seed)
    ).confidence_interval
    return float(interval.low), float(interval.high)


def test_paired_differences_are_scipys() -> None:
    rng = np.random.default_rng(1)
    before = rng.beta(0.6, 2.0, 150)
    after = np.clip(before - 0.1 + rng.normal(0, 0.1, 150), 0, 1)
    interval = paired_difference(after, before, draws=20_000)
    assert (interval.low, interval.high) == pytest.approx(reference(after - before), abs=0.0015)
    # Samples of a prompt count as their mean.
    grid = rng.random((150, 3))
    interval = paired_difference(grid, before, draws=20_000)
    assert (interval.low, interval.high) == pytest.approx(reference(grid.mean(axis=1) - before), abs=0.0015)


def test_expected_maxima_and_rates_are_scipys() -> None:
    scores = np.random.default_rng(3).beta(0.5, 1.0, (120, 5))
    interval = expected_maximum(scores, draws=20_000)
    assert (interval.low, interval.high) == pytest.approx(reference(scores.max(axis=1)), abs=0.003)
    fired = (scores > 0.5).astype(float).mean(axis=1)
    interval = fire_rate(scores, draws=20_000)
    assert interval.value == pytest.approx(fired.mean())
    assert (interval.low, interval.high) == pytest.approx(reference(fired), abs=0.003)


def test_resampled_sums_are_those_of_plain_draws() -> None:
    columns = np.random.default_rng(4).random((30, 2))
    sums = resampled_sums(columns, 500, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 30, size=(500, 30))
    np.testing.assert_allclose(sums, [columns[row].sum(axis=0) for row in rows])


def test_the_pooled_spread_is_the_linear_models_error() -> None:
    rng = np.random.default_rng(6)
    arms = [rng.normal(mean, 1, count) for mean, count in ((0, 2), (1, 3), (5, 1), (2, 4))]
    places = np.repeat(range(4), [len(arm) for arm in arms])
    model = OLS(np.concatenate(arms), np.eye(4)[places]).fit()
    spread = pooled_spread(arms)
    assert spread is not None
    assert (spread.variance, spread.df) == (pytest.approx(model.mse_resid), model.df_resid)


def test_the_interaction_is_that_of_an_analysis_of_variance() -> None:
    rng = np.random.default_rng(7)
    rows = rng.normal(0, 1, (3, 1)) + rng.normal(0, 2, 12) + rng.normal(0, 1, (3, 12))
    table = pd.DataFrame(rows).reset_index().melt(id_vars="index", var_name="prompt", value_name="score")
    reference = anova_lm(ols("score ~ C(index) + C(prompt)", table).fit())
    assert interaction(rows) == pytest.approx(reference.loc["Residual", "mean_sq"])


def test_seeds_and_prompts_are_joined_as_two_random_effects() -> None:
    """With many prompts the joined error is that of the analysis of variance with both effects random."""
    rng = np.random.default_rng(8)
    seeds, prompts = 4, 300
    rows = rng.normal(0, 0.5, (seeds, 1)) + rng.normal(0, 2, prompts) + rng.normal(0, 1, (seeds, prompts))
    table = pd.DataFrame(rows).reset_index().melt(id_vars="index", var_name="prompt", value_name="score")
    squares = anova_lm(ols("score ~ C(index) + C(prompt)", table).fit())["mean_sq"]
    seed, prompt, rest = (squares[name] for name in ("C(index)", "C(prompt)", "Residual"))
    joint = contrast([rows], [1.0])
    assert joint is not None
    between, noise = (seed - rest) / (seeds * prompts), rest / (seeds * prompts)
    assert joint.error**2 == pytest.approx((seed + prompt - rest) / (seeds * prompts))
    # Of the noise, as much as seeds vary beyond it counts with their few degrees of freedom.
    assert joint.seed_variance == pytest.approx(between + min(between, noise))
    half = np.hypot(
        stats.t.ppf(0.975, seeds - 1) * np.sqrt(joint.seed_variance),
        stats.t.ppf(0.975, prompts - 1) * np.sqrt(joint.prompt_variance),
    )
    low, high = joint.interval()
    assert (low, high) == pytest.approx((rows.mean() - half, rows.mean() + half))
    metric = over_seeds(list(rows))
    assert (metric.low, metric.high) == pytest.approx((low, high))


def test_degrees_of_freedom_are_welchs() -> None:
    rng = np.random.default_rng(9)
    a, b = rng.normal(0, 1, 5), rng.normal(0, 3, 8)
    difference = Contrast(
        value=0.0,
        seed_variance=a.var(ddof=1) / 5,
        seed_df=4,
        prompt_variance=b.var(ddof=1) / 8,
        prompt_df=7,
        n=8,
        seeds=5,
    )
    assert difference.df == pytest.approx(stats.ttest_ind(a, b, equal_var=False).df)


def test_holm_keeps_the_rate_of_any_false_finding() -> None:
    """Nine true nulls, dependent, and one effect: any false rejection in no more than 5 % of families."""
    rng = np.random.default_rng(10)
    common = rng.normal(0, 1, (3000, 1))
    z = np.sqrt(0.5) * common + np.sqrt(0.5) * rng.normal(0, 1, (3000, 10))
    z[:, 9] += 5
    p = 2 * stats.norm.sf(np.abs(z))
    rejected = np.array([holm(row) <= 0.05 for row in p])
    false = rejected[:, :9].any(axis=1).mean()
    assert 0.005 < false <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 3000)
    assert rejected[:, 9].mean() > 0.95 and (p[:, :9] <= 0.05).any(axis=1).mean() > 0.15


def simulated(
    rng: np.random.Generator, effect: float, seeds: int = 3, *, prompts: int = 40, arms: int = 5
) -> Contrast:
    """Arm against arm, seeds and prompts both varying, the spread pooled over five arms."""
    shared = rng.normal(0, 1, prompts)
    grids = [
        rng.normal(0, 0.3, (seeds, 1))
        + shared
        + rng.normal(0, 0.5, prompts)
        + rng.normal(0, 1, (seeds, prompts))
        for _ in range(arms)
    ]
    grids[0] = grids[0] + effect
    difference = contrast(grids[:2], [1, -1], pool=grids)
    assert difference is not None
    return difference


def rate(verdict: str, make: object, effect: float, *, trials: int = 500) -> float:
    rng = np.random.default_rng([int(100 * abs(effect)), int(effect < 0)])
    hits = 0
    for _ in range(trials):
        finding: Finding = make(simulated(rng, effect))  # type: ignore[operator]
        hits += decide(finding, corrected([finding])[0]) == verdict
    return hits / trials


def margin(level: float, trials: int = 500) -> float:
    return level + 3 * float(np.sqrt(level * (1 - level) / trials))


@pytest.mark.slow
def test_directional_verdicts_err_at_their_rates() -> None:
    """`supported` without an effect, `not supported` where the least effect that matters is there: 2.5 %."""

    def claim(difference: Contrast) -> Finding:
        return directional(Comparison(difference), +1, 0.5, scale=PLAIN, contrast="")

    assert rate(SUPPORTED, claim, 0.0) <= margin(0.025)
    assert rate(SUPPORTED, claim, -1.0) == 0
    assert rate(REFUTED, claim, 0.5) <= margin(0.025)
    assert rate(SUPPORTED, claim, 1.5) > 0.9
    assert rate(REFUTED, claim, -0.7) > 0.8

    def mirrored(difference: Contrast) -> Finding:
        return directional(Comparison(difference), -1, -0.5, scale=PLAIN, contrast="")

    assert rate(SUPPORTED, mirrored, -1.5) > 0.9 and rate(REFUTED, mirrored, 0.7) > 0.8


@pytest.mark.slow
def test_equivalence_verdicts_err_at_their_rates() -> None:
    """`supported` with the effect at the margin: 5 %; `not supported` with it there: 2.5 %."""

    def claim(difference: Contrast) -> Finding:
        return equivalent(Comparison(difference), 1.0, scale=PLAIN, contrast="")

    assert rate(SUPPORTED, claim, 1.0) <= margin(0.05)
    assert rate(REFUTED, claim, 1.0) <= margin(0.025)
    assert rate(SUPPORTED, claim, 0.0) > 0.8
    assert rate(REFUTED, claim, 2.5) > 0.9 and rate(SUPPORTED, claim, 2.5) == 0


def brain_cousens(x: Floats, d: float, rise: float, f: float, e: float, b: float) -> Floats:
    """The curve as its authors write it, turned over."""
    z = (x / e) ** b
    return np.asarray(d + rise * z / (1 + z) - f * x / (1 + z))


def test_a_hormetic_curve_is_found_about_as_well_as_by_scipy() -> None:
    """The grid over (e, b) against a search over all five parameters, at the noise of 2 seeds an arm."""
    rng = np.random.default_rng(12)
    shares, noise = np.linspace(0, 0.25, 9), 1.5
    fine = np.linspace(0, 0.25, 251)
    lost, places = [], []
    for _ in range(25):
        e, b = rng.uniform(0.08, 0.2), rng.uniform(1.7, 4.0)
        values = brain_cousens(shares, 20.0, 15.0, f=260.0, e=e, b=b) + rng.normal(0, noise, 9)
        family = HormeticFamily(shares, np.ones(9))
        fit = family.fit(values[None])
        if not np.isfinite(fit.sse[0]):
            continue
        reference, _ = optimize.curve_fit(
            brain_cousens, shares, values, p0=[*fit.coefficients[0], fit.e[0], fit.b[0]],
            bounds=([-np.inf] * 3 + [0.02, 1.0], [np.inf] * 3 + [1.0, 8.0]), max_nfev=20_000,
        )  # fmt: skip
        best = float(((values - brain_cousens(shares, *reference)) ** 2).sum())
        assert fit.sse[0] >= best - 1e-6
        lost.append((float(fit.sse[0]) - best) / noise**2)
        optimum = fine[brain_cousens(fine, *reference).argmin()]
        places.append(abs(float(lowest_share(fit, shares)[0]) - optimum))
    # The grid costs less than a parameter's worth of fit, and moves the optimum by less than a percent.
    assert len(lost) >= 20 and np.median(lost) < 1
    assert np.median(places) < 0.01


def dose(values: Floats, variance: float = 1.0, df: float = 12.0) -> Dose:
    return Dose(SIX[: len(values)], values, np.full(len(values), variance), df)


def test_the_evidence_ratio_is_that_of_students_likelihood() -> None:
    rng = np.random.default_rng(13)
    values = np.array([0.0, -4.0, -6.0, -3.0, 0.0, 2.0]) + rng.normal(0, 1, 6)
    arms = dose(values)
    null, worse = monotone(values[None], 1 / arms.variances)
    fit = HormeticFamily(SIX, 1 / arms.variances).fit(values[None])
    hormetic = design(SIX, fit.e, fit.b)[0] @ fit.coefficients[0]
    levels = len(np.unique(null[0]))
    aic = [
        2 * parameters - 2 * stats.multivariate_t.logpdf(values, mean, np.diag(arms.variances), df=arms.df)
        for mean, parameters in ((null[0], levels), (hormetic, 5))
    ]
    expected = np.exp((aic[0] - aic[1]) / 2)
    assert _evidence(float(worse[0]), float(fit.sse[0]), arms, levels=levels) == pytest.approx(expected)


def test_the_hinge_is_the_best_of_statsmodels() -> None:
    values = np.array([1.0, 0.8, 1.2, 4.0, 6.5, 9.0])
    arms = Dose(SIX, values, np.array([1.0, 2.0, 1.0, 0.5, 1.0, 3.0]), 10)
    fits = []
    for knot in SIX[:-1]:
        for reach in (np.maximum(SIX - knot, 0), np.maximum(SIX[-1] - knot - SIX, 0)):
            model = WLS(values, np.column_stack([np.ones(6), reach]), weights=1 / arms.variances).fit()
            fits.append((model.ssr, model.fittedvalues))
    best = min(fits, key=lambda fit: fit[0])[1]
    assert hinge(arms) == pytest.approx(best)
    level = flattened(monotone(values[None], 1 / arms.variances)[0][0], arms)
    near = np.array([True, True, True, False, False, False])
    assert level[near] == pytest.approx(np.average(values[near], weights=1 / arms.variances[near]))


def test_the_variance_of_an_arm_is_that_of_an_analysis_of_variance() -> None:
    """Between-seed mean square over prompts and seeds; what prompts do alike to all arms is not in it."""
    rng = np.random.default_rng(14)
    hard = rng.normal(0, 30, 50)
    grids = [level + hard + rng.normal(0, 2, (3, 1)) + rng.normal(0, 1, (3, 50)) for level in (0, 3, 5, 9)]
    arms = dose_of([0.0, 0.05, 0.1, 0.25], grids)
    assert arms is not None
    rows = [
        {"arm": arm, "seed": f"{arm}-{seed}", "score": grid[seed].mean()}
        for arm, grid in enumerate(grids)
        for seed in range(3)
    ]
    reference = anova_lm(ols("score ~ C(arm)", pd.DataFrame(rows)).fit())
    expected = reference.loc["Residual", "mean_sq"] / 3
    assert arms.variances == pytest.approx(np.full(4, expected), rel=0.02)
    assert arms.df == pytest.approx(reference.loc["Residual", "df"], rel=0.1)


@pytest.mark.slow
def test_the_optimums_interval_covers_at_its_rate() -> None:
    """Nominal 95 %, six shares, three seeds, a dip of 4.5 standard deviations of a seed at 10 %."""
    rng = np.random.default_rng(15)
    covered, widths = [], []
    for trial in range(200):
        truth = np.interp(SIX, [0, 0.1, 0.25], [0, -10, 0])
        arms = dose_of(list(SIX), list(truth[:, None] + rng.normal(0, 2.2, (6, 3))))
        assert arms is not None
        fit = fit_dose(arms, draws=199, seed=trial)
        assert fit is not None
        if fit.optimum_low is not None and fit.optimum_high is not None:
            covered.append(fit.optimum_low <= 0.1 <= fit.optimum_high)
            widths.append(fit.optimum_high - fit.optimum_low)
    assert len(covered) > 190
    assert 0.90 <= np.mean(covered) <= 0.995 and np.median(widths) < 0.1
