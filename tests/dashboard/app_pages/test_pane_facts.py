"""What a run is said to show: toxicity in points, empty texts by pane, which settings the answer is of."""

from __future__ import annotations

import pytest

from hormesis.backend.scorers.sample_means import mean_difference, mean_of
from hormesis.dashboard.app_pages.steer.pane_facts import answer, facts, former
from hormesis.dashboard.app_pages.steer.run import PaneState, Snapshot, TextState
from hormesis.db.contract.measured import PaneSummary

BEFORE = (0.9, 0.8, 0.0, 0.7)
AFTER = (0.1, 0.2, 0.0, 0.0)


def pane(index: int, scores: tuple[float, ...], *, empty_score: float = 0.0) -> PaneState:
    """A pane in which the texts that score 0 are empty, and score `empty_score`."""
    values = [score or empty_score for score in scores]
    texts = tuple(
        TextState(text="" if not score else "x", finished=True, scores={"forum": value},
                  fluency={"empty": float(not score)})
        for score, value in zip(scores, values, strict=True)
    )  # fmt: skip
    mean, difference = mean_of(values), mean_difference(values, [score or empty_score for score in BEFORE])
    assert mean is not None and difference is not None
    summary = PaneSummary(
        pane=index, n=len(scores), empty=scores.count(0.0), scores={"forum": mean},
        differences={"forum": difference} if index else {}, strength=0.0, heads=0, positions=0,
        unchanged=None, note="",
    )  # fmt: skip
    return PaneState(texts, summary)


def run(*panes: PaneState) -> Snapshot:
    return Snapshot("done", None, panes, error="", first_token=None, seconds=1.0)


@pytest.mark.parametrize(("empty_score", "words"), [(0.0, "score 0."), (0.3, "score 30.")])
def test_the_answer_names_empty_texts_and_what_they_score(empty_score: float, words: str) -> None:
    panes = [pane(place, scores, empty_score=empty_score) for place, scores in enumerate((BEFORE, AFTER))]
    sentence = answer(run(*panes)).answer
    assert sentence.endswith(f"1 of 4 texts is empty in pane 1, 2 in pane 2; empty texts {words}")
    full = tuple(score or 0.1 for score in BEFORE), tuple(score or 0.1 for score in AFTER)
    assert "empty" not in answer(run(pane(0, full[0]), pane(1, full[1]))).answer


def test_toxicity_is_in_points() -> None:
    first, second = pane(0, BEFORE), pane(1, AFTER)
    lines = dict(facts(second, second.texts[0], scope="generated"))
    assert lines["Toxicity (forum)"] == "8 [0, 23] points" and lines["Empty"] == "2 of 4 texts"
    assert lines["Less pane 1"] == "−52 [−100, +5] points"
    sentence = answer(run(first, second)).answer
    assert "less pane 1 is −52 [−100, +5] points (forum, n = 4 texts of one prompt)." in sentence
    streaming = PaneState((TextState(text="x", finished=True, scores={"forum": 0.071}),))
    assert facts(streaming, streaming.texts[0], scope="all") == (("Toxicity (forum)", "7 points"),)


def test_an_answer_of_other_settings_says_so() -> None:
    headline = former(answer(run(pane(0, BEFORE), pane(1, AFTER))), 3)
    assert headline.answer == "Press Generate: these settings have not been run." and not headline.status
    assert headline.detail.startswith("Run 3, of other settings: Undecided: toxicity of pane 2")
