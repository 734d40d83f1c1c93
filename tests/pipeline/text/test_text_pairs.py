"""Pairs of one meaning: which of a study's pairs probes are tested on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hormesis.pipeline.study.config import parse_study
from hormesis.pipeline.text import text_pairs
from hormesis.pipeline.text.text_pairs import paraphrases

ROWS = [
    ("", "this is wrong", "this is garbage"),
    ("A prompt", "this is odd", "this is rubbish"),
    ("", "same", "same"),
    ("", "the statement", "of the probe set"),
    ("", "set the of probe", "twice"),
    ("", "that is a pity", "that is a shame"),
]


def test_pairs_without_a_prompt_and_without_a_statements_words_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("prompt", "chosen", "rejected")
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in ROWS]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    roles = [{"role": role, "kind": "forum"} for role in ("clean", "toxic", "probe", "prompts", "informal")]
    pairs = {"role": "pairs", "kind": "file", "path": "pairs.jsonl"}
    values = {"name": "x", "sources": [*roles, pairs], "methods": {"use": ["iti", "sft"]}}
    study = parse_study(values, folder=tmp_path)
    assert study.has_paraphrases and not parse_study({**values, "methods": {"use": ["iti"]}}).has_paraphrases
    of_others = sorted([ROWS[0][1:], ROWS[5][1:]])
    first, second = paraphrases(study, ["Probe of the set"])
    assert sorted([first, second]) == of_others
    assert sorted(paraphrases(study, ["twice"])) == sorted([*of_others, ROWS[3][1:]])
    monkeypatch.setattr(text_pairs, "MOST_PARAPHRASES", 1)
    assert paraphrases(study, ["Probe of the set"]) == [first]
    assert paraphrases(parse_study({"name": "x", "methods": {"use": ["sft"]}}), []) == []
