"""Stop strings: whatever the pieces, the text is that up to the first one, and nothing waits without need."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hormesis.backend.api.stop_strings import StoppedText

TEXT = st.text("ab\n", max_size=4)


@given(st.lists(TEXT), st.lists(st.text("ab\n", min_size=1, max_size=3), max_size=3))
def test_pieces_joined_are_the_text_up_to_the_first_stop(pieces: list[str], stops: list[str]) -> None:
    row = StoppedText(stops)
    output = [row.add(piece) for piece in pieces]
    so_far = ""
    for place, piece in enumerate(pieces):
        so_far += piece
        if any(stop in so_far for stop in stops):
            end = min(so_far.index(stop) for stop in stops if stop in so_far)
            assert ("".join(output), row.rest(), row.is_stopped) == (so_far[:end], "", True)
            assert row.tokens == place + 1
            return
    assert not row.is_stopped and "".join(output) + row.rest() == so_far


def test_text_waits_only_where_a_stop_may_have_begun() -> None:
    row = StoppedText(["\n\n"])
    assert [row.add(piece) for piece in ("one", " two\n", "three", "\n")] == ["one", " two", "\nthree", ""]
    assert row.rest() == "\n"
