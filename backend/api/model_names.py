"""Names of models: `forum/toxic-10-s0` for a checkpoint, `forum/toxic-10-s0:iti+0.06` under a condition.

A name maps to one stored checkpoint or condition and back. The part behind the colon is the condition's
stored key, shortened: `iti/mass_mean/cost-0.06` is `iti+0.06`, `iti/mass_mean/fixed-2` is `iti@2`,
`dpo+iti/mass_mean/cost-0.06` is `dpo+iti+0.06`, `random-0/cost-0.06` is `random-0+0.06`; the key itself is
taken too. The study may be left out where one study alone has the checkpoint; studies of the same name are
told apart by their hash.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import ClassVar

from sqlalchemy import Connection, select

from hormesis.db.contract.methods import DIRECTIONS, NONE
from hormesis.db.schema import Checkpoint, Condition, Study

_KEY = re.compile(rf"^(?P<stem>.+?)(?:/{DIRECTIONS[0]})?/(?P<kind>cost|fixed)-(?P<value>[^/]+)$")
_SIGNS = {"cost": "+", "fixed": "@"}
NEAR = 3
"""Similar names that a refusal lists."""


class NameProblem(ValueError):
    """A name does not lead to one model; one line with the names that are near."""

    status: ClassVar[int] = 422

    def __init__(self, message: str) -> None:
        # A name that was asked for may hold line breaks.
        super().__init__(" ".join(message.split()))


class UnknownName(NameProblem):
    """No checkpoint or condition has the name."""

    status = 404


class AmbiguousName(NameProblem):
    """Several studies have a checkpoint of the name."""


@dataclass(frozen=True)
class ModelName:
    """A name that a client can ask for, and the rows it stands for."""

    study: str
    study_hash: str
    qualifier: str
    """What stands before the slash: the study's name, or its hash where several have that name."""
    checkpoint: str
    checkpoint_id: int
    created: int
    """When the study was begun, in seconds since 1970."""
    key: str = NONE
    """Stored key of the condition; `none` for the checkpoint alone."""
    short_key: str = NONE
    condition_id: int | None = None
    """Row of the condition; None for the checkpoint alone."""

    @property
    def id(self) -> str:
        """The name as it is listed."""
        return f"{self.qualifier}/{self.checkpoint}" + (f":{self.short_key}" if self.condition_id else "")

    @property
    def aliases(self) -> Iterator[str]:
        """Every form that is taken for it, its own among them."""
        keys = {f":{self.key}", f":{self.short_key}"} | (set() if self.condition_id else {""})
        for study in (f"{self.study}/", f"{self.study_hash}/", ""):
            yield from (f"{study}{self.checkpoint}{key}" for key in keys)


def short_key(key: str) -> str:
    """A condition's key as names have it: `iti/mass_mean/cost-0.06` is `iti+0.06`; others stay."""
    match = _KEY.match(key)
    return f"{match['stem']}{_SIGNS[match['kind']]}{match['value']}" if match else key


def checkpoint_names(connection: Connection) -> list[ModelName]:
    """Every checkpoint of the database, by study and in the order it was made."""
    rows = connection.execute(
        select(Study.name.label("study"), Study.hash, Study.created, Checkpoint.id, Checkpoint.name)
        .join(Study, Checkpoint.study_id == Study.id)
        .order_by(Study.id, Checkpoint.id)
    ).all()
    count_by_name = Counter(name for name, _ in {(row.study, row.hash) for row in rows})
    return [
        ModelName(
            study=row.study,
            study_hash=row.hash,
            qualifier=row.study if count_by_name[row.study] == 1 else row.hash,
            checkpoint=row.name,
            checkpoint_id=row.id,
            created=_seconds(row.created),
        )
        for row in rows
    ]


def model_names(connection: Connection) -> list[ModelName]:
    """Every checkpoint, each followed by its stored conditions."""
    conditions: dict[int, list[tuple[int, str]]] = {}
    query = select(Condition.checkpoint_id, Condition.id, Condition.key).where(Condition.key != NONE)
    for checkpoint_id, condition_id, key in connection.execute(query.order_by(Condition.key)):
        conditions.setdefault(checkpoint_id, []).append((condition_id, key))
    return [
        name
        for bare in checkpoint_names(connection)
        for name in (bare, *_under_conditions(bare, conditions.get(bare.checkpoint_id, [])))
    ]


def model_of_name(connection: Connection, text: str) -> ModelName:
    """The model of this name. Raises UnknownName and AmbiguousName."""
    return _match(model_names(connection), text, "model")


def checkpoint_of_name(connection: Connection, text: str) -> int:
    """Id of the checkpoint of this name. Raises UnknownName and AmbiguousName."""
    return _match(checkpoint_names(connection), text, "checkpoint").checkpoint_id


def _under_conditions(bare: ModelName, rows: list[tuple[int, str]]) -> Iterator[ModelName]:
    """The name `bare` of a checkpoint under each condition; `rows`: (id, stored key) of conditions."""
    counts = Counter(short_key(key) for _, key in rows)
    for condition_id, key in rows:
        shortened = short_key(key)
        shortest = shortened if counts[shortened] == 1 else key
        yield replace(bare, key=key, short_key=shortest, condition_id=condition_id)


def _match(names: list[ModelName], text: str, noun: str) -> ModelName:
    """The one of `names` that `text` is a form of; `noun`: what refusals call it. Raises NameProblem."""
    matches = [name for name in names if text in name.aliases]
    if len(matches) == 1:
        return matches[0]
    label = text if len(text) <= 80 else f"{text[:80]}…"
    if matches:
        options = _listing(name.id for name in matches)
        raise AmbiguousName(f"several studies have a {noun} '{label}'; name the study too: {options}")
    near = _near(names, text)
    reason = f"near: {_listing(near)}" if near else "GET /v1/models lists the names"
    raise UnknownName(f"there is no {noun} '{label}'; {reason}")


def _near(names: Iterable[ModelName], text: str) -> list[str]:
    """Listed names like this one, the nearest first; compared with and without the study."""
    forms = {form: name.id for name in names for form in (name.id.partition("/")[2], name.id)}
    matches = get_close_matches(text[:200], forms, n=2 * NEAR, cutoff=0.6)
    return list(dict.fromkeys(forms[form] for form in matches))[:NEAR]


def _listing(names: Iterable[str]) -> str:
    texts = list(names)
    return ", ".join(texts[:6]) + (" and more" if len(texts) > 6 else "")


def _seconds(moment: datetime) -> int:
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
