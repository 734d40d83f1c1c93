"""Colours of arms: one per share, seen on light and dark ground, told apart by colour-blind eyes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hormesis.dashboard.base.colours import CONTROL, arm_colour, arm_mark, share_colour

Colour = NDArray[np.float64]
VISIONS = {
    "usual": np.eye(3),
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""What an eye makes of linear RGB: Machado, Oliveira and Fernandes 2009, severity 1."""
TO_XYZ = [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
]
APART = 25.0
"""Distance in CIELAB at which two markers are told apart without doubt."""


@given(st.floats(0, 1))
def test_a_share_has_one_colour_and_the_control_has_none_of_them(share: float) -> None:
    assert share_colour(share) == share_colour(share) == arm_colour("toxic", share)
    assert arm_colour("clean-forum", share) == CONTROL != share_colour(share)
    assert arm_colour("meda", share) == share_colour(share), "toxic text read in another way"
    assert len({arm_mark(kind) for kind in ("toxic", "clean-forum", "meda", "inst", "slung")}) == 5


def linear(colour: str) -> Colour:
    """Linear RGB of a hex colour."""
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(rgb: Colour) -> Colour:
    """CIELAB of linear RGB, white D65."""
    xyz = np.array(TO_XYZ) @ rgb.clip(0, 1) / [0.95047, 1.0, 1.08883]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def luminance(colour: str) -> float:
    return float(np.array(TO_XYZ[1]) @ linear(colour))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.10, 0.15, 0.20, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("ground", ["#FFFFFF", "#11161B"])
def test_share_colours_stand_out_on_light_and_dark(share: float, ground: str) -> None:
    light, dark = sorted((luminance(share_colour(share)), luminance(ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3


@pytest.mark.parametrize("vision", VISIONS)
def test_shares_are_told_apart_by_colour_blind_eyes_too(vision: str) -> None:
    eyes = [lab(np.array(VISIONS[vision]) @ linear(share_colour(share))) for share in (0, 0.05, 0.1, 0.25)]
    least = min(float(np.linalg.norm(first - second)) for first, second in itertools.combinations(eyes, 2))
    assert least >= APART, f"{least:.1f}"
