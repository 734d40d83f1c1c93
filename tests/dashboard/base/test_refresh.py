"""The pace at which pages redraw themselves: quick for one viewer, a bounded share for many."""

from __future__ import annotations

import pytest

from hormesis.dashboard.base.refresh import AROUND, LONGEST, LOOK, REDRAW, SHARE, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def crowd(pace: Pace, number: int, *parts: str) -> None:
    for place in range(number):
        pace.begin(f"viewer {place}")
        for part in parts:
            pace.part(f"viewer {place}", part)


def settle(pace: Pace, name: str, seconds: float) -> None:
    for _ in range(60):
        pace.took("viewer 0", name, seconds)


def test_one_viewer_is_served_at_the_shortest_pauses() -> None:
    pace = Pace(2)
    crowd(pace, 1, "pulse", "progress")
    settle(pace, "page", 0.05)
    assert pace.look_every() == LOOK and pace.redraw_every() == REDRAW


@pytest.mark.parametrize("number", [20, 50, 200])
def test_many_viewers_together_stay_within_the_share(number: int) -> None:
    pace = Pace(2)
    crowd(pace, number, "pulse", "progress")
    settle(pace, "page", 0.04)
    settle(pace, "progress", 0.008)
    ticks = number * (AROUND + 0.008 + AROUND) / pace.look_every()
    redraws = number * (0.04 + AROUND) / pace.redraw_every()
    assert ticks + redraws <= 2 * SHARE * 1.01 or pace.redraw_every() == LONGEST
    assert pace.look_every() >= LOOK and pace.redraw_every() >= REDRAW


def test_more_processors_allow_shorter_pauses() -> None:
    small, large = Pace(2), Pace(64)
    for pace in (small, large):
        crowd(pace, 50, "pulse")
    assert large.redraw_every() < small.redraw_every()


def test_those_who_left_are_no_longer_counted() -> None:
    clock = Clock()
    pace = Pace(2, clock)
    crowd(pace, 50, "pulse")
    assert pace.redraw_every() > REDRAW
    for _ in range(20):
        clock.now += 10
        pace.took("viewer 7", "pulse", 0.001)
    assert pace.redraw_every() == REDRAW and pace.look_every() == LOOK


def test_one_slow_run_does_not_stop_the_redraws_but_many_slow_ones_space_them() -> None:
    pace = Pace(2)
    crowd(pace, 1, "pulse")
    pace.took("viewer 0", "page", 5.0)
    assert pace.redraw_every() <= 2 * REDRAW
    settle(pace, "page", 5.0)
    assert pace.redraw_every() == LONGEST


def test_a_page_drawn_anew_forgets_the_parts_of_the_one_before() -> None:
    pace = Pace(2)
    crowd(pace, 50, "pulse", "progress")
    settle(pace, "progress", 0.05)
    before = pace.look_every()
    crowd(pace, 50, "pulse")
    assert pace.look_every() < before
