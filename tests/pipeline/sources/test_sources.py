"""Sources: every file format gives the same records, filters and labels mean the same in each."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hormesis.db.files import content_hash
from hormesis.pipeline.sources import Record, lines, open_source
from hormesis.pipeline.sources.json_arrays import json_rows
from hormesis.pipeline.sources.lines import text_lines
from hormesis.pipeline.sources.record import RowCount
from tests.fixtures.source_files import (
    KNOBS,
    ROWS,
    TABLES,
    file_source,
    read_all,
    refused_at_opening,
    write_rows,
)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_format_gives_the_same_records(tmp_path: Path, name: str) -> None:
    records = read_all(file_source(write_rows(tmp_path / name, ROWS)))
    assert records == [
        Record(row["text"], row["label"], row["group"], score=row["score"], kind=row["kind"])
        for row in ROWS[:3]
    ]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.zst"])
def test_text_files_hold_one_record_per_line(tmp_path: Path, name: str) -> None:
    records = read_all(file_source(write_rows(tmp_path / name, ROWS), "clean"))
    assert [record.text for record in records] == [row["text"] for row in ROWS if row["text"]]


def test_line_ends_and_byte_order_mark_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\n\r\n  two  \r\n")
    assert [record.text for record in read_all(file_source(tmp_path / "a.txt", "clean"))] == ["one", "two"]
    (tmp_path / "b.csv").write_bytes(b'\xef\xbb\xbftext\r\n"two\r\nlines"\r\n')
    assert [record.text for record in read_all(file_source(tmp_path / "b.csv", "clean"))] == ["two\nlines"]


def test_files_come_one_after_another_in_order_of_name(tmp_path: Path) -> None:
    folder = tmp_path / "odd [1]"
    folder.mkdir()
    for number in (2, 0, 1):
        (folder / f"part-{number}.txt").write_text(f"text {number}")
    cfg = file_source("part-*.txt", "clean").model_copy(update={"folder": folder})
    source = open_source(cfg, KNOBS)
    assert [record.text for record in source] == ["text 0", "text 1", "text 2"]
    assert [record.text for record in source] == ["text 0", "text 1", "text 2"], "iterating starts anew"
    revision = source.revision
    (folder / "part-1.txt").write_text("another")
    assert open_source(cfg, KNOBS).revision != revision


def test_revision_is_the_hash_of_the_content_not_of_name_or_time(tmp_path: Path) -> None:
    original, second = write_rows(tmp_path / "a.csv", ROWS), write_rows(tmp_path / "b.csv", ROWS)
    os.utime(second, (1, 1))
    first = open_source(file_source(original), KNOBS).revision
    assert first == open_source(file_source(second), KNOBS).revision == content_hash(original)
    assert len(first) == 64
    write_rows(second, ROWS[:2])
    assert open_source(file_source(second), KNOBS).revision != first


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_filters_compare_by_value_in_every_format(tmp_path: Path, name: str) -> None:
    path = write_rows(tmp_path / name, ROWS)

    def texts(**settings: Any) -> list[str]:
        return [record.text for record in read_all(file_source(path, **settings))]

    assert texts(where={"group": ["zorbs"]}) == [ROWS[1]["text"]]
    assert (
        texts(where={"label": [0]}) == texts(where={"label": [False]}) == [ROWS[0]["text"], ROWS[2]["text"]]
    )
    assert texts(where={"score": [1.5, 4]}) == [ROWS[0]["text"], ROWS[1]["text"]]
    assert texts(where_not={"kind": ["b"]}) == [ROWS[0]["text"]]
    assert texts(at_least={"score": 2.5}) == [ROWS[1]["text"], ROWS[2]["text"]]
    assert texts(below={"score": 2.5}) == [ROWS[0]["text"]]
    assert texts(limit=2, min_characters=15) == [ROWS[0]["text"], ROWS[1]["text"]]
    assert texts(max_characters=12) == [ROWS[2]["text"]]


def test_a_score_becomes_a_label_at_the_threshold(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", ROWS)
    records = read_all(file_source(path, label="score", label_threshold=2.5))
    assert [record.label for record in records] == [0, 1, 1]


def test_spelt_labels_and_missing_ones(tmp_path: Path) -> None:
    rows = [
        {"text": f"text {n}", "label": value} for n, value in enumerate(["True", "false", "1", "0.0", ""])
    ]
    path = write_rows(tmp_path / "a.csv", rows)
    plain = {"group": None, "score": None, "kind_column": None}
    assert [record.label for record in read_all(file_source(path, **plain))] == [1, 0, 1, 0]
    unlabelled = read_all(file_source(path, "toxic", label="label"))
    assert [record.label for record in unlabelled] == [1, 0, 1, 0, None], "only probe and scorer need labels"


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_dotted_names_reach_into_nested_columns(tmp_path: Path, name: str) -> None:
    rows = [{"prompt": {"text": f"start {n}", "toxicity": n / 4}, "challenging": n > 2} for n in range(4)]
    path = write_rows(tmp_path / name, rows)
    cfg = file_source(
        path,
        "prompts",
        text="prompt.text",
        score="prompt.toxicity",
        kind_column="challenging",
        where_not={"prompt.toxicity": [0.25]},
    )
    assert read_all(cfg) == [Record(f"start {n}", score=n / 4, kind=str(n > 2)) for n in (0, 2, 3)]
    refused_at_opening(file_source(path, "prompts", text="prompt"), "nested", "prompt.text")
    refused_at_opening(
        file_source(path, "prompts", text="prompt.words"), "prompt.words", "prompt.text", "challenging"
    )


def test_lines_are_found_wherever_the_chunks_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a", "bb" * 40, "", "c", "d" * 100]
    (tmp_path / "a.txt").write_text("\n".join(texts))
    for size in range(1, 120):
        monkeypatch.setattr(lines, "_CHUNK", size)
        assert [line for _, line in text_lines(tmp_path / "a.txt")] == texts


@pytest.mark.parametrize("indent", [None, 1])
def test_json_values_are_found_wherever_the_chunks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None
) -> None:
    rows = [
        {"text": 'a "quoted" \\ Gruß 🙂 [}{]', "n": [1.5e-9, None, True, {"m": []}]},
        {"text": "x" * 60},
    ] * 3
    array, lines_of_objects = json.dumps(rows, indent=indent), "\n".join(map(json.dumps, rows))
    for text in (array, json.dumps(rows, ensure_ascii=False), lines_of_objects, "\ufeff" + array, "[]"):
        (tmp_path / "a.json").write_text(text, encoding="utf-8")
        for size in (1, 2, 3, 7, 30, 61, 1 << 20):
            monkeypatch.setattr(lines, "_CHUNK", size)
            read = [row for _, row in json_rows(tmp_path / "a.json", "utf-8")]
            assert read == ([] if text == "[]" else rows), (text[:20], size)


@pytest.mark.parametrize(
    ("name", "delimiter", "encoding"),
    [("a.csv", ";", "utf-8"), ("a.csv", "\t", "utf-16"), ("a.csv", "|", "cp1252"), ("a.tsv", "\t", "cp1252"),
     ("a.json", "", "utf-16"), ("a.txt", "", "cp1252"), ("a.jsonl", "", "utf-16-le")],
)  # fmt: skip
def test_other_delimiters_and_encodings_give_the_same_records(
    tmp_path: Path, name: str, delimiter: str, encoding: str
) -> None:
    path = write_rows(tmp_path / name, [{"text": "ein Gruß, so"}, {"text": "noch; einer"}])
    text = path.read_text(encoding="utf-8")
    if delimiter:
        text = "text,more\n".replace(",", delimiter) + "\n".join(
            f'"{line}"{delimiter}1' for line in ("ein Gruß, so", "noch; einer")
        )
    path.write_bytes(text.encode(encoding))
    count = RowCount()
    source = open_source(file_source(path, "clean", encoding=encoding), KNOBS)
    assert [record.text for record in source.read(count)] == ["ein Gruß, so", "noch; einer"]
    is_told = name == "a.csv"
    assert count.note == (
        f"columns separated by {delimiter_name(delimiter)}, as in the header" if is_told else ""
    )
    explicit = file_source(path, "clean", encoding=encoding, delimiter=delimiter or None)
    assert len(read_all(explicit)) == 2


def delimiter_name(delimiter: str) -> str:
    return "tab" if delimiter == "\t" else f"'{delimiter}'"


def test_zstd_frames_behind_one_another_are_all_read(tmp_path: Path) -> None:
    frames = b"".join(zstandard.compress(f"text {n}\n".encode()) for n in range(5))
    (tmp_path / "a.txt.zst").write_bytes(frames)
    assert len(read_all(file_source(tmp_path / "a.txt.zst", "clean"))) == 5


def test_reading_needs_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    line = json.dumps({"text": "x" * 1000}).encode() + b"\n"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _ in range(400):
            stream.write(line * 100)
    tracemalloc.start()
    count = sum(1 for _ in open_source(file_source(path, "clean"), KNOBS))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40_000
    assert peak < 12e6, f"{peak / 1e6:.1f} MB for a file of 40 MB"


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(
        st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1), min_size=1
    )
)
def test_any_text_survives_the_table_formats(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    expected = [text.strip() for text in texts if text.strip()]
    for name in ("a.csv", "a.json", "a.jsonl", "a.parquet"):
        cfg = file_source(write_rows(folder / name, [{"text": text} for text in texts]), "clean")
        if expected:
            # A CSV file cannot tell a lone carriage return at the end of a line from the line's end.
            got = [record.text for record in read_all(cfg)]
            assert got == expected if name != "a.csv" else len(got) == len(expected)
