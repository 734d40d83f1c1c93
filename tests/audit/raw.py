"""Raw rows of one study by text queries, as frames and as arrays by arm [seeds, prompts]."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Engine, text

Floats = NDArray[np.float64]
Arm = tuple[str, float]
ByArm = dict[Arm, Floats]
EXTRA = 1000
"""Samples from this number on are drawn for expected maximum toxicity alone."""
ARMS = (
    " JOIN checkpoint c ON c.id = {0}.checkpoint_id LEFT JOIN arm a ON a.id = c.arm_id"
    " WHERE c.study_id = :study "
)
ARM_COLUMNS = (
    "COALESCE(a.kind, 'imported:' || c.name) AS kind, COALESCE(a.share, 0.0) AS share, a.seed AS seed,"
    " c.id AS checkpoint, c.name AS checkpoint_name, c.arm_id AS arm"
)


class Raw:
    """Reads of one study."""

    def __init__(self, engine: Engine, study: int) -> None:
        self.engine, self.study = engine, study

    def frame(self, query: str, **parameters: Any) -> pd.DataFrame:
        """The rows of a text query, `:study` set."""
        with self.engine.connect() as connection:
            return pd.read_sql(text(query), connection, params={"study": self.study, **parameters})

    def of_checkpoints(self, table: str, columns: str, more: str = "", joins: str = "") -> pd.DataFrame:
        """Rows of a table `t` that has checkpoints, with their arms and, of conditions, `key`."""
        arms = ARMS.format("t")
        query = f"SELECT {ARM_COLUMNS}, {columns} FROM {table} t {joins}{arms}{more} ORDER BY a.seed, c.id"
        return self.frame(query)

    @cached_property
    def config(self) -> dict[str, Any]:
        stored = self.frame("SELECT config FROM study WHERE id = :study")["config"].iloc[0]
        return dict(json.loads(stored) if isinstance(stored, str) else stored)

    @cached_property
    def conditions(self) -> pd.DataFrame:
        columns = "t.id AS condition_id, t.key, t.method, t.direction_method AS direction, t.strength"
        columns += ", t.matched_cost, t.control, t.document_nats, t.document_tokens"
        return self.of_checkpoints("condition", columns)

    @cached_property
    def texts(self) -> pd.DataFrame:
        """A row per generated text."""
        return self.frame(
            "SELECT g.id AS generation, g.condition_id, g.prompt_id AS prompt, g.sample, g.text,"
            " s.name AS prompt_set"
            " FROM generation g JOIN prompt p ON p.id = g.prompt_id"
            " JOIN prompt_set s ON s.id = p.prompt_set_id WHERE s.study_id = :study"
        )

    @cached_property
    def scores(self) -> pd.DataFrame:
        """A row per text and scorer, the newest revision's value; NaN where a text is empty."""
        scores = self.frame(
            "SELECT v.generation_id AS generation, v.scorer_id, r.name AS scorer, r.measures, v.value"
            " FROM score v JOIN scorer r ON r.id = v.scorer_id"
        ).sort_values("scorer_id")
        newest = scores.drop_duplicates(["generation", "scorer"], keep="last")
        parts = []
        for (scorer, measures), values in newest.groupby(["scorer", "measures"]):
            rows = self.texts.merge(values[["generation", "value"]], on="generation", how="left")
            is_scored = rows.groupby(["condition_id", "prompt_set"])["value"].transform("count") > 0
            parts.append(rows[is_scored].assign(scorer=scorer, measures=measures))
        return pd.concat(parts)

    @cached_property
    def _grids(self) -> dict[tuple[str, str, str], pd.DataFrame]:
        """Mean over usual samples by prompt, a frame of (arm, seed) by prompt each."""
        arms = self.conditions.dropna(subset=["arm"])[["condition_id", "key", "kind", "share", "seed"]]
        index = ["key", "prompt_set", "kind", "share", "seed", "prompt"]
        grids = {}
        for scorer, rows in self.scores[self.scores["sample"] < EXTRA].groupby("scorer"):
            means = rows.merge(arms, on="condition_id").groupby(index)["value"].mean()
            for (key, prompt_set), part in means.groupby(level=[0, 1]):
                wide = part.droplevel([0, 1]).unstack("prompt").sort_index()
                grids[key, prompt_set, str(scorer)] = wide[wide.notna().any(axis=1)]
        return grids

    def grids(self, key: str, prompt_set: str, scorer: str, like: str | None = None) -> ByArm:
        """Scores under a condition: arm to [seeds, prompts], NaN where every text was empty.

        `like`: another condition, whose prompts alone are read.

        A seed counts where those before it in its arm have scores too.
        """
        wide = self._grids.get((key, prompt_set, scorer))
        if wide is None:
            return {}
        if (other := self._grids.get((like or key, prompt_set, scorer))) is not None:
            wide = wide[wide.columns.intersection(other.columns)]
        grids = {}
        for arm, part in wide.groupby(level=[0, 1]):
            of_arm, seeds = self._seeds[arm], list(part.index.get_level_values("seed"))
            count = max(n for n in range(len(seeds) + 1) if seeds[:n] == of_arm[:n])
            grids |= {arm: part.to_numpy()[:count]} if count else {}
        return grids

    @cached_property
    def _seeds(self) -> dict[Arm, list[int]]:
        arms = self.conditions.dropna(subset=["arm"]).groupby(["kind", "share"])["seed"]
        return {arm: sorted(set(seeds)) for arm, seeds in arms}


def by_arm(rows: pd.DataFrame, column: str | None = None) -> ByArm:
    """Column `value` of trained arms: [seeds], or [seeds, n] by a column."""
    rows = rows.dropna(subset=["arm", "value"])
    if rows.empty:
        return {}
    means = rows.groupby(["kind", "share", "seed", *([column] if column else [])])["value"].mean()
    wide = means.unstack(column).dropna(axis=1) if column else means.to_frame()
    values = {arm: part.to_numpy(dtype=np.float64) for arm, part in wide.groupby(level=[0, 1])}
    return values if column else {arm: part[:, 0] for arm, part in values.items()}


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries, None where there is nothing."""
    return list(rows.astype(object).where(rows.notna(), None).to_dict("records"))


def toxic(arms: ByArm) -> ByArm:
    """The toxic series, the arm without toxic text in it."""
    return {arm: values for arm, values in arms.items() if arm[0] == "toxic"}


def hardly_toxic(kind: str, share: float) -> bool:
    """Whether an arm's text has no toxic text, or none that is trained on."""
    return kind in ("clean-forum", "slung") or share == 0


def block(data: bytes | None, kind: str = "<f8") -> Floats | None:
    """Numbers stored as bytes; None where there are none."""
    return None if not data else np.frombuffer(data, dtype=kind).astype(np.float64)


def blocks(data: Iterable[bytes | None], kind: str = "<f8") -> list[Floats] | None:
    """The same of several; None where one has none."""
    arrays = [block(part, kind) for part in data]
    return None if any(array is None for array in arrays) else [a for a in arrays if a is not None]


def by_prompt(texts: pd.DataFrame, name: str) -> Floats:
    """A metric of each prompt, from a row per text; NaN where every text is empty."""
    if name == "expected_max_toxicity":
        largest = texts.groupby("prompt")["value"].agg(["max", "size"])
        return largest["max"][largest["size"] == largest["size"].max()].to_numpy(np.float64)
    usual = texts[texts["sample"] < EXTRA]
    values = usual["value"]
    values = (values > 0.5).astype(float).where(values.notna()) if name == "fire_rate" else values
    return values.groupby(usual["prompt"]).mean().to_numpy(np.float64)
