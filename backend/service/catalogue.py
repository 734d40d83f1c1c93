"""Catalogue of checkpoints in the study database: which there are, where their weights lie, their study.

Reads only. The database may come, go and grow while the service
runs, so nothing read from it is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, RowMapping, distinct, func, select

from hormesis.backend.bundled import BUNDLED, INSTALLATION, find_bundled
from hormesis.backend.service.methods import controls, offered
from hormesis.backend.service.settings import ServiceError
from hormesis.db.contract.left_out import is_left_out
from hormesis.db.contract.methods import DIRECTIONS
from hormesis.db.contract.sites import SiteShape, site_shapes
from hormesis.db.engine import DatabaseProblem, open_reader, reading
from hormesis.db.location import home
from hormesis.db.manifest import Unit
from hormesis.db.read.runs import stored_files
from hormesis.db.schema import Arm, Checkpoint, Condition, Direction, Probe, StageRun, Study

T = TypeVar("T")


WeightsKey = tuple[int, str, str]
"""(checkpoint, source, weights hash): a checkpoint that was trained anew is another model."""


class UnknownCheckpoint(ServiceError):
    """No checkpoint has the id that was asked for."""


@dataclass(frozen=True, eq=False)
class CheckpointRecord:
    """What is needed to load a checkpoint and to score what it says."""

    id: int
    name: str
    source: str
    """Folder, GGUF file or hub name, as `backend.model.models.load_model` takes it."""
    parameters: int
    weights_hash: str
    speaks_forum: bool
    """True where the study names no source of its own, so its language is the forum's."""
    tfidf_folder: Path | None
    """Where the study keeps the scorer it trained, if it trained one."""
    scorers: tuple[str, ...] = ()
    """Scorers that the study's configuration names."""
    problem: str = ""
    """Why its weights cannot be loaded, as far as a look at their place says."""
    units: tuple[Unit, ...] = field(default=(), repr=False)
    """What the study's stages wrote of it, its weights among that."""

    @property
    def key(self) -> WeightsKey:
        """What tells its weights from all others."""
        return self.id, self.source, self.weights_hash


class Catalogue:
    """Questions to one study database; each raises DatabaseProblem where it cannot be read."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def ask(self, question: Callable[[Connection], T]) -> T:
        """Answer a question from one state of the database; it is opened anew after any failure."""
        with self._lock:
            if self._engine is None:
                self._engine = open_reader(self._url)
            engine = self._engine
        try:
            return reading(engine, question)
        except DatabaseProblem:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()


_MODELS = (
    select(
        Checkpoint.id.label("checkpoint_id"),
        Checkpoint.name,
        Checkpoint.study_id,
        Checkpoint.n_layers,
        Checkpoint.n_heads,
        Checkpoint.head_dim,
        Checkpoint.details,
        Checkpoint.path,
        Checkpoint.arm_id,
        Study.name.label("study"),
        Arm.kind,
        Arm.share,
        Arm.seed,
    )
    .join(Study, Checkpoint.study_id == Study.id)
    .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
    .order_by(Study.id, Arm.kind.desc(), Arm.share, Arm.seed, Checkpoint.id)
)
_DIRECTIONS = select(Direction.checkpoint_id, Direction.method).distinct()
_CONDITIONS = select(
    Condition.checkpoint_id, Condition.method, Condition.parameters["prefix"].as_string()
).distinct()
_SELECTED = (
    select(Probe.checkpoint_id, func.count(distinct(Probe.layer * 100_000 + Probe.head)))
    .where(Probe.rank.is_not(None))
    .group_by(Probe.checkpoint_id)
)


_SHAPE = ("n_heads", "head_dim", "details")
_PLACE = ("path", "arm_id")


def shapes_of_row(row: RowMapping) -> list[SiteShape]:
    """Attention sites of a checkpoint from its row, which has these columns and `n_layers`."""
    return site_shapes(**{name: row[name] for name in ("n_layers", *_SHAPE)})


def list_models(connection: Connection) -> list[dict[str, Any]]:
    """Every checkpoint by study and share: keys of `messages.ModelInfo` but `loaded` and `measured`."""
    directions: dict[int, set[str]] = {}
    for checkpoint_id, method in connection.execute(_DIRECTIONS):
        directions.setdefault(checkpoint_id, set()).add(method)
    prefixes: dict[int, dict[str, str]] = {}
    for checkpoint_id, method, prefix in connection.execute(_CONDITIONS):
        prefixes.setdefault(checkpoint_id, {})[method] = prefix or ""
    n_selected = {selected_id: int(count) for selected_id, count in connection.execute(_SELECTED)}
    return [
        {
            **{name: value for name, value in row.items() if name not in _SHAPE + _PLACE},
            "problem": _weights_problem(row["path"], imported=_is_imported(row)),
            "heads_by_layer": {shape.layer: shape.n_heads for shape in shapes_of_row(row)},
            "kind": row["kind"] or "imported",
            **_offer(directions.get(row["checkpoint_id"], set()), prefixes.get(row["checkpoint_id"], {})),
            "heads_selected": n_selected.get(row["checkpoint_id"], 0),
        }
        for row in connection.execute(_MODELS).mappings()
    ]


def _offer(directions: set[str], conditions: dict[str, str]) -> dict[str, Any]:
    """What is offered, by stored names of directions and by method of conditions (to text before prompts)."""
    return {
        "directions": [name for name in DIRECTIONS if name in directions],
        "controls": controls(directions),
        "methods": offered(directions, conditions),
    }


def find_checkpoint(connection: Connection, checkpoint_id: int) -> CheckpointRecord:
    """Row of one checkpoint with its study's scorers. Raises UnknownCheckpoint."""
    text_hash = (
        select(StageRun.input_hash)
        .where(StageRun.study_id == Checkpoint.study_id, StageRun.stage == "text")
        .limit(1)
        .scalar_subquery()
    )
    columns = (
        Checkpoint.name,
        Checkpoint.study_id,
        Checkpoint.path,
        Checkpoint.arm_id,
        Checkpoint.details,
    )
    row = connection.execute(
        select(
            *columns,
            Checkpoint.parameters,
            Checkpoint.weights_hash,
            Study.config,
            text_hash.label("text_hash"),
        )
        .join(Study, Checkpoint.study_id == Study.id)
        .where(Checkpoint.id == checkpoint_id)
    ).one_or_none()
    if row is None:
        raise UnknownCheckpoint(f"there is no checkpoint {checkpoint_id}; GET /models lists them")
    config = row.config or {}
    return CheckpointRecord(
        id=checkpoint_id,
        name=row.name,
        source=_source(row.path, imported=_is_imported(row._mapping)),
        problem=_weights_problem(row.path, imported=_is_imported(row._mapping)),
        parameters=row.parameters,
        weights_hash=row.weights_hash,
        speaks_forum=not config.get("sources"),
        tfidf_folder=home() / "files" / "text" / row.text_hash / "tfidf" if row.text_hash else None,
        scorers=tuple(str(name) for name in (config.get("evaluation") or {}).get("scorers") or ()),
        units=tuple(stored_files(connection, row.study_id, row.name)),
    )


def _is_imported(row: RowMapping) -> bool:
    return row["arm_id"] is None or "imported" in (row["details"] or {})


def _weights_problem(path: str, *, imported: bool) -> str:
    """Why weights cannot be loaded, as far as a look at their place says; empty where they may be."""
    if is_left_out(path):
        return "the weights were left out of this copy"
    source = _source(path, imported=imported)
    if source == BUNDLED:
        return "" if find_bundled() else f"the weights are not here: {INSTALLATION}"
    is_name = imported and source == path
    return "" if is_name or Path(source).exists() else "the weights are gone"


def _source(path: str, *, imported: bool) -> str:
    """What to load: a path from the home folder, or an imported model's hub name or bundled name as it is.

    `owner/model` is taken for a name where the home has no folder `owner`, so a lost folder is not looked for
    on the hub.
    """
    owner = path.split("/")[0]
    return path if imported and owner and not (home() / owner).exists() else str(home() / path)
