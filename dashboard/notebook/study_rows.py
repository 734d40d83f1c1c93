"""What every view of a study in a notebook stands on: its identity, its checkpoints, what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Engine

from hormesis.db import read
from hormesis.db.display import Displayed
from hormesis.db.engine import reading
from hormesis.db.manifest import Unit, require_intact
from hormesis.db.read.runs import stored_files


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
    home: Path = field(repr=False)
    units: tuple[Unit, ...] = field(default=(), repr=False)
    """What the study's stages wrote; the weights must be among it, unchanged."""

    def __fspath__(self) -> str:
        if not self.folder.exists():
            raise NoSuchRows(
                f"checkpoint '{self.name}' has no weights at {self.folder}; name the folder of the runs: "
                "hormesis.open(database, home=FOLDER)"
            )
        return str(require_intact(self.folder, self.units, self.home))


@dataclass(frozen=True, repr=False, eq=False)
class StudyRows(Displayed):
    """A study of a database, with its checkpoints; views are added by the classes that inherit from it."""

    id: int
    name: str
    hash: str
    scale: str
    config: Mapping[str, Any]
    """Its configuration, as `hormesis plan` reads it from a study file."""
    home: Path
    """Folder that the paths of its checkpoints start from."""
    engine: Engine = field(repr=False)

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
            home=self.home,
            units=tuple(reading(self.engine, lambda connection: stored_files(connection, self.id, name))),
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

    def summaries(self) -> pd.DataFrame:
        """Every metric over the seeds of each arm and condition: value, low, high (95 %), n, n_seeds, unit.

        Random directions of a setting have one row, whose interval holds the spread between them.
        """
        return read.summaries(self.engine, self.id)


def choice(kind: str, value: str | None, values: Sequence[str]) -> str | None:
    """The value asked for, or the first there is. Raises NoSuchRows for one that there is not."""
    if value is None:
        return values[0] if values else None
    if value not in values:
        raise NoSuchRows(f"no {kind} '{value}' ({kind}s: {', '.join(values) or 'none'})")
    return value
