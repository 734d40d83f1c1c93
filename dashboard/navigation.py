"""Navigation and what all pages share in the sidebar, and the states of every page.

Knows which pages there are. Heavy libraries stay out: no torch, no backend, no pipeline.
"""

from __future__ import annotations

import contextlib
import time

import streamlit as st

from hormesis.dashboard.access import oidc
from hormesis.dashboard.base import refresh
from hormesis.dashboard.parts import sidebar, states
from hormesis.dashboard.rows.cache import Database
from hormesis.dashboard.rows.context import database_now, forget
from hormesis.db.problems import DatabaseProblem
from hormesis.db.read import changed_part

SIDEBAR_WIDTH = 244
"""In pixels; the sidebar folds where the window is narrow."""
ALWAYS_OPEN = {"Glossary", "Runs", "Toy experiment"}
# Pages that need no study, so its absence is nothing to tell there.
WITHOUT_STUDY = {"Glossary", "Toy experiment"}
# Not redrawn when rows change: the person is in the middle of something.
KEEPS_STILL = {"Steer live"}
# Redrawn also while a stage goes on; the others when one has ended.
FOLLOWS_WORK = {"Overview", "Trade-offs", "Runs", "Data"}
# Pages that show the prompts, the scorer and the comparison chosen in the sidebar.
HEEDS_CHOICE = {"Overview", "Trade-offs", "Data"}


# How much the pace may change before a page is drawn anew for nothing but to take it on.
ADOPT = 4


@refresh.ticking
def pulse(drawn_token: str, drawn_at: float, drawn_pause: float, *, follows_work: bool) -> None:
    """Redraw the page where what it shows has changed since it was drawn, or where its pace has changed.

    `drawn_at`: on the monotonic clock; `drawn_pause`: seconds between looks when it was drawn.
    """
    pause = refresh.PACE.look_every()
    changed = time.monotonic() - drawn_at > refresh.PACE.redraw_every() and (
        changed_part(database_now().token, progress=follows_work)
        != changed_part(drawn_token, progress=follows_work)
    )
    if changed or not drawn_pause / ADOPT <= pause <= drawn_pause * ADOPT:
        st.rerun()


def draw(page: st.Page, database: Database) -> None:
    """The page in its frame, or what is wrong with the database."""
    try:
        is_study_open = sidebar.study_controls(
            database, follow_new=page.title == "Runs", in_use=page.title in HEEDS_CHOICE
        )
        states.content_note()
        if not is_study_open and page.title not in WITHOUT_STUDY:
            states.database_problem(DatabaseProblem("empty", "the database holds no study"))
        if is_study_open or page.title in ALWAYS_OPEN:
            run(page)
    except DatabaseProblem as problem:
        forget()
        if page.title not in WITHOUT_STUDY:
            states.database_problem(problem)
        if page.title in ALWAYS_OPEN:
            run(page)


def run(page: st.Page) -> None:
    """Run a page, which may end early where it has nothing to show yet; what ticks goes on behind it."""
    with contextlib.suppress(states.PageEnd):
        page.run()


def pages() -> list[st.Page]:
    """Every page, in the order of the navigation."""
    return [
        st.Page(
            "app_pages/overview/page.py",
            url_path="root",  # Never an address, a default page has none but `/`; leaves `overview` free.
            title="Overview",
            icon=":material/insights:",
            default=True,
            help="Does a dose of toxic text help? Dose-response, verdicts and live progress.",
        ),
        st.Page(
            "app_pages/tradeoffs/page.py",
            url_path="tradeoffs",
            title="Trade-offs",
            icon=":material/balance:",
            help="What does detoxification cost? Toxicity against cost, and the texts behind every point.",
        ),
        st.Page(
            "app_pages/geometry/page.py",
            url_path="geometry",
            title="Geometry",
            icon=":material/hub:",
            help="Where does toxicity live? Maps of heads, directions and activations.",
        ),
        st.Page(
            "app_pages/robustness/page.py",
            url_path="hardness",
            title="Robustness",
            icon=":material/security:",
            help="How hard is the detox to undo? Attacks, relearning, and what the models can still do.",
        ),
        st.Page(
            "app_pages/steer/page.py",
            url_path="steer",
            title="Steer live",
            icon=":material/tune:",
            help="Steer models yourself and read base and steered text side by side.",
        ),
        st.Page(
            "app_pages/toy/page.py",
            url_path="toy",
            title="Toy experiment",
            icon=":material/toys:",
            help="Are rare features entangled? The paper's toy experiment with the controls it lacked.",
        ),
        st.Page(
            "app_pages/runs/page.py",
            url_path="runs",
            title="Runs",
            icon=":material/monitoring:",
            help="Stages, rates, errors, loss curves and where every number comes from.",
        ),
        st.Page(
            "app_pages/data/page.py",
            url_path="data",
            title="Data",
            icon=":material/dataset:",
            help="What went into each mix, labelled samples, scorers and their agreement.",
        ),
        st.Page(
            "app_pages/glossary/page.py",
            url_path="definitions",
            title="Glossary",
            icon=":material/menu_book:",
            help="Every term on these pages, its formula and its source.",
        ),
    ]


def draw_page() -> None:
    """Draw the page of the address, with navigation and sidebar: one run of Streamlit's script."""
    st.set_page_config(
        page_title="Hormesis",
        # A material icon would be fetched from a server of fonts; this one is drawn from the browser's own.
        page_icon="🧪",
        layout="wide",
        initial_sidebar_state=SIDEBAR_WIDTH,
        menu_items={"About": "Does pretraining on some toxic text make a language model easier to detoxify?"},
    )
    if not oidc.is_let_in():
        return
    every_page = pages()
    # A default page answers at the root alone, and two pages keep an older address: their names lead there.
    names = {"overview": every_page[0], "robustness": every_page[3], "glossary": every_page[8]}
    aliases = [
        st.Page(page.run, url_path=name, title=page.title, visibility="hidden")
        for name, page in names.items()
    ]
    page = st.navigation([*every_page, *aliases], position="sidebar")
    if page.url_path in names:
        # Copied first, since switching empties them.
        query = {key: st.query_params.get_all(key) for key in st.query_params}
        st.switch_page(names[page.url_path], query_params=query)
    sidebar.style()
    database = database_now()
    with refresh.whole_page():
        draw(page, database)
    if page.title not in KEEPS_STILL:
        pulse(
            database.token,
            time.monotonic(),
            refresh.PACE.look_every(),
            follows_work=page.title in FOLLOWS_WORK,
        )
