"""Definitions: every label on a page has one; each names code that exists and a formula that can be drawn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from latex2mathml.converter import convert
from streamlit.testing.v1 import AppTest

from hormesis.dashboard.base.terms import TERMS, links, mentioned, term_of
from hormesis.dashboard.base.verdicts import NO_DATA, REFUTED, SUPPORTED, UNDECIDED
from hormesis.dashboard.base.wording import MEASURES, NAMES
from hormesis.dashboard.charts.training import LOSSES
from tests.conftest import ROOT
from tests.fixtures.pages import open_page

PAGES = ("overview", "tradeoffs", "geometry", "runs", "data", "robustness", "toy")
TABS = ("Progress", "Loss curves", "Compare", "Where numbers come from")
SECTIONS = ("Mixes", "Sources")
PLAIN = re.compile(r":\w+\[:[^]]*:\]|\(.*?\)|\[.*?\]|†|, .*$")
"""What is taken off a label before it is looked up: units, intervals, marks."""


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.anchor)
def test_a_term_names_code_that_exists_and_a_formula_that_can_be_drawn(term: object) -> None:
    assert term.name and term.text.endswith(".") and term.code  # type: ignore[attr-defined]
    path, _, name = term.code.partition(": ")  # type: ignore[attr-defined]
    source = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^\s*(?:(?:async )?def|class) {name}\b|^{name} = ", source, re.MULTILINE), name
    if term.formula:  # type: ignore[attr-defined]
        assert convert(term.formula).startswith("<math")  # type: ignore[attr-defined]


def test_no_two_terms_share_a_label() -> None:
    names = [name.lower() for term in TERMS for name in (term.name, *term.labels)]
    assert sorted(names) == sorted(set(names))
    assert len({term.anchor for term in TERMS}) == len(TERMS)


def labels_of(app: AppTest) -> set[str]:
    """Every column of a table and every measure on a page."""
    columns = {str(name) for table in app.dataframe for name in table.value.columns}
    columns |= {str(name) for table in app.table for name in table.value.columns}
    return columns | {str(metric.label) for metric in app.metric}


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_pages")
def test_every_label_on_every_page_is_defined(small_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels: dict[str, str] = {}
    for page in PAGES:
        for tab in {"runs": TABS, "data": SECTIONS}.get(page, ("",)):
            key = "show" if page == "data" else "tab"
            app = open_page(small_database, monkeypatch, page, **({key: tab} if tab else {}))
            assert not app.exception, (page, tab)
            labels |= {label: f"{page} {tab}".strip() for label in labels_of(app)}
    words = {**labels, **dict.fromkeys((*NAMES.values(), *MEASURES, *LOSSES), "charts")}
    words |= dict.fromkeys((SUPPORTED, REFUTED, UNDECIDED, NO_DATA), "verdicts")
    undefined = {
        label: where
        for label, where in words.items()
        if term_of(label) is None and term_of(PLAIN.sub("", label).strip()) is None
    }
    assert not undefined
    assert len(labels) > 40


def test_words_link_to_their_definitions() -> None:
    markdown = links("Toxicity by share of toxic-source text, at matched cost")
    assert "[Matched cost](definitions?term=Matched%20cost)" in markdown and "[Toxicity]" in markdown
    assert "[Cost]" not in markdown, "a longer term takes the place of a shorter one inside it"
    assert links("nothing of the kind here") == ""
    assert [term.name for term in mentioned("n of heads, AUROC")] == ["n", "Head", "AUROC"]
    assert term_of("balanced ACCURACY") is term_of("Accuracy") is not None


def test_a_link_shows_its_term_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = open_page(tmp_path / "none.sqlite", monkeypatch, "glossary", term="Matched cost")
    assert [block.value for block in app.markdown if str(block.value).startswith("#####")] == [
        "##### Matched cost"
    ]
    assert not app.exception
