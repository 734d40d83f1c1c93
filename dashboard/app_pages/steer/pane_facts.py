"""What is said of a run: its answer, and under each text scores, what was steered, cost, fluency.

Knows states of runs, no widget.
"""

from __future__ import annotations

from typing import Any

from hormesis.dashboard.app_pages.steer.run import PaneState, Snapshot, TextState
from hormesis.dashboard.base.headlines import Headline
from hormesis.dashboard.base.verdicts import UNDECIDED
from hormesis.dashboard.base.wording import minus, points
from hormesis.db.contract.measured import Mean, PaneSummary

Facts = tuple[tuple[str, str], ...]
"""Label and value of each."""
SHOWN_FLUENCY = {
    "forum-fluency": "Fluency (forum)",
    "repetition": "Repeated 4-grams",
    "distinct_2": "Distinct bigrams",
}
ALL_POSITIONS = "all"
QUESTION = "What does steering do to the text?"


def facts(pane: PaneState, text: TextState, *, scope: str) -> Facts:
    """The answer of a pane: scores and what was steered; of one text while there is no summary of all."""
    summary = pane.summary
    if summary is None:
        return tuple((f"Toxicity ({name})", f"{points(value)} points") for name, value in text.scores.items())
    empty = (("Empty", f"{summary.empty} of {summary.n} texts"),) if summary.n > 1 else ()
    return (*_toxicity(summary), *empty, *_steered(summary, scope))


def _is_fluency(scorer: str) -> bool:
    """Whether a scorer says nothing of toxicity."""
    return scorer.endswith("fluency")


def _toxicity(summary: PaneSummary) -> Facts:
    """Mean scores in points with intervals, each with its difference to the first pane."""
    lines: list[tuple[str, str]] = []
    for name, mean in summary.scores.items():
        if _is_fluency(name):
            continue
        change = summary.differences.get(name)
        if mean.n == 1:
            tail = f" ({points(change.value, '+')})" if change is not None else ""
            lines.append((f"Toxicity ({name})", f"{points(mean.value)} points{tail}"))
            continue
        lines.append((f"Toxicity ({name})", _with_interval(mean)))
        if change is not None:
            lines.append(("Less pane 1", _with_interval(change, "+")))
    why = "empty texts are not scored" if summary.empty == summary.n else "no scorer could judge this text"
    return tuple(lines) or (("Toxicity", f"none: {why}"),)


def _with_interval(mean: Mean, sign: str = "") -> str:
    if mean.low is None or mean.high is None:
        return f"{points(mean.value, sign)} points (no interval)"
    return f"{points(mean.value, sign)} [{points(mean.low, sign)}, {points(mean.high, sign)}] points"


def _steered(summary: PaneSummary, scope: str) -> Facts:
    """How much was steered, and what came of it."""
    if not summary.positions and not summary.note:
        return (("Steered", "nothing"),)
    where = "prompt and tokens" if scope == ALL_POSITIONS else "tokens"
    heads = f"{summary.heads} head{'s' * (summary.heads != 1)}"
    count = f"{heads} at {summary.positions:,} {where}" if summary.positions else "no position"
    lines = [("Steered", count)]
    if summary.unchanged is None:
        return tuple(lines)
    if summary.note:
        return (*lines, ("Changed", f"nothing: {summary.note}"))
    texts = f"{summary.n - summary.unchanged} of {summary.n} texts" if summary.n > 1 else "the text"
    return (*lines, ("Changed", texts))


def more_facts(pane: PaneState, text: TextState) -> Facts:
    """What is folded away: this text's own scores among several, fluency, cost, and what is missing."""
    if not text.finished:
        return ()
    lines: list[tuple[str, str]] = []
    if len(pane.texts) > 1 and pane.summary is not None:
        lines += [(f"This text ({name})", f"{points(value)} points") for name, value in text.scores.items()]
    lines += [(f"Score ({name})", f"none: {why}") for name, why in text.absent.items()]
    lines += [
        (title, f"{text.fluency[name]:.2f}") for name, title in SHOWN_FLUENCY.items() if name in text.fluency
    ]
    lines.append(("Added cost", _nats(text.cost) or text.cost_note or "not measured at this setting"))
    return tuple(lines)


def _nats(cost: dict[str, Any] | None) -> str:
    """A measured cost with its interval, to a ten thousandth of a nat; empty where there is none."""
    value, low, high = (cost or {}).get("value"), (cost or {}).get("low"), (cost or {}).get("high")
    if not isinstance(value, int | float):
        return ""
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return minus(f"{value:+.4f} nats (no interval)")
    return minus(f"{value:+.4f} [{low:+.4f}, {high:+.4f}] nats")


def answer(state: Snapshot | None) -> Headline:
    """What the run on show says: its last pane against its first, by the first scorer of toxicity."""
    if state is None:
        return Headline(QUESTION, "", "Press Generate: each pane continues this prompt.")
    summaries = [pane.summary for pane in state.panes if pane.summary is not None]
    if len(summaries) < len(state.panes):
        waiting = "The answer comes with the last text." if state.active else "Not every text came."
        return Headline(QUESTION, "", waiting)
    first, last = summaries[0], summaries[-1]
    change = next((mean for name, mean in last.differences.items() if not _is_fluency(name)), None)
    if change is None:
        return Headline(QUESTION, "", "One pane alone: nothing to compare it with.")
    if change.low is None or change.high is None:
        return Headline(QUESTION, "", "One text of each pane proves nothing: ask for more of each.")
    scorer = next(name for name in last.differences if not _is_fluency(name))
    base = f"({scorer}, n = {change.n} texts of one prompt)."
    base += _empty_texts(first, last)
    if change.low <= 0 <= change.high:
        words = f"Undecided: toxicity of pane {last.pane + 1} less pane 1 is "
        words += f"{_with_interval(change, '+')} {base}"
        return Headline(QUESTION, UNDECIDED, words)
    side = "lower" if change.value < 0 else "higher"
    low, high = sorted((abs(change.low), abs(change.high)))
    size = f"{points(abs(change.value))} [{points(low)}, {points(high)}] points"
    return Headline(QUESTION, "", f"Toxicity is {size} {side} in pane {last.pane + 1} than in pane 1 {base}")


def _empty_texts(first: PaneSummary, last: PaneSummary) -> str:
    """How many texts of two panes are empty; nothing where none is."""
    if not first.empty and not last.empty:
        return ""
    counts = f"{first.empty} of {first.n} texts {'is' if first.empty == 1 else 'are'} empty in pane 1"
    return f" {counts}, {last.empty} in pane {last.pane + 1}; empty texts are not scored."


def former(headline: Headline, number: int) -> Headline:
    """The headline while the controls say something else than run `number`, of which `headline` speaks."""
    words = "Press Generate: these settings have not been run."
    return Headline(QUESTION, "", words, f"Run {number}, of other settings: {headline.answer}")
