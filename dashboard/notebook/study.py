"""A study in a notebook: every view as a DataFrame with the columns its chart takes, and the charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from hormesis.dashboard.base.progress import Progress, summarise
from hormesis.dashboard.base.selection import (
    EVERY,
    FIXED,
    MATCHED,
    by_size,
    in_view,
    of_dose,
    options,
)
from hormesis.dashboard.base.verdicts import HEADLINE, NO_DATA, fits_of, in_scope, verdict_table
from hormesis.dashboard.notebook.charts import (
    CHARTS,
    ChartError,
    ChartName,
    chart,
    named,
    no_option,
    options_of,
)
from hormesis.dashboard.notebook.geometry_views import GeometryViews
from hormesis.dashboard.notebook.robustness_views import RobustnessViews
from hormesis.dashboard.notebook.study_rows import NoSuchRows, choice
from hormesis.db import read
from hormesis.db.display import Texts

EVERY_ROW = 2**31 - 1
VIEWS = {"matched cost": MATCHED, "fixed strength": FIXED, "all": EVERY}


@dataclass(frozen=True, repr=False, eq=False)
class Study(GeometryViews, RobustnessViews):
    """A study as its database holds it now. Each view is a method that gives a DataFrame.

    Made by `Database.study`. Views read anew at each call, so those of a running study grow; a view without
    rows is an empty DataFrame. All raise DatabaseProblem (one sentence) where the database has gone, and
    NoSuchRows for a checkpoint, metric, prompt set or scorer that the study does not have.
    """

    # What it is

    def _title(self) -> str:
        return f"Study {self.name} ({self.hash})"

    def _properties(self) -> dict[str, str]:
        arms, progress = self.arms(), self.progress()
        state = "finished" if progress.finished else f"{progress.done} of {progress.stages} stages done"
        seeds = arms["seed"].nunique()
        return {
            "scale": self.scale,
            "state": state,
            "arms": f"{len(arms)}, {seeds} seed{'' if seeds == 1 else 's'}",
            "checkpoints": f"{len(self.checkpoints())}",
            "charts": ", ".join(CHARTS),
        }

    def _tables(self) -> Sequence[pd.DataFrame]:
        """The claims with data, the headline first, as a table; none before there are any."""
        verdicts = self.verdicts()
        decided = verdicts[verdicts["status"] != NO_DATA]
        decided = decided.sort_values("claim", key=lambda claims: claims != HEADLINE, kind="stable")
        return [verdict_table(decided)] if len(decided) else []

    def progress(self) -> Progress:
        """How far it is: stages, done, running, failed, `finished`, `active`."""
        return summarise(self.stages(), datetime.now(UTC))

    def arms(self) -> pd.DataFrame:
        """Arms by kind, share (toxic tokens / all tokens) and seed, with tokens and checkpoint_id."""
        return read.arms(self.engine, self.id)

    def stages(self) -> pd.DataFrame:
        """Every stage run with status, work done, seconds, host, packages and git revision."""
        return read.stage_runs(self.engine, self.id)

    # What was trained

    def training(self) -> pd.DataFrame:
        """Loss curves, at most 15,000 points: arm, kind, share, seed, step, tokens, losses (nats/token)."""
        return read.train_points(self.engine, self.id)

    def mixes(self) -> pd.DataFrame:
        """What each model read: a row per arm and source with kind, share, seed, documents, tokens."""
        return read.composition(self.engine, self.id)

    # What detox does, and what it costs

    def tradeoffs(
        self, metric: str = "toxicity", *, prompt_set: str | None = None, scorer: str | None = None
    ) -> pd.DataFrame:
        """A row per arm and condition, a metric and its cost: value, low, high, cost, cost_low, cost_high.

        Cost is the rise of held-out cross-entropy in nats per token; unsteered costs nothing. `gates` and
        `gate_status`: whether other losses stay within the study's bounds, as `gates()` measures them.
        prompt_set, scorer: by default the largest prompt set and the first scorer, as the pages lead with.
        """
        prompt_set, scorer = self._scope(metric, prompt_set, scorer)
        return read.summaries_with_cost(
            self.engine, self.id, name=metric, prompt_set=prompt_set, scorer=scorer
        ).reset_index(drop=True)

    def gates(self) -> pd.DataFrame:
        """What every condition loses against the unsteered models, a row per prompt set, gate and measure.

        Columns: gate, status, bound, measure, value, low, high (positive is worse), unit, n, n_seeds.
        """
        return read.gates(self.engine, self.id)

    def doses(
        self,
        metric: str = "toxicity",
        *,
        prompt_set: str | None = None,
        scorer: str | None = None,
        at: str = "matched cost",
    ) -> pd.DataFrame:
        """A metric over the share of toxic-source text, unsteered and under ITI, with the control arm.

        at: `matched cost`, `fixed strength` or `all`. Columns as `summaries`.
        """
        if at not in VIEWS:
            raise NoSuchRows(f"doses are at {', '.join(VIEWS)}, not '{at}'")
        prompt_set, scorer = self._scope(metric, prompt_set, scorer)
        table = read.summaries(self.engine, self.id, name=metric, prompt_set=prompt_set, scorer=scorer)
        return in_view(of_dose(table), VIEWS[at]).reset_index(drop=True)

    def fits(self, *, prompt_set: str | None = None, scorer: str | None = None) -> pd.DataFrame:
        """Fits of toxicity over the share, a row per steered condition: status, optimum, p, curve, label."""
        prompt_set, scorer = self._scope("toxicity", prompt_set, scorer)
        doses = self.doses(prompt_set=prompt_set, scorer=scorer, at="all")
        return fits_of(doses, read.dose_fits(self.engine, self.id), prompt_set, scorer=scorer)

    def verdicts(self, *, prompt_set: str | None = None, scorer: str | None = None) -> pd.DataFrame:
        """Claims put to the rows: claim, statement, status, value, low, high, unit, p, p_holm, detectable, n.

        The rule of each stands in `hormesis.pipeline.claims`; empty before the first arms are scored.
        """
        choices = read.summary_choices(self.engine, self.id)
        if "toxicity" in set(choices["name"]):
            prompt_set, scorer = self._scope("toxicity", prompt_set, scorer)
        return in_scope(read.verdicts(self.engine, self.id), prompt_set, scorer).reset_index(drop=True)

    def _scope(
        self, metric: str, prompt_set: str | None, scorer: str | None
    ) -> tuple[str | None, str | None]:
        """The prompt set and scorer that a metric is looked at by. Raises NoSuchRows for unknown ones."""
        choices = read.summary_choices(self.engine, self.id)
        of_metric = choices[choices["name"] == metric]
        if of_metric.empty:
            raise NoSuchRows(
                f"no metric '{metric}' (metrics: {', '.join(options(choices['name'])) or 'none'})"
            )
        prompt_set = choice("prompt set", prompt_set, by_size(of_metric))
        of_prompts = of_metric[of_metric["prompt_set"] == prompt_set] if prompt_set else of_metric
        return prompt_set, choice("scorer", scorer, options(of_prompts["scorer"]))

    # What was said

    def conditions(self, checkpoint: str) -> pd.DataFrame:
        """Conditions of a checkpoint: condition (key), method, strength (sigmas), matched_cost, n_heads."""
        return read.conditions(self.engine, int(self._checkpoint(checkpoint)["id"]))

    def numbers(self, checkpoint: str) -> pd.DataFrame:
        """Every number of a checkpoint: condition, prompt_set, scorer, name, value, low, high, n, unit."""
        return read.checkpoint_metrics(self.engine, int(self._checkpoint(checkpoint)["id"]))

    def generations(
        self,
        checkpoint: str,
        condition: str = "none",
        *,
        prompt_set: str | None = None,
        scorer: str | None = None,
    ) -> Texts:
        """What a checkpoint said under a condition; hidden until opened.

        `.frame`: prompt, text, sample, tokens, finished, score (of the scorer, 0 to 1; higher is more toxic).
        """
        prompt_set, scorer = self._scope("toxicity", prompt_set, scorer)
        table = self.conditions(checkpoint)
        of_key = table[table["condition"] == condition]
        if of_key.empty:
            raise NoSuchRows(f"no condition '{condition}' (conditions: {', '.join(table['condition'])})")
        sets, scorers = read.prompt_sets(self.engine, self.id), read.scorers(self.engine, self.id)
        rows = read.generations(
            self.engine,
            int(of_key["condition_id"].iloc[0]),
            int(sets.loc[sets["name"] == prompt_set, "id"].iloc[-1]),
            scorer_id=int(scorers.loc[scorers["name"] == scorer, "id"].iloc[-1]),
        )
        return Texts(f"{checkpoint}, {condition}, {prompt_set}, {scorer}", rows)

    def statements(self) -> Texts:
        """The labelled statements that heads are probed with, in an order that says nothing of them.

        `.frame`: id, text, label (1 toxic), group, source, score, split (`train`, `select`, `test`).
        """
        sets = read.probe_sets(self.engine, self.id)
        if sets.empty:
            raise NoSuchRows(f"study {self.name} has no labelled statements yet")
        rows = read.examples(self.engine, int(sets["id"].iloc[0]), size=EVERY_ROW)
        return Texts(f"Statements of {sets['name'].iloc[0]}", rows.drop(columns="key"))

    def scores(
        self, *, prompt_set: str | None = None, scorer: str | None = None, bins: int = 20
    ) -> pd.DataFrame:
        """Scores of unsteered texts in equal bins from 0 to 1: kind, share, low, high, count."""
        prompt_set, scorer = self._scope("toxicity", prompt_set, scorer)
        sets = read.prompt_sets(self.engine, self.id)
        set_id = int(sets.loc[sets["name"] == prompt_set, "id"].iloc[-1])
        return read.score_histogram(self.engine, self.id, set_id, scorer=str(scorer), bins=bins)

    def scorer_groups(self) -> pd.DataFrame:
        """How each scorer judges statements that are not toxic, by the group that they mention.

        Columns: scorer, group, n, rate (above 0.5), score, ratio to the other groups, each with its interval;
        null_low, null_median, null_high of the largest ratio among permuted groups; p.
        """
        return read.scorer_groups(self.engine, self.id)

    # Charts

    def chart(
        self, name: ChartName, rows: pd.DataFrame | None = None, *, dark: bool = False, **settings: Any
    ) -> go.Figure:
        """A chart of the dashboard as a Plotly figure.

        rows: of the view of the same name, for instance filtered; by default all that `study.NAME()` gives.
        dark: for a dark page. settings: options of the view (`metric=`, `checkpoint=`, ...) and of the chart
        (`logarithmic=`, `measure=`, ...). Raises ChartError for a name or setting there is none of and where
        the view has no rows, and NoSuchRows as the view does.
        """
        draw, view = named(name), getattr(self, name)
        view_options, chart_options = options_of(view), options_of(draw)
        unknown = set(settings) - {*view_options, *chart_options}
        if unknown:
            raise ChartError(no_option(name, min(unknown), dict.fromkeys([*view_options, *chart_options])))
        if rows is None:
            rows = view(**{key: value for key, value in settings.items() if key in view_options})
        if rows is None or rows.empty:
            raise ChartError(f"study {self.name} has no rows for the chart '{name}'")
        chosen = {key: value for key, value in settings.items() if key in chart_options}
        return chart(name, rows, dark=dark, **self._beside(name, settings), **chosen)

    def _beside(self, name: str, settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
        """Rows of another view that a chart lays over its own."""
        if name == "entanglement" and "means" not in settings:
            return {"means": self.head_statistics()}
        if name == "doses" and "fits" not in settings and settings.get("metric", "toxicity") == "toxicity":
            chosen = {key: settings[key] for key in ("prompt_set", "scorer") if key in settings}
            return {"fits": self.fits(**chosen)}
        if name == "direction_map" and "null" not in settings:
            chosen = {key: value for key, value in settings.items() if key in options_of(self.direction_map)}
            return {"null": self.direction_map(**chosen | {"null_model": "random"})}
        return {}
