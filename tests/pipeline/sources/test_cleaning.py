"""Repetition inside a text, and parts of a source that share no text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hormesis.pipeline.sources.cleaning import place_of, without_repetition
from hormesis.pipeline.sources.record import Reason, RowCount
from hormesis.pipeline.sources.rows import records
from hormesis.pipeline.study.config import ConfigError, parse_study
from tests.fixtures.source_files import file_source, read_all, write_rows

SENTENCE = "the soup of the quibs was cold and nobody had brought any bread"


@pytest.mark.parametrize(
    ("text", "shorter"),
    [
        (SENTENCE, SENTENCE),
        ("bad soup " * 300, "bad soup bad soup bad"),
        (f"{SENTENCE}\n" * 40 + "and then we left", f"{SENTENCE}\nthe soup of and then we left"),
        ("Bad soup BAD SOUP bad SOUP bad soup. So!", "Bad soup BAD SOUP bad soup. So!"),
        ("o" * 500, "o" * 80),
    ],
)
def test_copy_and_paste_is_cut_to_its_first_time(text: str, shorter: str) -> None:
    assert without_repetition(text, 4) == shorter


@given(st.lists(st.sampled_from(["a", "B", "b", "soup", "?"]), min_size=1, max_size=60), st.integers(2, 6))
def test_as_many_words_stay_as_there_are_distinct_runs(words: list[str], run: int) -> None:
    text = " ".join(words)
    left = without_repetition(text, run).split()
    spelt = [word.casefold() for word in words]
    runs = [tuple(spelt[at : at + run]) for at in range(len(words) - run + 1)]
    assert len(left) == min(len(words), len(set(runs)) + run - 1)
    assert left == words or len(set(runs)) < len(runs)
    rest = iter(words)
    assert all(word in rest for word in left), "words keep their order"


def test_parts_are_even_disjoint_and_blind_to_spelling() -> None:
    places = [place_of(f"the quib number {n} was rude") for n in range(4000)]
    for low in (0.0, 0.25, 0.5, 0.75):
        assert 900 < sum(low <= place < low + 0.25 for place in places) < 1100
    assert place_of("The quib,  number\n1!") == place_of("the quib number 1")
    by_title = r"^.*? -- "
    assert (
        place_of("Soup -- it is hot", by_title)
        == place_of("Soup -- it is cold", by_title)
        == place_of("soup")
    )
    assert place_of("no title here", by_title) == place_of("no title here")


def test_rows_are_kept_by_pattern_part_and_once(tmp_path: Path) -> None:
    texts = [f"a talk page\nof quib {n % 300}" for n in range(600)] + [f"one line {n}" for n in range(50)]
    path = write_rows(tmp_path / "a.jsonl", [{"text": text} for text in texts])
    settings = {"matching": {"text": r"\n"}, "distinct": True}
    cut = 0.3
    halves = [
        {record.text for record in read_all(file_source(path, "clean", **settings, part=part))}
        for part in ([0.0, cut], [cut, 1.0])
    ]
    assert not halves[0] & halves[1]
    assert halves[0] | halves[1] == set(texts[:300])
    count = RowCount()
    rows = ((str(n), {"text": text}) for n, text in enumerate(texts))
    used = sum(1 for _ in records(rows, file_source(path, "clean", **settings, part=[0.0, cut]), count))
    assert (count.read, count.used, used) == (650, len(halves[0]), len(halves[0]))
    others = {Reason.FILTER: 50, Reason.SAME_TEXT: len(halves[0]), Reason.OTHER_PART: 2 * len(halves[1])}
    assert count.dropped == others


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("matching", {"text": "("}, "not a regular expression"),
        ("part_by", "[", "not a regular expression"),
        ("part", [0.5, 0.5], "two rising numbers"),
        ("part", [0.5, 1.5], "1.5"),
        ("cap_repetition", 1, "2"),
        ("package", "--index-url", "package"),
        ("version", "1.0", "needs package, version and sha256"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(key: str, value: object, message: str) -> None:
    source = {"role": "clean", "kind": "file", "path": "a.txt", key: value}
    with pytest.raises(ConfigError, match=message):
        parse_study({"name": "mine", "sources": [source]})
