"""Whether studies may be started and stopped from this page, and if not, why not. Knows no processes.

Offered only where this machine alone is served, and the database is a local file inside a home of ours, so
that a start here writes where the page reads.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hormesis.dashboard.access.audience import Audience
from hormesis.db.address import network_type, sqlite_path
from hormesis.db.location import DATABASE_FILE, READ_ONLY, home
from hormesis.db.problems import DatabaseProblem, parse_url


@dataclass(frozen=True)
class Home:
    """Where runs started here keep their state, and the database they write."""

    folder: Path
    url: str


@dataclass(frozen=True)
class Refusal:
    """Why runs cannot be started or stopped from here: one sentence, and what to do instead."""

    reason: str


def home_of(url: str) -> Path | None:
    """The home a database lies in: the environment's, or the folder of a file with our usual name."""
    try:
        path = sqlite_path(parse_url(url))
    except DatabaseProblem:
        return None
    if path is None:
        return None
    home_folder = home()
    if os.environ.get("HORMESIS_HOME"):
        return home_folder if path.is_relative_to(home_folder) else None
    if path.name == DATABASE_FILE or path.is_relative_to(home_folder):
        return path.parent if path.name == DATABASE_FILE else home_folder
    return None


def _is_behind_check() -> bool:
    """Whether the server asks who asks: one that was started on a page's own file does not."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx(suppress_warning=True)
    return context is None or Path(context.main_script_path).name == "app.py"


def control(url: str, audience: Audience) -> Home | Refusal:
    """The home that runs can be started in, or why there is none; `url`: the database's."""
    by_hand = "use `hormesis run` on the machine that holds the study"
    if os.environ.get(READ_ONLY):
        return Refusal("this dashboard was opened on a file that it only reads")
    if not _is_behind_check():
        return Refusal("this page was started by itself, and answers any name; use `hormesis dashboard`")
    if audience.is_shared:
        return Refusal(f"this dashboard is served {audience.words}, where others could reach it; {by_hand}")
    try:
        path = sqlite_path(parse_url(url))
    except DatabaseProblem as problem:
        return Refusal(str(problem))
    if path is None:
        return Refusal(f"the database is not a local file; {by_hand}")
    if network := network_type(path.parent):
        return Refusal(f"the database lies on a network file system ({network}); {by_hand}")
    folder = home_of(url)
    if folder is None:
        return Refusal("the database lies outside the home (HORMESIS_HOME), so its files are not known here")
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(nearest, os.W_OK):
        return Refusal(f"the folder {nearest} cannot be written by this dashboard")
    return Home(folder, url)
