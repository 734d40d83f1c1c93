"""The ground that cached rows stand on: the reading engine, the change token, frames kept for all viewers.

Knows no query. Problems come out as DatabaseProblem, one sentence.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import ParamSpec

import pandas as pd
import streamlit as st
from sqlalchemy import Engine

from dashboard.pace import PACE
from db import read
from db.engine import open_reader
from db.problems import DatabaseProblem

P = ParamSpec("P")
PATIENCE = 3.0
"""Seconds a page waits for a busy database before it says so."""


def kept(most: int) -> Callable[[Callable[P, pd.DataFrame]], Callable[P, pd.DataFrame]]:
    """Keep the frames a function gave, the last `most`, by its arguments, for all viewers.

    Each call gets a copy of its own that shares the memory until something is written to it, so a page may
    add columns; dicts within cells are shared and must not be changed.
    """

    def wrap(function: Callable[P, pd.DataFrame]) -> Callable[P, pd.DataFrame]:
        found = st.cache_resource(max_entries=most, show_spinner=False)(function)

        @wraps(function)
        def own(*args: P.args, **options: P.kwargs) -> pd.DataFrame:
            return found(*args, **options).copy(deep=False)

        return own

    return wrap


@st.cache_resource(max_entries=4, show_spinner=False)
def engine(url: str) -> Engine:
    """The reading engine of a database, checked once; dropped by `change_token` when a problem shows."""
    return open_reader(url, wait=PATIENCE)


def change_token(url: str) -> str:
    """Changes whenever rows do; names the problem where the database cannot be read. Never raises.

    A second old at most; older where many look, so that pages drawn one after the other share their rows.
    """
    hold = PACE.redraw_every() / 4
    if hold <= 1.0:
        return _change_token(url)
    with _HELD_LOCK:
        taken, token = _HELD.get(url, (-hold, ""))
        if time.monotonic() - taken >= hold:
            taken, token = _HELD[url] = (time.monotonic(), _change_token(url))
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
