"""The frontier: conditions no other condition beats in both toxicity and cost."""

from __future__ import annotations

from collections.abc import Sequence


def non_dominated(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of points that no other point beats, where smaller is better in both coordinates.

    A point is beaten by one that is no larger in either coordinate and smaller in at least one. Equal points
    are all kept. The order is by rising first coordinate, then second.
    """
    order = sorted(range(len(points)), key=lambda index: points[index])
    indices: list[int] = []
    lowest_second = float("inf")
    last_point: tuple[float, float] | None = None
    for index in order:
        if points[index][1] < lowest_second:
            lowest_second, last_point = points[index][1], points[index]
            indices.append(index)
        elif points[index] == last_point:
            indices.append(index)
    return indices
