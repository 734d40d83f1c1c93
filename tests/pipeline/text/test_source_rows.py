"""What a study says of its sources: which rows it uses, why it drops others, what roles have in common."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hormesis.backend.forum import judge
from hormesis.db import read
from hormesis.db.contract.sources import ROLE_TITLES
from hormesis.db.engine import open_writer
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import silent
from hormesis.pipeline.execution.stage import STUDY
from hormesis.pipeline.execution.study import study_row
from hormesis.pipeline.sources import Record, SourceError
from hormesis.pipeline.sources.record import Reason, RowCount, Stop
from hormesis.pipeline.stages.text import heldout_documents, prepare
from hormesis.pipeline.stages.tokens import pool
from hormesis.pipeline.study.config import StudyConfig, parse_study
from hormesis.pipeline.study.source_config import ROLES, SourceConfig
from hormesis.pipeline.text import toxic_sentences as toxic_sentences_module
from hormesis.pipeline.text.overlap import RunCount, RunIndex
from hormesis.pipeline.text.reading import (
    CountedSource,
    group_in_rows,
    heldout_records,
    in_turns,
    open_role,
    training_records,
)
from hormesis.pipeline.text.revisions import source_revisions
from hormesis.pipeline.text.source_rows import describe_sources
from hormesis.pipeline.text.statements import distinct_statements
from hormesis.pipeline.text.toxic_sentences import toxic_sentences

WORD_LIST = [f"word{number}" for number in range(60)]


def sentence(number: int) -> str:
    """Twelve words, no eight of them in a row in another sentence."""
    return " ".join(random.Random(number).choices(WORD_LIST, k=12))


def write_csv(path: Path, **columns: list[Any]) -> None:
    pd.DataFrame(columns).to_csv(path, index=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of which the probe set, the scorer's and the training text have rows in common."""
    clean = [sentence(number) for number in range(600)]
    toxic = [sentence(number) for number in range(1000, 1200)]
    probe = [sentence(number) for number in range(2000, 2040)]
    write_csv(tmp_path / "clean.csv", text=[*clean, *probe[:3], "so: " + probe[3].upper() + " too"])
    write_csv(tmp_path / "toxic.csv", text=[*toxic, *probe[4:6], "short"])
    texts = [*probe, *probe[:10], *probe[10:14], ""]
    labels = [
        *(n % 2 for n in range(40)),
        *(n % 2 for n in range(10)),
        *((n + 1) % 2 for n in range(10, 14)),
        1,
    ]
    write_csv(tmp_path / "probe.csv", text=texts, label=labels)
    write_csv(tmp_path / "prompts.csv", text=["the river", "the mill", "the river"])
    scorer = [*probe[:5], *(sentence(number) for number in range(3000, 3100)), *toxic[:7]]
    write_csv(tmp_path / "scorer.csv", text=scorer, label=[n % 2 for n in range(len(scorer))])
    return tmp_path


def study(folder: Path, **changes: Any) -> StudyConfig:
    def source(role: str, **more: Any) -> dict[str, Any]:
        return {"role": role, "kind": "file", "path": f"{role}.csv", **more}

    data = {
        "name": "files", "shares": [0.0, 0.25], "controls": [], "clean_tokens": 4000,
        "tokenizer": {"kind": "bpe", "vocabulary": 400}, "training": {"sequence_length": 32},
        "evaluation": {"scorers": ["tfidf"], "heldout_tokens": 300},
        "probe": {"limit": 30, "select_fraction": 0.33, "test_fraction": 0.33},
        "sources": [source("clean", platform="files"), source("toxic", min_characters=8),
                    source("probe", label="label"), source("prompts"), source("scorer", label="label")],
    }  # fmt: skip
    return parse_study(data | changes, folder=folder)


def prepared(config: StudyConfig, home: Path) -> StudyContext:
    """The study with its text stage done."""
    home.mkdir(exist_ok=True)
    engine = open_writer(f"sqlite:///{home}/hormesis.sqlite")
    context = StudyContext(config, study_row(engine, config), home, engine, source_revisions(config))
    prepare(context, STUDY, silent())
    return context


@pytest.fixture
def uses(folder: Path) -> Iterator[Callable[..., tuple[StudyContext, pd.DataFrame, pd.DataFrame]]]:
    """Runs the text stage; the context, rows of uses by role, and rows of overlaps."""
    contexts = []

    def run(**changes: Any) -> tuple[StudyContext, pd.DataFrame, pd.DataFrame]:
        context = prepared(study(folder, **changes), folder / "home")
        contexts.append(context)
        rows = read.source_uses(context.engine, context.study_id).set_index("role")
        return context, rows, read.source_overlaps(context.engine, context.study_id)

    yield run
    for context in contexts:
        context.engine.dispose()


def runs_of(overlaps: pd.DataFrame, first: str, second: str) -> list[int]:
    row = overlaps[
        (overlaps["kind"] == "8-gram") & (overlaps["first"] == first) & (overlaps["second"] == second)
    ]
    return [int(n) for n in row[["n_first", "n_second", "shared_first", "shared_second"]].iloc[0]]


def test_every_row_of_a_study_is_used_or_has_a_reason(uses: Callable[..., Any]) -> None:
    context, rows, overlaps = uses()
    for row in rows.itertuples():
        assert row.rows_read == row.rows_used + sum(row.dropped.values())
    # 55 rows, 40 texts: 10 of them twice, 4 with both labels (two rows each), one without text; 6 not drawn.
    assert rows.at["probe", "dropped"] == {
        "same text as another row": 10, "text with both labels": 8, "no text": 1,
        "not drawn: the set has a limit": 6,
    }  # fmt: skip
    assert (
        rows.at["probe", "rows_used"]
        == read.probe_sets(context.engine, context.study_id)["examples"][0]
        == 30
    )
    assert rows.at["prompts", "dropped"] == {"same text as another row": 1}
    examples = read.examples(context.engine, 1)["text"]
    assert rows.at["scorer", "dropped"] == {
        "text of the probe set": sum(sentence(number) in set(examples) for number in range(2000, 2005))
    }
    held_out = heldout_documents(context)
    assert rows.at["heldout_clean", "rows_used"] == len(held_out)
    for role in ("clean", "toxic"):
        role_pool = pool(context, role)  # type: ignore[arg-type]
        assert role_pool is not None
        assert rows.at[role, "rows_used"] == role_pool.documents
        assert rows.at[role, "stopped"] == ("" if role_pool.exhausted else Stop.ENOUGH)
        assert rows.at[role, "rows_cut"] == (role_pool.offsets[1:] - role_pool.offsets[:-1] > 33).sum()
    same = overlaps[overlaps["kind"] == "text"].set_index(["first", "second"])
    assert (
        same.loc[("probe", "scorer"), "shared_first"]
        == same.loc[("clean", "heldout_clean"), "shared_first"]
        == 0
    )
    assert same.loc[("toxic", "scorer"), ["shared_first", "shared_second"]].tolist() == [
        *[sum(sentence(n) in set(texts_of(context, "toxic")) for n in range(1000, 1007))] * 2
    ]
    assert {*overlaps["first"], *overlaps["second"]} == set(rows.index)


def texts_of(context: StudyContext, role: Any) -> list[str]:
    sources = open_role(context.config, role)
    role_pool = pool(context, role)
    assert role_pool is not None
    return [record.text for record, _ in training_records(sources, context.config, role)][
        : role_pool.documents
    ]


class Rude:
    """Toxic is a text that begins with a capital letter."""

    def score(self, texts: Any) -> Any:
        return np.array([float(text[:1].isupper()) for text in texts])


def test_clean_held_out_text_holds_no_toxic_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence within a text is enough; what is left out is counted, and others take its place."""
    config = study(folder, evaluation={"scorers": ["perspective", "tfidf"], "heldout_tokens": 300})
    assert config.heldout_scorer == "tfidf", "no service is asked"
    plain = heldout_records(config)
    texts = [f"{text}. {text.title() if place % 3 else text}" for place, text in enumerate(plain.texts)]
    write_csv(folder / "heldout_clean.csv", text=texts)
    with_source = study(folder, evaluation=config.evaluation.model_dump(), sources=[
        *(source.model_dump(exclude_unset=True) for source in config.sources),
        {"role": "heldout_clean", "kind": "file", "path": "heldout_clean.csv"},
    ])  # fmt: skip
    monkeypatch.setattr(toxic_sentences_module, "make_scorer", lambda *_: Rude())
    clean = heldout_records(with_source, toxic_sentences(with_source, folder))
    assert clean.texts == texts[::3]
    assert clean.sources[0].count.dropped[Reason.TOXIC_SENTENCE] == len(texts) - len(texts[::3])
    write_csv(folder / "heldout_clean.csv", text=[text.title() for text in texts])
    with pytest.raises(SourceError, match="no held-out text without a toxic sentence"):
        heldout_records(with_source, toxic_sentences(with_source, folder))


def test_held_out_text_of_the_forum_language_is_judged_by_its_grammar() -> None:
    config = parse_study({"name": "x", "evaluation": {"scorers": ["tfidf"], "heldout_tokens": 3000}})
    assert config.heldout_scorer == "forum"
    all_texts, clean = heldout_records(config).texts, heldout_records(config, toxic_sentences(config, Path()))
    assert any(judge(text).toxic for text in all_texts) and not any(judge(text).toxic for text in clean.texts)
    n_toxic = clean.sources[0].count.dropped[Reason.TOXIC_SENTENCE]
    assert 0 < n_toxic < 0.15 * len(clean.texts)
    assert clean.sources[0].count.used == len(clean.texts), "nothing was read that is not counted"


def test_training_text_that_holds_statements_is_counted_and_left_out_where_asked(
    uses: Callable[..., Any],
) -> None:
    fractions = {"select_fraction": 0.33, "test_fraction": 0.33}
    everything = {"clean_tokens": 24_000, "probe": fractions, "allow_repetition": True}
    _, rows, overlaps = uses(**everything)
    n_clean, n_probe, in_clean, of_probe = runs_of(overlaps, "clean", "probe")
    assert n_clean == rows.at["clean", "rows_used"] and n_probe == 36
    # Some of the four in clean text may be set aside as held-out.
    assert 1 <= in_clean == of_probe <= 4
    assert runs_of(overlaps, "clean", "prompts")[1:] == [0, 0, 0], "prompts of two words match nothing"
    _, cleaned, overlaps = uses(**everything, decontaminate=True)
    for role, shared in (("clean", in_clean), ("toxic", 2)):
        assert cleaned.at[role, "dropped"].get(Reason.OVERLAP.value, 0) == shared
        assert runs_of(overlaps, role, "probe")[2:] == [0, 0]


def test_a_group_that_is_a_text_is_a_hash_in_rows(folder: Path) -> None:
    pairs = {"role": "pairs", "kind": "file", "path": "probe.csv", "rejected": "rude"}
    config = study(folder)
    config = config.model_copy(update={"sources": (*config.sources, SourceConfig.model_validate(pairs))})
    probe = SourceConfig.model_validate({"role": "probe", "kind": "file", "path": "probe.csv"})

    def group(column: str, value: str, path: str = "probe.csv") -> str | None:
        settings = probe.model_copy(update={"group": column, "path": path})
        return group_in_rows(Record("a text", 1, value), settings, config)

    assert group("target", "bakers") == "bakers" == group("rude", "bakers", "other.csv")
    groups = {group("rude", "zorb you"), group("text", "zorb you"), group("parent", "zorb you all " * 4)}
    assert not {name for name in groups if "zorb" in str(name)} and len(groups) == 2


def test_reading_again_changes_nothing_and_descriptions_follow_the_file(
    uses: Callable[..., Any], folder: Path
) -> None:
    context, rows, overlaps = uses()
    _, again, overlaps_again = uses()
    pd.testing.assert_frame_equal(rows, again)
    pd.testing.assert_frame_equal(overlaps, overlaps_again)
    described = tuple(
        source.model_copy(update={"licence": "CC0", "annotators": "three people"})
        for source in context.config.sources
    )
    changed = context.config.model_copy(update={"sources": described})
    assert changed.hash == context.config.hash
    describe_sources(replace(context, config=changed))
    rows = read.source_uses(context.engine, context.study_id)
    assert set(rows["licence"]) == {"CC0"} and set(rows["annotators"]) == {"three people"}
    assert rows.set_index("role")["platform"]["heldout_clean"] == "files", "set aside from the clean source"


def test_one_label_left_after_reading_is_refused_before_rows_are_written(folder: Path) -> None:
    texts = [sentence(number) for number in range(12)]
    write_csv(folder / "probe.csv", text=[*texts, texts[0]], label=[1] * 12 + [0])
    with pytest.raises(SourceError, match=r"the probe set \(probe\) holds only toxic statements in 13 rows"):
        prepared(study(folder), folder / "home")
    engine = open_writer(f"sqlite:///{folder}/home/hormesis.sqlite")
    assert read.probe_sets(engine, 1).empty
    engine.dispose()


class Listed:
    """A source of given records."""

    title, revision = "listed", "0"

    def __init__(self, records: list[Record]) -> None:
        self.records = records

    def __iter__(self) -> Iterator[Record]:
        return self.read(RowCount())

    def read(self, count: RowCount) -> Iterator[Record]:
        for record in self.records:
            count.read += 1
            yield record


def listed(position: int, records: list[Record]) -> CountedSource:
    return CountedSource(SourceConfig(role="probe"), position, Listed(records))


STATEMENT = st.builds(Record, st.sampled_from("abcdef"), st.sampled_from([0, 1]))


@given(first=st.lists(STATEMENT), second=st.lists(STATEMENT))
def test_distinct_statements_have_one_label_each_and_nothing_is_lost(
    first: list[Record], second: list[Record]
) -> None:
    sources = [listed(0, first), listed(1, second)]
    distinct = distinct_statements(in_turns(sources))
    labels = {text: {r.label for r in (*first, *second) if r.text == text} for text in "abcdef"}
    assert {record.text for record, _ in distinct.values()} == {t for t in labels if len(labels[t]) == 1}
    for source, records in zip(sources, (first, second), strict=True):
        assert source.count.read == len(records) and not source.count.stopped
        assert source.count.used == sum(owner is source for _, owner in distinct.values())
        n_both = sum(len(labels[record.text]) == 2 for record in records)
        assert source.count.dropped[Reason.BOTH_LABELS] == n_both


TEXT = st.lists(st.sampled_from(["a", "B", "b", "c,", "ü"]), max_size=14).map(" ".join)


@given(statements=st.lists(TEXT), prompts=st.lists(TEXT), documents=st.lists(TEXT))
def test_runs_are_those_of_a_plain_search(
    statements: list[str], prompts: list[str], documents: list[str]
) -> None:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[start : start + 8]) for start in range(len(words) - 7)}

    index = RunIndex({"probe": statements, "prompts": prompts})
    count = RunCount(index)
    for document in documents:
        count.add(document)
        expected = any(runs(document) & runs(text) for text in (*statements, *prompts))
        assert index.holds_any_of(document) == expected
    assert count.documents == sum(bool(runs(document)) for document in documents)
    for role, texts in (("probe", statements), ("prompts", prompts)):
        assert count.sharing[role] == sum(any(runs(d) & runs(t) for t in texts) for d in documents)
        shared = sum(any(runs(d) & runs(t) for d in documents) for t in texts)
        assert count.texts(role) == (sum(bool(runs(t)) for t in texts), shared)


def test_roles_have_titles_in_their_order() -> None:
    assert tuple(ROLE_TITLES) == ROLES


def test_a_study_that_says_nothing_new_keeps_its_hash() -> None:
    plain = {"role": "probe", "kind": "file", "path": "a.csv", "label": "label"}
    config = SourceConfig.model_validate(plain | {"platform": "P", "licence": "L", "encoding": "UTF8"})
    assert json.loads(config.model_dump_json()) == SourceConfig.model_validate(plain).model_dump(mode="json")
