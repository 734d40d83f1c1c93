"""The context of a page: the database's address and change token, the study on show, the service.

Knows environment variables and session state; the queries themselves are in `dashboard.rows`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.selection import Choice
from hormesis.dashboard.base.study_names import study_names as study_names
from hormesis.dashboard.rows.cache import Database, change_token
from hormesis.db.location import database_url

_KEY = "_context"
_CHOICE = "_choice"
_AWAITED = "_awaited"


@dataclass(frozen=True)
class Context(Database):
    """The study on show and the database where its rows are."""

    study: dict[str, Any]
    studies: pd.DataFrame

    @property
    def study_id(self) -> int:
        """Id of the study on show."""
        return int(self.study["id"])

    @property
    def config(self) -> dict[str, Any]:
        """The study's configuration as it was stored."""
        config = self.study.get("config")
        return config if isinstance(config, dict) else {}

    @property
    def only_imports(self) -> bool:
        """Whether all models of the study were trained by others."""
        return bool(self.config) and not any(self.config.get(key) for key in ("shares", "controls"))

    @property
    def revisions(self) -> dict[str, Any]:
        """Data source to revision, as it was stored."""
        revisions = self.study.get("data_revisions")
        return revisions if isinstance(revisions, dict) else {}

    @property
    def position(self) -> str:
        """The study's own probing position."""
        return str((self.config.get("probe") or {}).get("position", "last"))

    @property
    def harmless(self) -> bool:
        """Whether all text of the study comes from the built-in forum language, which insults nobody real."""
        sources = self.config.get("sources") or []
        return all(source.get("kind", "forum") == "forum" for source in sources)


@dataclass(frozen=True)
class AwaitedStudy:
    """A study that was started from here and is not in the database yet."""

    name: str
    hash: str


def service_address() -> str | None:
    """Where the model service answers, or None where none was named."""
    return (os.environ.get("HORMESIS_SERVICE") or "").rstrip("/") or None


def database_now() -> Database:
    """The dashboard's database as it is now; the token is empty where it cannot be looked at."""
    url = database_url()
    return Database(url, change_token(url))


def await_study(name: str, study_hash: str) -> None:
    """A study was started from here: show it as soon as the database knows it."""
    st.session_state[_AWAITED] = AwaitedStudy(name, study_hash)


def awaited_study() -> AwaitedStudy | None:
    """The study that was started from here and is not in the database yet."""
    study: AwaitedStudy | None = st.session_state.get(_AWAITED)
    return study


def arrived(studies: pd.DataFrame) -> int | None:
    """The place of the awaited study once it is there; it is no longer awaited then."""
    study = awaited_study()
    hashes = [str(value) for value in studies["hash"]]
    if study is None or study.hash not in hashes:
        return None
    del st.session_state[_AWAITED]
    return hashes.index(study.hash)


def context_of(database: Database, studies: pd.DataFrame, place: int) -> Context:
    """The context of the study at `place` among `studies`."""
    study = {str(name): value for name, value in studies.iloc[place].items()}
    return Context(database.url, database.token, study, studies)


def choose(database: Database, studies: pd.DataFrame, place: int) -> Context:
    """Make the study at `place` the one on show for this run of the page."""
    context = st.session_state[_KEY] = context_of(database, studies, place)
    return context


def current() -> Context:
    """The context of this run; pages run only after one was chosen."""
    context: Context = st.session_state[_KEY]
    return context


def set_choice(choice: Choice) -> None:
    """Store what the sidebar chooses for this run of the page."""
    st.session_state[_CHOICE] = choice


def current_choice() -> Choice:
    """Prompts, scorer and comparison of this run, as the sidebar chooses them."""
    choice: Choice = st.session_state[_CHOICE]
    return choice


def forget() -> None:
    """No study is on show."""
    st.session_state.pop(_KEY, None)


def current_or_none() -> Context | None:
    """The context of this run; None where no study is on show."""
    context = st.session_state.get(_KEY)
    return context if isinstance(context, Context) else None
