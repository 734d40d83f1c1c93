"""Cached queries: a database at one moment (URL, change token), its engine, frames shared by all viewers.

Problems come out as DatabaseProblem, one sentence.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import wraps
from threading import Lock
from typing import Concatenate, ParamSpec

import pandas as pd
import streamlit as st
from sqlalchemy import Engine

from hormesis.dashboard.base.refresh import PACE
from hormesis.db import read
from hormesis.db.engine import open_reader
from hormesis.db.problems import DatabaseProblem

P = ParamSpec("P")
PATIENCE = 3.0
"""Seconds a page waits for a busy database before it says so."""


@dataclass(frozen=True)
class Database:
    """A database's URL and its change token, which changes whenever the database does."""

    url: str
    token: str


class Refresh(Enum):
    """When the rows of a query are read anew."""

    RESULTS = "when a stage ends"
    PROGRESS = "also when a running stage has new texts, scores or training steps"
    BEAT = "also with every sign of life"

    def part(self, token: str) -> str:
        """The part of a change token that matters."""
        return read.changed_part(token, progress=self is not Refresh.RESULTS, beat=self is Refresh.BEAT)


def cached_query(
    query: Callable[Concatenate[Engine, P], pd.DataFrame],
    *,
    refresh: Refresh = Refresh.RESULTS,
    most: int = 16,
) -> Callable[Concatenate[Database, P], pd.DataFrame]:
    """The query, asked with a Database instead of an engine; its last `most` frames serve all viewers.

    Each call gets a copy of its own that shares the memory until something is written to it, so a page may
    add columns; dicts within cells are shared and must not be changed. Arguments must be hashable.
    """

    @st.cache_resource(max_entries=most, show_spinner=False)
    @wraps(query)  # streamlit tells caches apart by the name and text of what is wrapped
    def frame(url: str, token: str, *args: P.args, **options: P.kwargs) -> pd.DataFrame:
        return query(engine(url), *args, **options)

    @wraps(query)
    def rows(database: Database, /, *args: P.args, **options: P.kwargs) -> pd.DataFrame:
        return frame(database.url, refresh.part(database.token), *args, **options).copy(deep=False)

    return rows


@st.cache_resource(max_entries=4, show_spinner=False)
def engine(url: str) -> Engine:
    """The reading engine of a database, checked once; dropped by `change_token` when a problem shows."""
    return open_reader(url, wait=PATIENCE)


def change_token(url: str) -> str:
    """Changes whenever rows do; names the problem where the database cannot be read. Never raises.

    At most a second old, or where many look `hold` seconds, so that pages drawn one after the other share
    their rows.
    """
    hold = PACE.redraw_every() / 4
    if hold <= 1.0:
        return _change_token(url)
    with _HELD_LOCK:
        time_read, token = _HELD.get(url, (-hold, ""))
        if time.monotonic() - time_read >= hold:
            time_read, token = _HELD[url] = (time.monotonic(), _change_token(url))
    return token


_HELD: dict[str, tuple[float, str]] = {}
_HELD_LOCK = Lock()


@st.cache_data(ttl=1.0, max_entries=8, show_spinner=False)
def _change_token(url: str) -> str:
    try:
        return read.latest_change(engine(url))
    except DatabaseProblem as problem:
        engine.clear()
        return f"problem {problem.kind}"
