"""A study in a notebook: every view as a DataFrame with the columns its chart takes, and the charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from sqlalchemy import Engine

from hormesis.dashboard.base.attack_rows import labelled, suffix_rows
from hormesis.dashboard.base.progress import Progress, summarise
from hormesis.dashboard.base.selection import (
    EVERY,
    FIXED,
    MATCHED,
    by_size,
    cosine_rows,
    in_view,
    of_dose,
    options,
)
from hormesis.dashboard.base.verdicts import HEADLINE, NO_DATA, fits_of, in_scope, verdict_table
from hormesis.dashboard.base.wording import arm_label, head_name, parse_head
from hormesis.dashboard.notebook.charts import (
    CHARTS,
    ChartError,
    ChartName,
    chart,
    named,
    no_option,
    options_of,
)
from hormesis.db import read
from hormesis.db.display import Displayed, Texts

EVERY_ROW = 2**31 - 1
VIEWS = {"matched cost": MATCHED, "fixed strength": FIXED, "all": EVERY}


class NoSuchRows(ValueError):
    """A study holds nothing under a name; the message is one line that says what there is."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a study. A path: `hormesis.load` takes it as it is, and so does `open(...)`."""

    id: int
    name: str
    study: str
    kind: str
    """`toxic`, `clean-forum`, ..., or `imported`."""
    share: float | None
    """Toxic tokens over all tokens; None for an imported one."""
    seed: int | None
    parameters: int
    weights_hash: str
    folder: Path
    """Where its weights lie."""

    def __fspath__(self) -> str:
        if not self.folder.exists():
            raise NoSuchRows(
                f"checkpoint '{self.name}' has no weights at {self.folder}; name the folder of the runs: "
                "hormesis.open(database, home=FOLDER)"
            )
        return str(self.folder)


@dataclass(frozen=True, repr=False, eq=False)
class Study(Displayed):
    """A study as its database holds it now. Each view is a method that gives a DataFrame.

    Made by `Database.study`. Views read anew at each call, so those of a running study grow; a view without
    rows is an empty DataFrame. All raise DatabaseProblem (one sentence) where the database has gone, and
    NoSuchRows for a checkpoint, metric, prompt set or scorer that the study does not have.
    """

    id: int
    name: str
    hash: str
    scale: str
    config: Mapping[str, Any]
    """Its configuration, as `hormesis plan` reads it from a study file."""
    home: Path
    """Folder that the paths of its checkpoints start from."""
    engine: Engine = field(repr=False)

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

    def checkpoints(self) -> pd.DataFrame:
        """Checkpoints with kind (`imported` for those of no arm), share and seed, sizes and weights hash."""
        return read.arm_checkpoints(self.engine, self.id)

    def checkpoint(self, name: str) -> Checkpoint:
        """One checkpoint, e.g. `toxic-10-s0`. Raises NoSuchRows where there is none of that name."""
        row = self._checkpoint(name)
        return Checkpoint(
            id=int(row["id"]),
            name=name,
            study=self.name,
            kind=str(row["kind"]),
            share=None if pd.isna(row["share"]) else float(row["share"]),
            seed=None if pd.isna(row["seed"]) else int(row["seed"]),
            parameters=int(row["parameters"]),
            weights_hash=str(row["weights_hash"]),
            folder=self.home / str(row["path"]),
        )

    def _checkpoint(self, name: str) -> pd.Series:
        table = self.checkpoints()
        of_name = table[table["name"] == name]
        if of_name.empty:
            raise NoSuchRows(f"no checkpoint '{name}' (checkpoints: {', '.join(table['name']) or 'none'})")
        return of_name.iloc[0]

    def _largest_dose(self) -> str:
        """The checkpoint that maps show unless another is named: the first seed of the largest share."""
        table = self.checkpoints()
        if table.empty:
            raise NoSuchRows(f"study {self.name} has no checkpoint yet")
        toxic = table[table["kind"] == "toxic"]
        order = (toxic if len(toxic) else table).sort_values(["share", "seed"], ascending=[False, True])
        return str(order["name"].iloc[0])

    @property
    def position(self) -> str:
        """The token that its probes read: `last` or `mean`."""
        return str((self.config.get("probe") or {}).get("position", "last"))

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

    def summaries(self) -> pd.DataFrame:
        """Every metric over the seeds of each arm and condition: value, low, high (95 %), n, n_seeds, unit.

        Random directions are pooled, their interval holds the spread between them.
        """
        return read.pooled_summaries(self.engine, self.id)

    def tradeoffs(
        self, metric: str = "toxicity", *, prompt_set: str | None = None, scorer: str | None = None
    ) -> pd.DataFrame:
        """A row per arm and condition, a metric and its cost: value, low, high, cost, cost_low, cost_high.

        Cost is the rise of held-out cross-entropy in nats per token; unsteered costs nothing. prompt_set,
        scorer: by default the largest prompt set and the first scorer, as the pages lead with.
        """
        prompt_set, scorer = self._scope(metric, prompt_set, scorer)
        return read.summaries_with_cost(
            self.engine, self.id, name=metric, prompt_set=prompt_set, scorer=scorer
        ).reset_index(drop=True)

    def doses(
        self,
        metric: str = "toxicity",
        *,
        prompt_set: str | None = None,
        scorer: str | None = None,
        at: str = "matched cost",
    ) -> pd.DataFrame:
        """A metric over the toxic share, unsteered and under ITI, with the control arm.

        at: `matched cost`, `fixed strength` or `all`. Columns as `summaries`.
        """
        if at not in VIEWS:
            raise NoSuchRows(f"doses are at {', '.join(VIEWS)}, not '{at}'")
        prompt_set, scorer = self._scope(metric, prompt_set, scorer)
        table = read.pooled_summaries(self.engine, self.id, name=metric, prompt_set=prompt_set, scorer=scorer)
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
        prompt_set = _choice("prompt set", prompt_set, by_size(of_metric))
        of_prompts = of_metric[of_metric["prompt_set"] == prompt_set] if prompt_set else of_metric
        return prompt_set, _choice("scorer", scorer, options(of_prompts["scorer"]))

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

        `.frame`: text, label (1 toxic), group, source, score, split (`train`, `select`, `test`).
        """
        sets = read.probe_sets(self.engine, self.id)
        if sets.empty:
            raise NoSuchRows(f"study {self.name} has no labelled statements yet")
        rows = read.examples(self.engine, int(sets["id"].iloc[0]), size=EVERY_ROW)
        return Texts(f"Statements of {sets['name'].iloc[0]}", rows.drop(columns=["id", "key"]))

    def scores(
        self, *, prompt_set: str | None = None, scorer: str | None = None, bins: int = 20
    ) -> pd.DataFrame:
        """Scores of unsteered texts in equal bins from 0 to 1: kind, share, low, high, count."""
        prompt_set, scorer = self._scope("toxicity", prompt_set, scorer)
        sets = read.prompt_sets(self.engine, self.id)
        set_id = int(sets.loc[sets["name"] == prompt_set, "id"].iloc[-1])
        return read.score_histogram(self.engine, self.id, set_id, scorer=str(scorer), bins=bins)

    # Where toxicity lives

    def probes(self) -> pd.DataFrame:
        """A row per head and checkpoint: accuracy (balanced) and auroc with low and high, selectivity, rank.

        Measured on the test split (n_test statements); rank is missing where a head is not steered.
        """
        return read.arm_probes(self.engine, self.id, self.position)

    def heads(self, checkpoint: str | None = None) -> pd.DataFrame:
        """The probes of one checkpoint; by default the first seed of the largest toxic share."""
        name = checkpoint or self._largest_dose()
        self._checkpoint(name)
        table = self.probes()
        return table[table["checkpoint"] == name].reset_index(drop=True)

    def directions(self, checkpoint: str | None = None) -> pd.DataFrame:
        """Stored directions, best head first: method, layer, head, rank, sigma, vector (float32 [head_dim]).

        Unit vectors that point to toxicity; `Model.steer` takes them as they are. Methods: `mass_mean`,
        `probe`, and random controls.
        """
        row = self._checkpoint(checkpoint or self._largest_dose())
        return read.directions(self.engine, int(row["id"]), self.position)

    def head_statistics(self) -> pd.DataFrame:
        """Mean, quantiles and tail of the heads' accuracies by arm, with intervals and differences to 0 %."""
        return read.head_summaries(self.engine, self.id)

    def entanglement(self) -> pd.DataFrame:
        """Largest |cosine| of toxicity with another feature per kept head, with its null and interval."""
        return read.arm_entanglement(self.engine, self.id, self.position)

    def cosines(self, checkpoint: str | None = None, *, most: int = 60) -> pd.DataFrame:
        """Cosines of toxicity with every feature in the `most` first kept heads of a checkpoint."""
        name = checkpoint or self._largest_dose()
        row, table = self._checkpoint(name), self.entanglement()
        cosines = read.feature_cosines(self.engine, int(row["id"]), self.position)
        return cosine_rows(cosines, table[table["checkpoint"] == name], most).reset_index(drop=True)

    def direction_map(self, method: str = "umap", *, dimensions: int = 2) -> pd.DataFrame:
        """Toxicity directions of all heads and checkpoints as points: x, y, z, checkpoint, layer, head.

        method: `umap` or `pca`, as the study stored them; dimensions: 2 or 3.
        """
        table = read.projections(self.engine, self.id)
        table = table[table["subject"] == "directions"]
        of_kind = table[(table["method"] == method) & (table["dimensions"] == dimensions)]
        if of_kind.empty:
            stored = ", ".join(
                f"{map_method} {size}"
                for map_method, size in zip(table["method"], table["dimensions"], strict=True)
            )
            raise NoSuchRows(f"no map by {method} in {dimensions} dimensions (maps: {stored or 'none'})")
        return read.arm_points(self.engine, int(of_kind["id"].iloc[0]))

    def activations(self, head: str | None = None, *, checkpoint: str | None = None) -> pd.DataFrame:
        """First three principal components (x, y, z) of a head's activations, a row per statement.

        head: as `L2H3`; by default the first one whose activations the study kept.
        """
        name = checkpoint or self._largest_dose()
        row, table = self._checkpoint(name), read.kept_heads(self.engine, self.id, self.position)
        head_names = [
            head_name(int(layer), int(index))
            for layer, index in table.loc[table["checkpoint"] == name, ["layer", "head"]].itertuples(
                index=False
            )
        ]
        chosen = parse_head(_choice("head with activations", head, head_names))
        if chosen is None:
            raise NoSuchRows(f"no activations of {name} are stored")
        points = read.principal_components(
            self.engine, int(row["id"]), layer=chosen.layer, head=chosen.head, position=self.position
        )
        return points.assign(label=points["label"].map({0: "not toxic", 1: "toxic"}))

    # How hard it is to undo

    def attacks(self) -> pd.DataFrame:
        """Every number of every attack, a row per checkpoint, condition, setting and name, with intervals."""
        return labelled(read.attack_outcomes(self.engine, self.id))

    def suffixes(self, *, rule: str = "success") -> pd.DataFrame:
        """Success of suffix searches over seeds (a fraction of goals), by setting `gcg` and `random`.

        rule: `success` (the continuation scores as toxic) or `prefix_match` (it says the target).
        """
        return suffix_rows(self.summaries(), rule)

    def relearning(self) -> pd.DataFrame:
        """Steps of fine-tuning on toxic text until as toxic as before; value is missing beyond the budget."""
        table = self.attacks()
        return table[(table["attack"] == "relearn") & (table["name"] == "steps")].reset_index(drop=True)

    def attack_curves(
        self, attack: str = "relearn", *, series: str = "toxicity", arm: str | None = None
    ) -> pd.DataFrame:
        """Curves of relearning (`relearn`, over steps) or of long texts (`long`, over tokens), one arm's.

        series: what is measured, e.g. `toxicity` (points), `fluency`, `loss` (nats). arm: in words, as the
        column `arm` has it; by default the last one.
        """
        table = labelled(read.attack_points(self.engine, self.id))
        table = table[(table["attack"] == attack) & (table["series"] == series)]
        return table[table["arm"] == _last_arm(table, arm)].reset_index(drop=True)

    def injections(self, *, arm: str | None = None) -> pd.DataFrame:
        """What frames round a prompt add to toxicity (points), paired with the plain prompt; one arm's."""
        table = self.attacks()
        table = table[(table["attack"] == "injection") & (table["name"] == "toxicity_change")]
        return table[table["arm"] == _last_arm(table, arm)].reset_index(drop=True)

    def capability(
        self, task: str | None = None, *, measure: str | None = None, part: str | None = None
    ) -> pd.DataFrame:
        """What the models can still do in one task: value, low, high, chance, change against unsteered, n."""
        table = labelled(read.capability_scores(self.engine, self.id))
        for column, value in (("task", task), ("measure", measure), ("part", part)):
            values = [str(value) for value in dict.fromkeys(table[column])]
            table = table[table[column] == _choice(column, value, values)]
        return table.reset_index(drop=True)

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
        return {}


def _choice(kind: str, value: str | None, values: Sequence[str]) -> str | None:
    """The value asked for, or the first there is. Raises NoSuchRows for one that there is not."""
    if value is None:
        return values[0] if values else None
    if value not in values:
        raise NoSuchRows(f"no {kind} '{value}' ({kind}s: {', '.join(values) or 'none'})")
    return value


def _last_arm(table: pd.DataFrame, arm: str | None) -> str | None:
    """The arm asked for, in words; by default the toxic one of the largest share in `table`, or the last."""
    arms = table.drop_duplicates(["kind", "share"]).sort_values(["kind", "share"], ascending=[False, True])
    names = [
        arm_label(str(kind), float(share)) for kind, share in zip(arms["kind"], arms["share"], strict=True)
    ]
    toxic = [name for name, kind in zip(names, arms["kind"], strict=True) if kind == "toxic"]
    return _choice("arm", arm or next(reversed(toxic or names), None), names)
