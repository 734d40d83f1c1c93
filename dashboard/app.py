"""The dashboard's entry: page frame, navigation, study picker, and the states that concern every page.

Knows which pages there are. Heavy libraries stay out: no torch, no backend, no pipeline.
"""

from __future__ import annotations

import contextlib
import time

import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.base import refresh
from hormesis.dashboard.parts import states
from hormesis.dashboard.rows.cache import Database
from hormesis.dashboard.rows.context import Context, arrived, choose, database_now, forget, study_names
from hormesis.db.problems import DatabaseProblem
from hormesis.db.read import changed_part

st.set_page_config(
    page_title="Hormesis",
    # A material icon would be fetched from a server of fonts; this one is drawn from the browser's own.
    page_icon="🧪",
    layout="wide",
    menu_items={"About": "Does pretraining on some toxic text make a language model easier to detoxify?"},
)

PAGES = [
    st.Page(
        "app_pages/overview/page.py",
        url_path="root",  # Never an address, since a default page has none but `/`; leaves `overview` free.
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
# A default page answers at the root alone, and two pages keep an older address: their own names lead there.
NAMES = {"overview": PAGES[0], "robustness": PAGES[3], "glossary": PAGES[8]}
ALWAYS_OPEN = {"Glossary", "Runs", "Toy experiment"}
# Pages that need no study, so its absence is nothing to tell there.
WITHOUT_STUDY = {"Glossary", "Toy experiment"}
# Not redrawn when rows change: the person is in the middle of something.
KEEPS_STILL = {"Steer live"}
# Redrawn also while a stage goes on; the others when one has ended.
FOLLOWS_WORK = {"Overview", "Trade-offs", "Runs", "Data"}


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


def toolbar(database: Database) -> bool:
    """Draw the study picker and the switch. Returns whether there is a study to show."""
    studies = rows.studies(database)
    with st.container(horizontal=True, vertical_alignment="bottom", key="toolbar"):
        if len(studies):
            labels = study_names(studies)
            if page.title == "Runs" and (place := arrived(studies)) is not None:
                st.session_state["study"] = labels[place]
                st.session_state["tab"] = "Progress"
            label = st.selectbox("Study", labels, key="study", bind="query-params", width=280)
            context = choose(database, studies, labels.index(label) if label in labels else 0)
            status_badge(context)
        else:
            forget()
        st.space("stretch")
        st.toggle(
            "Show all texts",
            key="reveal_all",
            persist_state="session",
            help="Texts are blurred until you click them. This shows all of them for this session.",
        )
    return bool(len(studies))


def status_badge(context: Context) -> None:
    """One word on the study's state."""
    progress = rows.study_progress(context)
    if progress.active:
        st.badge(f"Running, {progress.fraction:.0%}", icon=":material/play_circle:", color="blue")
    elif progress.is_gone:
        st.badge("Stopped: its process is gone", icon=":material/power_off:", color="orange")
    elif progress.running:
        st.badge("No sign of life", icon=":material/pause_circle:", color="orange")
    elif progress.failed:
        st.badge(f"{progress.failed} failed", icon=":material/error:", color="red")
    elif progress.finished:
        st.badge("Finished", icon=":material/check_circle:", color="green")
    else:
        st.badge("Not finished", icon=":material/pending:", color="gray")


def draw(page: st.Page, database: Database) -> None:
    """The page in its frame, or what is wrong with the database."""
    try:
        is_study_open = toolbar(database)
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


aliases = [
    st.Page(page.run, url_path=name, title=page.title, visibility="hidden") for name, page in NAMES.items()
]
page = st.navigation([*PAGES, *aliases], position="top")
if page.url_path in NAMES:
    st.switch_page(NAMES[page.url_path], query_params=st.query_params)
database = database_now()
with refresh.whole_page():
    draw(page, database)
if page.title not in KEEPS_STILL:
    pulse(
        database.token, time.monotonic(), refresh.PACE.look_every(), follows_work=page.title in FOLLOWS_WORK
    )
