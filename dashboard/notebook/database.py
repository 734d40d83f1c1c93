"""A study database in a notebook, opened to be read and never upgraded: its studies, the toy experiment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from sqlalchemy import Engine

from hormesis.dashboard.base.study_names import NoSuchStudy, study_place
from hormesis.dashboard.base.toy_rows import PROBES, SETTINGS, forest_rows, labelled_experiments
from hormesis.dashboard.charts import toy as charts
from hormesis.dashboard.notebook.charts import ChartError
from hormesis.dashboard.notebook.study import Study
from hormesis.dashboard.notebook.study_rows import Checkpoint, NoSuchRows
from hormesis.db import location, read
from hormesis.db.address import sqlite_path
from hormesis.db.display import Displayed
from hormesis.db.engine import open_reader
from hormesis.db.problems import name_of, parse_url


def open_database(
    database: str | os.PathLike[str] | None = None, *, home: str | os.PathLike[str] | None = None
) -> Database:
    """Open a study database to read it; nothing is created, locked or upgraded.

    database: path of a SQLite file, or of the folder of runs that holds it, or any SQLAlchemy URL; None is
    `HORMESIS_DB`, else `hormesis.sqlite` under `HORMESIS_HOME` (default `./runs`). home: the folder that
    paths of checkpoints start from; default: that of the SQLite file named, else `HORMESIS_HOME`.

    Raises DatabaseProblem, one sentence, where it is missing, locked, older, newer, empty or no database of
    ours.
    """
    address = None if database is None else os.fspath(database)
    url = location.database_url(address)
    file = sqlite_path(parse_url(url))
    beside = file.parent if address is not None and file is not None else location.home()
    return Database(url, Path(beside if home is None else home).absolute(), open_reader(url))


@dataclass(frozen=True, repr=False, eq=False)
class Database(Displayed):
    """A database of studies, read only. Made by `hormesis.open`; every call reads what is there now."""

    url: str
    home: Path
    """Folder that the paths of checkpoints start from."""
    engine: Engine = field(repr=False)

    def _title(self) -> str:
        return f"Database {name_of(self.url)}"

    def _properties(self) -> dict[str, str]:
        table = self.studies
        names = [f"{name} ({hash_})" for name, hash_ in zip(table["name"], table["hash"], strict=True)]
        return {"studies": ", ".join(names) or "none"}

    def _tables(self) -> Sequence[pd.DataFrame]:
        table = self.studies.drop(columns="id")
        return [table.assign(created=table["created"].dt.strftime("%Y-%m-%d %H:%M UTC"))]

    @property
    def studies(self) -> pd.DataFrame:
        """Every study, newest first: id, hash, name, scale, created (UTC), arms, checkpoints, finished."""
        table = read.studies(self.engine)
        return table.assign(finished=[self._study(row).progress().finished for _, row in table.iterrows()])

    def study(self, name: str | None = None) -> Study:
        """A study by its name, hash (six digits or more) or `name (start of hash)`.

        Default: the newest that is finished, else the newest. Raises NoSuchStudy, naming those there are.
        """
        table = read.studies(self.engine)
        if name is not None:
            return self._study(table.iloc[study_place(table, name)])
        studies = [self._study(row) for _, row in table.iterrows()]
        if not studies:
            raise NoSuchStudy(f"{name_of(self.url)} holds no study yet; run one: hormesis run forum")
        return next((study for study in studies if study.progress().finished), studies[0])

    def _study(self, row: pd.Series) -> Study:
        """The study of a row of `studies`."""
        study_id = int(row["id"])
        config = read.study(self.engine, study_id)["config"].iloc[0]
        return Study(
            id=study_id,
            name=str(row["name"]),
            hash=str(row["hash"]),
            scale=str(row["scale"]),
            config=config if isinstance(config, dict) else {},
            home=self.home,
            engine=self.engine,
        )

    def checkpoint(self, name: str) -> Checkpoint:
        """A checkpoint of the newest study that has one of that name, e.g. for `hormesis.load`.

        Raises NoSuchRows where no study has one.
        """
        studies = [self._study(row) for _, row in read.studies(self.engine).iterrows()]
        for study in studies:
            if name in set(study.checkpoints()["name"]):
                return study.checkpoint(name)
        raise NoSuchRows(f"no study in {name_of(self.url)} has a checkpoint '{name}'")

    def toy(self, setting: str | None = None) -> Toy:
        """The toy experiment in one setting: `disjoint`, `literal`, `autoencoder` or `bottleneck`.

        Of several configurations that with most runs; default: the first setting there is. Raises NoSuchRows.
        """
        table = labelled_experiments(self.engine)
        settings = [name for name in SETTINGS if name in set(table["setting"])]
        if not settings or setting not in (None, *settings):
            options = ", ".join(settings) or "none; run: hormesis toy"
            raise NoSuchRows(f"no toy runs of that setting (settings: {options})")
        of_setting = table[table["setting"] == (setting or settings[0])]
        row = of_setting.sort_values(["runs", "id"], ascending=[False, True]).iloc[0]
        return Toy(int(row["id"]), str(row["label"]), row, self.engine)


@dataclass(frozen=True, repr=False, eq=False)
class Toy(Displayed):
    """One configuration of the toy experiment: are rare features more entangled than common ones?

    Views are DataFrames; probe: `means`, `balanced`, `mixture` or `stopped`; cosine: `absolute` or `signed`.
    """

    id: int
    label: str
    experiment: pd.Series
    """Its row of `toy_experiment`: features, dimensions, config, levels of random directions and of Welch."""
    engine: Engine = field(repr=False)

    def _title(self) -> str:
        return f"Toy experiment: {self.label}"

    def _properties(self) -> dict[str, str]:
        row = self.experiment
        shape = f"{row['features']} features in {row['dimensions']} dimensions"
        return {"runs": str(row["runs"]), "shape": shape, "charts": ", ".join(TOY_CHARTS)}

    def measures(self, probe: str = "means") -> pd.DataFrame:
        """A row per run and network: share r, seed, network, entanglement and norms of both groups."""
        self._require_probe(probe)
        return read.toy_measures(self.engine, self.id, probe)

    def _require_probe(self, probe: str) -> None:
        if probe not in PROBES:
            raise NoSuchRows(f"no probe '{probe}' (probes: {', '.join(PROBES)})")

    def means(self, probe: str = "means") -> pd.DataFrame:
        """Means of the measures over seeds with Student's 95 % interval: network, share r, name, n_seeds."""
        self._require_probe(probe)
        return read.toy_means(self.engine, self.id, probe)

    def curves(self) -> pd.DataFrame:
        """Learning curves, means over seeds: share, step, n, loss and accuracy of both groups."""
        return read.toy_curves(self.engine, self.id)

    def effects(self, cosine: str = "absolute") -> pd.DataFrame:
        """Rare-specific effects (DiD) of every configuration and probe with Student's 95 % interval."""
        experiments = labelled_experiments(self.engine)
        return forest_rows(read.toy_effects(self.engine), experiments, cosine).drop(columns="config")

    def _rows(self, name: str, probe: str, *, network: str, cosine: str) -> pd.DataFrame:
        """Rows that the chart of this name is drawn from."""
        if name == "learning":
            return self.curves()
        if name == "effects":
            return self.effects(cosine)
        measures = self.measures(probe)
        return measures[measures["network"] == network]

    def chart(
        self,
        name: str,
        rows: pd.DataFrame | None = None,
        *,
        probe: str = "means",
        cosine: str = "absolute",
        network: str = "trained",
        dark: bool = False,
    ) -> go.Figure:
        """`entanglement` over the share, `learning` of the rare chain, or `effects`, as a Plotly figure.

        rows: of `measures`, `curves` or `effects`. Raises ChartError for another name or no rows.
        """
        if name not in TOY_CHARTS:
            raise ChartError(f"no chart '{name}' of the toy experiment (charts: {', '.join(TOY_CHARTS)})")
        if rows is None:
            rows = self._rows(name, probe, network=network, cosine=cosine)
        if rows.empty:
            raise ChartError(f"the toy experiment has no rows for the chart '{name}'")
        if name == "effects":
            return charts.forest(rows, f"DiD of entanglement ({cosine} cosine)", dark=dark)
        if name == "learning":
            return charts.learning(rows, "rare_accuracy", "Accuracy on the rare chain", log=False)
        levels = charts.references(self.experiment, cosine)
        title, means = f"Entanglement ({cosine} cosine)", self.means(probe)
        of_network = means[means["network"] == network]
        return charts.over_share(rows, of_network, cosine, y_title=title, dark=dark, references=levels)


TOY_CHARTS = ("entanglement", "learning", "effects")
