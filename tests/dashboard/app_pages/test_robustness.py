"""The hardness page on seeded rows: every section, links, censoring, blurred texts, the empty state."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import delete

from hormesis.dashboard.charts.frame import Level
from hormesis.dashboard.charts.hardness import Reference, by_condition, curves, heat, steps_needed
from hormesis.db import read
from hormesis.db.contract.attacks import UNDONE
from hormesis.db.engine import open_reader
from hormesis.db.schema import Attack, AttackSummary, CapabilitySummary
from tests.fixtures.pages import open_page, words
from tests.fixtures.seeded_database import SMALL
from tests.fixtures.seeded_hardness import CONDITIONS, GOALS, TEMPLATES
from tests.fixtures.shared_worlds import changed_copy

SECTIONS = {
    "Suffixes": "How often an attacked text",
    "Relearning": "not within 64 steps",
    "Framed prompts": "open models to framed prompts",
    "Long texts": "first half of a long text",
    "Sampling": "mildest and the wildest",
    "Rounded weights": "8 or 4 bits",
    "Capability": "worse than unsteered",
}
N = len(SMALL.arms) * len(SMALL.seeds)
pytestmark = pytest.mark.usefixtures("fresh_pages")


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_answers_in_words(
    small_database: Path, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    app = open_page(small_database, monkeypatch, "robustness", attack=section)
    assert not app.exception and not app.error
    page_words = words(app)
    assert app.subheader[0].value == "How hard is the detox to undo?"
    assert SECTIONS[section] in page_words
    assert "95 %" in page_words


def test_a_study_without_attacks_says_what_to_run(
    tiny_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied = map(delete, (Attack, AttackSummary, CapabilitySummary))
    path = changed_copy(tiny_database, tmp_path / "plain.sqlite", *emptied)
    app = open_page(path, monkeypatch, "robustness")
    assert not app.exception
    assert "hormesis run forum-full" in words(app) and "[hardness]" in words(app)


def test_the_papers_figures_are_marked_as_references(
    small_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page_words = words(open_page(small_database, monkeypatch, "robustness", attack="Suffixes"))
    assert "†" in page_words or "secondary" in page_words
    assert "p = .13" in page_words and "not corrected" in page_words


def test_read_queries_against_the_rows(small_database: Path) -> None:
    engine = open_reader(f"sqlite:///{small_database}")
    study = int(read.studies(engine)["id"][0])
    outcomes = read.attack_outcomes(engine, study)
    success = outcomes[(outcomes["attack"] == "suffix") & (outcomes["name"] == "success")]
    assert len(success) == N * len(CONDITIONS) * 2
    outcome = success[success["setting"] == "gcg"].iloc[0]
    trials = read.attack_trials(engine, int(outcome["attack_id"]))
    assert len(trials) == GOALS and trials["success"].mean() == pytest.approx(outcome["value"])
    relearned = outcomes[(outcomes["attack"] == "relearn") & (outcomes["name"] == "steps")]
    assert len(relearned) == N * (len(CONDITIONS) - 1)
    assert relearned["value"].isna().sum() == relearned["high"].isna().sum() > 0
    changes = outcomes[(outcomes["attack"] == "injection") & (outcomes["name"] == "toxicity_change")]
    assert len(changes) == N * len(CONDITIONS) * (len(TEMPLATES) - 1)
    scores = read.capability_summaries(engine, study)
    assert scores[scores["condition"] == "none"]["change"].isna().all()
    assert set(scores["task"]) == {"minimal_pairs", "mcq_siqa", "cross_entropy"}
    summaries = read.attack_summaries(engine, study)
    arms = len(SMALL.arms)
    assert (summaries["n_seeds"] == len(SMALL.seeds)).all()
    for attack, setting in (("suffix", "gcg"), ("injection", ""), ("quantised", ""), ("relearn", "")):
        of_attack = summaries[(summaries["attack"] == attack) & (summaries["setting"] == setting)]
        undone = of_attack[of_attack["name"] == UNDONE]
        assert len(undone) == arms * (len(CONDITIONS) - (attack == "relearn"))
    steps = summaries[summaries["name"] == "steps"]
    assert len(steps) == arms, "a mean of steps only where every seed comes to an end"
    tests = read.attack_tests(engine, study)
    assert set(tests["contrast"]) == {"condition", "share"}


ARM = {"kind": "toxic", "share": 0.1, "condition": "none", "method": "none", "matched_cost": None,
       "arm": "10 % toxic", "label": "Unsteered", "unit": "points", "interval": "made up"}  # fmt: skip


def test_charts_keep_what_is_beyond_the_budget() -> None:
    rows = pd.DataFrame(
        [
            ARM | {"seed": 0, "value": 12.0, "low": 8.0, "high": 20.0, "n": 64, "censored": 0.0},
            ARM
            | {"seed": 1, "value": float("nan"), "low": 40.0, "high": float("nan"), "n": 64, "censored": 0.9},
        ]
    )
    figure = steps_needed(rows, ["Unsteered"], 64, dark=False)
    trace = figure.data[0]
    assert list(trace.marker.symbol) == ["circle", "triangle-up-open"]
    assert [2**y - 1 for y in trace.y] == pytest.approx([12.0, 64.0])
    assert trace.y[0] + trace.error_y.array[0] == pytest.approx(math.log2(21)), "the interval's upper end"
    assert "not within 64 steps" in trace.hovertext[1] and "beyond 64" in trace.hovertext[1]


def test_charts_draw_references_and_levels() -> None:
    rows = pd.DataFrame([ARM | {"value": 0.4, "low": 0.2, "high": 0.6, "n": 12, "n_seeds": 2}])
    figure = by_condition(
        rows, ["Unsteered"], "Success", dark=True, factor=100, level=Level(0.5, "chance"),
        reference=[Reference("Unsteered", 80.0, "paper"), Reference("Elsewhere", 1.0, "dropped")],
    )  # fmt: skip
    assert figure.data[0].y[0] == pytest.approx(40) and list(figure.data[1].y) == [80.0]
    assert figure.layout.shapes[0].y0 == 50
    line = curves(rows.assign(x=0.0), ["Unsteered"], "Steps", y_title="y", dark=False, logarithmic=True)
    assert list(line.data[0].x) == [0.0]
    cells = pd.DataFrame(
        {"temperature": [0.0, 1.0], "top_p": [1.0, 0.9], "value": [1.0, 2.0], "words": ["a", "b"]}
    )
    grid = heat(cells, "value", "Toxicity").data[0]
    assert grid.z[0][1] == 1.0 and grid.z[0][0] is None and grid.z[1][0] == 2.0
