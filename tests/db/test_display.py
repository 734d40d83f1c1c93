"""Objects in a notebook: escaped, texts closed until they are opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import pytest

from hormesis.db.display import Displayed, Texts, table_html

TEXTS = Texts(
    "Said <here>",
    pd.DataFrame(
        {"prompt": ["a <b>", "c"], "text": ["grk & drk", "f"], "score": [0.25, None], "tokens": [3, 1]}
    ),
)


class Box(Displayed):
    def _title(self) -> str:
        return "Box <1>"

    def _properties(self) -> Mapping[str, str]:
        return {"size": "3 < 4", "colour": "red"}

    def _tables(self) -> Sequence[pd.DataFrame]:
        return [pd.DataFrame({"n": range(20)})]


def test_object_shows_title_facts_and_the_first_rows() -> None:
    assert repr(Box()) == "Box <1>\n  size    3 < 4\n  colour  red"
    page = Box()._repr_html_()
    assert "Box &lt;1&gt;" in page
    assert "3 &lt; 4" in page
    assert "12 of 20 rows" in page
    assert "<td>12</td>" not in page


def test_missing_numbers_are_dashes_and_others_have_three_decimals() -> None:
    page = table_html(pd.DataFrame({"x": [0.12345, None], "rank": pd.array([1, None], dtype="Int64")}))
    assert "0.123" in page
    assert page.count("–") == 2
    assert "NA" not in page


def test_texts_are_a_sequence_and_a_frame() -> None:
    assert list(TEXTS) == ["grk & drk", "f"]
    assert TEXTS[1] == "f"
    assert TEXTS[-1:].frame["prompt"].tolist() == ["c"]
    assert TEXTS["tokens"].tolist() == [3, 1]
    with pytest.raises(IndexError):
        TEXTS[2]


def test_texts_stay_closed() -> None:
    assert "grk" not in repr(TEXTS)
    assert "2 texts, hidden" in repr(TEXTS)
    page = TEXTS._repr_html_()
    assert "Said &lt;here&gt;" in page
    assert page.count("<details>") == 2
    assert page.index("score 0.25, tokens 3</summary>") < page.index("grk &amp; drk")
    assert "2. tokens 1" in page
