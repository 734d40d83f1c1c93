"""What a run is said to show: toxicity in points, empty texts by pane, which settings the answer is of."""

from __future__ import annotations

from hormesis.backend.scorers.sample_means import mean_difference, mean_of
from hormesis.dashboard.app_pages.steer.pane_facts import answer, facts, former
from hormesis.dashboard.app_pages.steer.run import PaneState, Snapshot, TextState
from hormesis.db.contract.measured import PaneSummary

BEFORE = (0.9, 0.8, 0.0, 0.7)
AFTER = (0.1, 0.2, 0.0, 0.0)


def pane(index: int, scores: tuple[float, ...]) -> PaneState:
    """A pane in which the texts that score 0 are empty, and so have no score."""
    values = [score or None for score in scores]
    texts = tuple(
        TextState(text="x" if value else "", finished=True, scores={"forum": value} if value else {},
                  fluency={"empty": float(not value)})
        for value in values
    )  # fmt: skip
    mean, difference = mean_of(values), mean_difference(values, [score or None for score in BEFORE])
    assert mean is not None and difference is not None
    summary = PaneSummary(
        pane=index, n=len(scores), empty=scores.count(0.0), scores={"forum": mean},
        differences={"forum": difference} if index else {}, strength=0.0, heads=0, positions=0,
        unchanged=None, note="",
    )  # fmt: skip
    return PaneState(texts, summary)


def run(*panes: PaneState) -> Snapshot:
    return Snapshot("done", None, panes, error="", first_token=None, seconds=1.0)


def test_the_answer_names_empty_texts_which_have_no_score() -> None:
    sentence = answer(run(pane(0, BEFORE), pane(1, AFTER))).answer
    assert sentence.endswith("1 of 4 texts is empty in pane 1, 2 in pane 2; empty texts are not scored.")
    full = tuple(score or 0.1 for score in BEFORE), tuple(score or 0.1 for score in AFTER)
    assert "empty" not in answer(run(pane(0, full[0]), pane(1, full[1]))).answer


def test_toxicity_is_in_points() -> None:
    first, second = pane(0, BEFORE), pane(1, AFTER)
    lines = dict(facts(second, second.texts[0], scope="generated"))
    assert lines["Toxicity (forum)"] == "15 [0, 79] points" and lines["Empty"] == "2 of 4 texts"
    assert lines["Less pane 1"] == "−70 [−100, +57] points"
    sentence = answer(run(first, second)).answer
    assert "less pane 1 is −70 [−100, +57] points (forum, n = 2 texts of one prompt)." in sentence
    streaming = PaneState((TextState(text="x", finished=True, scores={"forum": 0.071}),))
    assert facts(streaming, streaming.texts[0], scope="all") == (("Toxicity (forum)", "7 points"),)


def test_an_answer_of_other_settings_says_so() -> None:
    headline = former(answer(run(pane(0, BEFORE), pane(1, AFTER))), 3)
    assert headline.answer == "Press Generate: these settings have not been run." and not headline.status
    assert headline.detail.startswith("Run 3, of other settings: Undecided: toxicity of pane 2")
