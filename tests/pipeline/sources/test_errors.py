"""Sources: every mistake is one clear line, at opening where it can be known there."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hormesis.pipeline.commands.verify import _verify_rest
from hormesis.pipeline.sources import SourceError, open_source, rows
from hormesis.pipeline.sources.hub_rows import Place, Split, SplitRows, Stream
from hormesis.pipeline.study.config_sections import ForumConfig
from tests.fixtures.source_files import ROWS, TABLES, file_source, refused, refused_at_opening, write_rows


@pytest.mark.parametrize("name", TABLES)
def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path, name: str) -> None:
    path = write_rows(tmp_path / name, ROWS)
    refused_at_opening(file_source(path, text="body"), "'body'", "text, label, group, kind, score")
    refused_at_opening(file_source(path, where={"colour": ["red"]}), "'colour'", name)


def test_text_files_have_no_labels(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.txt", ROWS)
    refused_at_opening(file_source(path), "'label'", "columns: text")


def test_a_probe_source_needs_a_label_column(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.csv", ROWS)
    refused_at_opening(file_source(path, label=None), "label column")


def test_what_is_not_there_is_said_at_opening(tmp_path: Path) -> None:
    refused_at_opening(file_source(tmp_path / "gone.csv"), "gone.csv", "no such file")
    refused_at_opening(file_source(tmp_path / "*.csv"), "no file matches")
    refused_at_opening(file_source(tmp_path), "is a folder")
    (tmp_path / "a.docx").write_bytes(b"x")
    refused_at_opening(file_source(tmp_path / "a.docx"), "a.docx", ".parquet")
    (tmp_path / "a.parquet.gz").write_bytes(b"x")
    refused_at_opening(file_source(tmp_path / "a.parquet.gz"), "unpack")


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.parquet", "a.jsonl.gz", "a.csv.zst"])
def test_empty_files_are_said_at_opening(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    refused_at_opening(file_source(tmp_path / name), name, "empty")


def test_files_without_rows_are_said_at_opening(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n")
    refused_at_opening(file_source(tmp_path / "a.csv"), "no rows", "text, label")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"\n\n"))
    refused_at_opening(file_source(tmp_path / "a.jsonl.gz"), "empty")
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    refused_at_opening(file_source(tmp_path / "a.parquet"), "no rows")


def test_a_broken_parquet_file_is_said_at_opening(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.parquet", ROWS)
    content = path.read_bytes()
    for broken in (content[:-20], b"not parquet at all", content[: len(content) // 2]):
        path.write_bytes(broken)
        refused_at_opening(file_source(path), "a.parquet", "parquet")


def test_broken_parquet_data_is_said_when_reached(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"text number {n}" for n in range(5000)]})
    pq.write_table(table, path, row_group_size=2500, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    refused(file_source(path, "clean"), "a.parquet", "broken parquet data")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_cut_or_mangled_archive_is_said(tmp_path: Path, name: str) -> None:
    rows = [{"text": os.urandom(30).hex()} for _ in range(4000)]
    path = write_rows(tmp_path / name, rows)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    refused(file_source(path, "clean"), name, "copy it again")
    path.write_bytes(b"plainly not compressed")
    refused_at_opening(file_source(path, "clean"), name, "copy it again")


@pytest.mark.parametrize("line", ["{broken", '["a list"]', '{"text": "cut', "NaN"])
def test_a_broken_json_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n\n' + line + "\n")
    refused(file_source(tmp_path / "a.jsonl", "clean"), "a.jsonl, line 3")


def test_a_broken_csv_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\nfine,1\ntoo,many,fields\n")
    refused(file_source(path, "clean"), "a.csv, line 3", "3 fields", "2")
    path.write_text('text,label\nfine,1\n"never closed,0\n')
    refused(file_source(path, "clean"), "a.csv, line 3", "CSV")
    path.write_text("text,text\na,b\n")
    refused(file_source(path, "clean"), "twice")


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
def test_text_in_another_encoding_is_named(tmp_path: Path, name: str) -> None:
    path = write_rows(tmp_path / name, [{"text": "fine"}, {"text": "also fine"}])
    path.write_bytes(path.read_bytes() + "\nGrüße\n".encode("latin-1"))
    refused(file_source(path, "clean"), name, "line", "not UTF-8", 'encoding = "cp1252"')
    refused(file_source(path, "clean", encoding="utf-16"), name, "not utf-16 text", "encoding")
    path.write_bytes("text,x\nGrüße,1\n".encode("utf-16"))
    refused(file_source(path, "clean"), name, 'encoding = "utf-16"')


def test_what_a_format_has_not_is_refused(tmp_path: Path) -> None:
    refused_at_opening(
        file_source(write_rows(tmp_path / "a.jsonl", ROWS), delimiter=";"), "a delimiter is given"
    )
    parquet = write_rows(tmp_path / "a.parquet", ROWS)
    refused_at_opening(file_source(parquet, encoding="cp1252"), "always UTF-8")


@pytest.mark.parametrize(
    "text",
    ['[{"text": "fine"}, {"text"', '[{"text": "fine"}', '[{"text": "fine"} 3]', '{"text": tru}', "[[1]]"],
)
def test_a_broken_json_array_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    refused(file_source(tmp_path / "a.json", "clean"), "a.json", "row ")


def test_labels_that_are_neither_are_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", ROWS)
    refused(file_source(path, label="score"), "line 1", "1.5", "label_threshold")
    refused(file_source(path, label="group"), "quibs", "not 0 or 1")
    refused(file_source(path, label="group", label_threshold=2.0), "quibs", "not a number")
    refused(file_source(path, score="kind"), "'kind'", "not a number")
    refused(file_source(path, text="score"), "float", "not text")


def test_nothing_left_is_said_with_the_number_of_rows(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", ROWS)
    refused(file_source(path, where={"group": ["nobody"]}), "none of 5 rows")
    refused(file_source(path, min_characters=1000), "none of 5 rows")


LONG = "9" * 5000
"""Digits, more than Python reads as a number."""


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"text": '"half \\ud83d"'}, ("column 'text' holds half a character", "'\\ud83d'", "as its 6th")),
        ({"group": '"\\udc00"'}, ("column 'group' holds half a character",)),
        ({"text": '"a\\u0000b"'}, ("column 'text' holds a null character", "leave the row out")),
        ({"score": LONG}, ("column 'score' holds", "not finite")),
        ({"score": "9" * 400}, ("column 'score' holds", "not finite")),
        ({"score": f'"{"9" * 400}"'}, ("column 'score' holds", "not finite")),
        ({"score": "1e999"}, ("column 'score' holds", "not finite")),
        ({"label": LONG}, ("label column 'label' holds",)),
        ({"text": LONG}, ("column 'text' holds float, not text",)),
    ],
)
@pytest.mark.parametrize("ending", ["jsonl", "json"])
def test_a_bad_cell_is_told_with_file_row_and_column(
    tmp_path: Path, cells: dict[str, str], words: tuple[str, ...], ending: str
) -> None:
    good = {"text": '"fine"', "label": "1", "group": '"a"', "score": "0.5"}
    lines = [
        "{" + ", ".join(f'"{name}": {cell}' for name, cell in row.items()) + "}"
        for row in (good, good | cells)
    ]
    path = tmp_path / f"a.{ending}"
    path.write_text("\n".join(lines) if ending == "jsonl" else f"[{', '.join(lines)}]")
    place = f"a.{ending}, {'line' if ending == 'jsonl' else 'row'} 2"
    refused(file_source(path, group="group", score="score", kind_column=None), place, *words)


def test_a_long_number_in_a_column_that_nobody_reads_is_read_over(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "fine", "label": 1, "other": {LONG}}}\n')
    source = file_source(path, group=None, score=None, kind_column=None)
    assert [record.text for record in open_source(source, ForumConfig())] == ["fine"]


def test_no_error_of_a_row_goes_without_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(*arguments: object) -> None:
        raise OverflowError("a cell that nobody thought of")

    path = write_rows(tmp_path / "a.csv", ROWS)
    monkeypatch.setattr(rows, "record_of", odd)
    refused(file_source(path), "a.csv, line 2", "nobody thought of", "leave it out")


@pytest.mark.parametrize("name", ["000000000000.jsonl.zst", "ended.json"])
def test_rows_of_the_hub_that_were_damaged_since_are_named(name: str, own_home: Path) -> None:
    split = SplitRows(Split("owner/data", None, (), "train", ("text",), "c" * 40))
    split._write([{"text": "a"}, {"text": "b"}], Place(2))
    split._end(cast(Stream, SimpleNamespace(stated_rows=None)))
    assert [row["text"] for row in split] == ["a", "b"] and not _verify_rest(own_home, set()).problems
    path = split.split.folder / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    line = f"{path} is damaged; delete its folder and run again"
    with pytest.raises(SourceError, match=re.escape(line)):
        list(split)
    assert [problem.partition(":")[0] for problem in _verify_rest(own_home, set()).problems] == [
        f"{path} is damaged"
    ]
