"""What every page stands on: the database's address, its change token, the study on show, the service.

Knows environment variables and session state; the queries themselves are in `dashboard.rows`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import rows
from dashboard.records import records
from db.location import database_url

_KEY = "_context"
_AWAITED = "_awaited"


@dataclass(frozen=True)
class Context:
    """The study on show and where its rows are. `token` changes whenever the database does."""

    url: str
    token: str
    study: dict[str, Any]
    studies: pd.DataFrame

    @property
    def study_id(self) -> int:
        """Id of the study on show."""
        return int(self.study["id"])

    @property
    def config(self) -> dict[str, Any]:
        """The study's configuration as it was stored."""
        found = self.study.get("config")
        return found if isinstance(found, dict) else {}

    @property
    def revisions(self) -> dict[str, Any]:
        """Data source to revision, as it was stored."""
        found = self.study.get("data_revisions")
        return found if isinstance(found, dict) else {}

    @property
    def harmless(self) -> bool:
        """Whether all text of the study comes from the built-in forum language, which insults nobody real."""
        sources = self.config.get("sources") or []
        return all(source.get("kind", "forum") == "forum" for source in sources)


def service_address() -> str | None:
    """Where the model service answers, or None where none was named."""
    return (os.environ.get("HORMESIS_SERVICE") or "").rstrip("/") or None


def address() -> str:
    """The database's URL."""
    return database_url()


def study_names(studies: pd.DataFrame) -> list[str]:
    """Names for the picker and for links: the study's name, with the start of its hash where names repeat."""
    twice = studies["name"].duplicated(keep=False)
    return [
        f"{row.name_} ({row.hash[:6]})" if again else str(row.name_)
        for row, again in zip(records(studies.rename(columns={"name": "name_"})), twice, strict=True)
    ]


def await_study(name: str, study_hash: str) -> None:
    """A study was started from here: show it as soon as the database knows it."""
    st.session_state[_AWAITED] = (name, study_hash)


def awaited() -> tuple[str, str] | None:
    """Name and hash of the study that was started from here and is not in the database yet."""
    waiting: tuple[str, str] | None = st.session_state.get(_AWAITED)
    return waiting


def arrived(studies: pd.DataFrame) -> int | None:
    """The place of the awaited study once it is there; it is no longer awaited then."""
    waiting = awaited()
    hashes = [str(value) for value in studies["hash"]]
    if waiting is None or waiting[1] not in hashes:
        return None
    del st.session_state[_AWAITED]
    return hashes.index(waiting[1])


def choose(url: str, token: str, studies: pd.DataFrame, place: int) -> Context:
    """Make the study at `place` the one on show for this run of the page."""
    study = {str(name): value for name, value in studies.iloc[place].items()}
    found = Context(url, token, study, studies)
    st.session_state[_KEY] = found
    return found


def current() -> Context:
    """The context of this run; pages run only after one was chosen."""
    found: Context = st.session_state[_KEY]
    return found


def forget() -> None:
    """No study is on show."""
    st.session_state.pop(_KEY, None)


def known() -> Context | None:
    """The context of this run; None where no study is on show."""
    found = st.session_state.get(_KEY)
    return found if isinstance(found, Context) else None


def fresh_token() -> str:
    """The change token now; an empty string where the database cannot be looked at."""
    return rows.change_token(address())
