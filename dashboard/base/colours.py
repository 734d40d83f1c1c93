"""Colours: one sequential scale for the share, a neutral for the control arm, ramps for conditions.

Knows no data. The share scale rises along blue to yellow, which all common kinds of colour blindness keep
but the rarest; its lightness goes up and down, so that neighbouring stops are told apart by all eyes. Every
stop has a contrast of 3 or more on both the light and the dark page.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

CONTROL: Final = "#8792A0"
"""The clean-forum control arm: a neutral, always drawn with dashes and an open diamond."""
IMPORTED: Final = "#3E9E6E"
"""Checkpoints that were imported, so have no share."""
MARKS: Final = {
    "toxic": ("circle", "solid"),
    "imported": ("circle", "solid"),
    "meda": ("square-open", "dashdot"),
    "inst": ("triangle-up-open", "dot"),
    "slung": ("cross-open", "longdash"),
}

_STOPS: Final[tuple[tuple[float, str], ...]] = (
    (0.00, "#0570F4"),
    (0.05, "#9D85CC"),
    (0.10, "#9D4868"),
    (0.15, "#D77873"),
    (0.20, "#8A591A"),
    (0.25, "#B68F02"),
    (1.00, "#5F7A22"),
)
_RAMP_LIGHT: Final = ("#2A9D9D", "#127575", "#0A4B4F", "#062D31")
_RAMP_DARK: Final = ("#2C8C8C", "#3FB5AE", "#7AD9CF", "#BFF2EA")
SEQUENTIAL: Final = "Cividis"
"""Plotly's name of the scale of head maps: colour-blind safe, ordered by lightness."""


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def share_colour(share: float) -> str:
    """Hex colour of a share (0 to 1), mixed from the two of `_STOPS` (share, colour) around it."""
    share = min(max(share, 0.0), 1.0)
    stop_index = min(bisect_right([stop for stop, _ in _STOPS], share), len(_STOPS) - 1)
    (low, first), (high, second) = _STOPS[stop_index - 1], _STOPS[stop_index]
    weight = (share - low) / (high - low)
    mixed = (round(a + weight * (b - a)) for a, b in zip(_rgb(first), _rgb(second), strict=True))
    return "#" + "".join(f"{value:02X}" for value in mixed)


def arm_colour(kind: str, share: float | None) -> str:
    """Colour of an arm: its share's own, the neutral for the control, green for an imported checkpoint."""
    if kind.partition(":")[0] == "imported" or share is None:
        return IMPORTED
    return CONTROL if kind == "clean-forum" else share_colour(share)


def arm_mark(kind: str) -> tuple[str, str]:
    """Plotly's marker and line of a kind of arm, which tell arms of one share apart."""
    return MARKS.get(kind.partition(":")[0], ("diamond-open", "dash"))


def fade(colour: str, opacity: float) -> str:
    """The same colour as CSS rgba with an opacity from 0 to 1."""
    red, green, blue = _rgb(colour)
    return f"rgba({red},{green},{blue},{opacity:g})"


def ink(*, dark: bool) -> str:
    """Colour of unsteered lines and reference marks."""
    return "#C9D2DA" if dark else "#414D59"


def ramp(position: int, *, dark: bool) -> str:
    """Ordered colours of steered conditions, weakest first; further ones repeat the last."""
    colours = _RAMP_DARK if dark else _RAMP_LIGHT
    return colours[min(position, len(colours) - 1)]


def diverging(*, dark: bool) -> list[list[float | str]]:
    """Plotly colour scale for differences: blue below zero, the page's own ground at zero, orange above."""
    middle = "#2A323A" if dark else "#F4F4F2"
    return [[0.0, "#2F74D0"], [0.5, middle], [1.0, "#E37B33"]]
