"""What stands for texts that a copy leaves out: no word of them, but what numbers need to come out the same.

A statement keeps which others have its words, its place among them in alphabetical order, by which
`pipeline.probing.feature_cells` draws, and whether the train split has a sentence of it. A token of the logit
lens keeps whether it is a toxic word, and a generation how far it repeats itself, or that it is empty.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import pandas as pd
from sqlalchemy import Engine, select

from hormesis.backend.fluency import repetition, words
from hormesis.db.contract.left_out import TEXT, is_left_out
from hormesis.db.copy.changes import StandIn
from hormesis.db.read.frame import frame
from hormesis.db.schema import Example, LensToken
from hormesis.pipeline.text.text_keys import word_bag
from hormesis.pipeline.text.toxic_sentences import share_sentence

FEWEST, TWICE = 5, 2.0
"""Statements that a word must be in to be judged; how much more frequent in toxic ones a toxic word is."""
KINDS = {1.0: "toxic word", 0.0: "other word"}
_TOKEN = re.compile(rf"{re.escape(TEXT)} (?P<kind>.*), (?P<toxic>\d+) of (?P<words>\d+) words toxic")
REPETITION = f"{TEXT} repetition "


def stand_ins(engine: Engine) -> dict[str, StandIn]:
    """For generations, statements and tokens of a database; those left out before stay as they are."""
    columns = (Example.id, Example.probe_set_id, Example.text, Example.label, Example.split)
    statements = frame(engine, select(*columns))
    tokens = frame(engine, select(LensToken.id, LensToken.probe_set_id, LensToken.token))
    of_statements: dict[int, str] = {}
    of_tokens: dict[int, str] = {}
    for set_id, of_set in statements.groupby("probe_set_id"):
        of_statements |= dict(zip(of_set["id"], _statements(of_set), strict=True))
        in_set = tokens[tokens["probe_set_id"] == set_id]
        judged = judge_tokens(in_set["token"], of_set[of_set["split"] != "train"])
        of_tokens |= dict(zip(in_set["id"], judged.stand_ins(), strict=True))
    return {
        "example.text": lambda number, text: of_statements[number],
        "lens_token.token": lambda number, text: of_tokens[number],
        # That a text is empty says no word of it.
        "generation.text": lambda number, text: (
            f"{REPETITION}{repetition_of(text)!r}" if text.strip() else ""
        ),
    }


def repetition_of(generation: str) -> float:
    """Share of 4-grams of a text, or of one that was left out, that repeat an earlier one."""
    if generation.startswith(REPETITION):
        return float(generation.removeprefix(REPETITION))
    return repetition(words(generation))


def _statements(of_set: pd.DataFrame) -> list[str]:
    """What stands for statements of a probe set: `TEXT` is a sentence of all that share one with train."""
    bags = [word_bag(text) for text in of_set["text"]]
    places = {bag: place for place, bag in enumerate(sorted(set(bags)))}
    in_train = of_set["text"][of_set["split"] == "train"]
    gaps = ["\n" if shared else " " for shared in share_sentence(of_set["text"], in_train)]
    return [f"{TEXT}{gap}{places[bag]:09d}" for gap, bag in zip(gaps, bags, strict=True)]


@dataclass(frozen=True, eq=False)
class JudgedTokens:
    """Tokens with 1 for a toxic word, 0 for another and NaN for one that was not judged (`values`, [n]); and
    how many words were judged, of which so many are toxic.
    """

    values: pd.Series
    toxic: int
    words: int

    def stand_ins(self) -> list[str]:
        """What stands for each token in a copy without texts; `judge_tokens` reads it."""
        kinds = self.values.map(KINDS).fillna("not judged")
        return [f"{TEXT} {kind}, {self.toxic} of {self.words} words toxic" for kind in kinds]


def judge_tokens(tokens: pd.Series, statements: pd.DataFrame) -> JudgedTokens:
    """Judge tokens [n] by the statements (text, label) that hold them; one left out says what it was."""
    labels = toxic_words(statements[~statements["text"].map(is_left_out).astype(bool)])
    parts = tokens.str.extract(_TOKEN)
    of_kind = {kind: value for value, kind in KINDS.items()}
    values = tokens.str.strip().str.lower().map(labels).astype(float)
    values = values.fillna(parts["kind"].map(of_kind).astype(float))
    if labels or parts["words"].isna().all():
        return JudgedTokens(values, round(sum(labels.values())), len(labels))
    counts = parts.dropna().iloc[0]
    return JudgedTokens(values, int(counts["toxic"]), int(counts["words"]))


def toxic_words(statements: pd.DataFrame) -> dict[str, float]:
    """Word to 1 where at least twice as large a part of the toxic statements holds it, else to 0.

    `statements`: a row each, text and label (1 toxic). Words of fewer than 5 statements are left out.
    `counts`: by label, how many statements hold a word; `sizes`: how many there are.
    """
    counts = {1: Counter[str](), 0: Counter[str]()}
    sizes = statements["label"].value_counts()
    for row in statements.itertuples():
        counts[int(str(row.label))].update(set(str(row.text).lower().split()))
    labels = {}
    for word in counts[1].keys() | counts[0].keys():
        toxic_share, other_share = (
            counts[label][word] / max(int(sizes.get(label, 0)), 1) for label in (1, 0)
        )
        if counts[1][word] + counts[0][word] >= FEWEST:
            labels[word] = float(toxic_share >= TWICE * other_share)
    return labels
