"""Items to choose between: pairs of sentences and questions with answers, from files or the forum language.

Knows files and the grammar; scores nothing. The right choice of a pair always stands first; a tie, which
real-valued likelihoods do not give, would count for it, as in lm-evaluation-harness.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from hormesis.backend.forum import REVISION, VOCABULARY, judge, post
from hormesis.backend.forum.words import FILLER_SET, REGISTERS, TERMINATOR_SET
from hormesis.db.files import content_hash
from hormesis.pipeline.sources import SourceError
from hormesis.pipeline.sources.files import table_rows
from hormesis.pipeline.sources.rows import Row, number_in, readable, text_in, value_of
from hormesis.pipeline.study.config_sections import CapabilityConfig


class CapabilityError(ValueError):
    """A capability task cannot be made or scored; one line for the person."""


@dataclass(frozen=True)
class Item:
    """A context and choices to follow it; `part` sorts items (a phenomenon), `answer` is the right one."""

    context: str
    choices: tuple[str, ...]
    answer: int
    part: str = ""


@dataclass(frozen=True)
class Task:
    """A named set of items and the revision of what they were made of."""

    name: str
    items: tuple[Item, ...]
    data: str

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return sum(1 / len(item.choices) for item in self.items) / len(self.items)


def tasks_of(config: CapabilityConfig) -> list[Task]:
    """The item tasks a study asks for. Raises CapabilityError for missing or unfit files."""
    tasks = []
    if "minimal_pairs" in config.tasks:
        tasks.append(minimal_pairs(config.items))
    if "blimp" in config.tasks:
        tasks.append(blimp(_path(config, config.blimp, "blimp"), config.items))
    if "mcq" in config.tasks:
        count = config.mcq_items or config.items
        tasks += choices(_path(config, config.mcq, "mcq"), count, config.sets)
    return tasks


def _path(config: CapabilityConfig, path: str | None, name: str) -> Path:
    if path is None:
        raise CapabilityError(f"capability.{name} must name a file for the task '{name}'")
    file = config.located(path)
    if not file.is_file():
        raise CapabilityError(f"capability.{name}: no file '{file.name}'")
    return file


def _balanced_sample(
    rows: list[dict[str, Any]], *, text: str, group: str, count: int
) -> list[dict[str, Any]]:
    """At most `count` rows by the smallest hashes of column `text`, as many of each value of `group`."""
    by_group: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: hashlib.sha256(str(row[text]).encode()).hexdigest()):
        by_group[str(row[group])].append(row)
    chosen: list[dict[str, Any]] = []
    place = 0
    while len(chosen) < min(count, len(rows)):
        for name in sorted(by_group):
            if place < len(by_group[name]) and len(chosen) < count:
                chosen.append(by_group[name][place])
        place += 1
    return chosen


def blimp(path: Path, count: int) -> Task:
    """BLiMP (Warstadt et al. 2020): the grammatical sentence should be likelier; parts are phenomena.

    Raises SourceError for a file that cannot be read as every source is, CapabilityError where two
    phenomena would have one name.
    """
    columns = ("sentence_good", "sentence_bad", "linguistics_term", "UID")
    rows = [
        {column: text_in(row, column, row_name) for column in columns}
        for row_name, row in table_rows(path, columns)
    ]
    items = [
        Item("", (f" {row['sentence_good']}", f" {row['sentence_bad']}"), 0, row["linguistics_term"])
        for row in _balanced_sample(rows, text="sentence_good", group="UID", count=count)
    ]
    parts = Counter(part_name(part) for part in {item.part for item in items})
    if repeated := [name for name, number in parts.items() if number > 1]:
        raise CapabilityError(f"{path.name}: two phenomena are named {repeated[0]}")
    return Task("blimp", tuple(items), f"{path.stem} {content_hash(path)[:12]}")


def part_name(part: str) -> str:
    """A part of a task as the names of metrics have it."""
    return part.replace(" ", "_")


def choices(path: Path, count: int, sets: tuple[str, ...] | None) -> list[Task]:
    """One task per source (those of `sets`, else all); each answer's text is scored after the question.

    Raises SourceError for a file or row that cannot be read, CapabilityError for a set that it has not.
    """
    columns = ("question", "choices", "answer_index", "source")
    rows = [_question(row, row_name) for row_name, row in table_rows(path, columns)]
    sources = sorted({row["source"] for row in rows})
    if unknown := set(sets or ()) - set(sources):
        raise CapabilityError(f"{path.name} has no set '{min(unknown)}' (it has: {', '.join(sources)})")
    tasks = []
    for name in sets or sources:
        rows_of_source = [row for row in rows if row["source"] == name]
        items = tuple(
            Item(f"Question: {row['question'].strip()}\nAnswer:", row["choices"], row["answer"])
            for row in _balanced_sample(rows_of_source, text="question", group="source", count=count)
        )
        tasks.append(Task(f"mcq_{name}", items, f"{path.stem} {content_hash(path)[:12]}"))
    return tasks


def _question(row: Row, row_name: str) -> dict[str, Any]:
    """A row of a multiple-choice file: two answers or more (a list, or JSON), and the right one's place."""
    answers, answer = value_of(row, "choices"), number_in(row, "answer_index", row_name)
    if isinstance(answers, str):
        try:
            answers = json.loads(answers)
        except ValueError:
            answers = None
    is_list = isinstance(answers, list) and all(isinstance(text, str) for text in answers)
    if not is_list or len(answers) < 2:
        raise SourceError(f"{row_name}: column 'choices' needs a list of two texts or more")
    if answer not in range(len(answers)):
        raise SourceError(
            f"{row_name}: column 'answer_index' holds {answer:g}, and the answers are 0 to {len(answers) - 1}"
        )
    return {
        "question": text_in(row, "question", row_name),
        "choices": tuple(f" {readable(text, 'choices', row_name)}" for text in answers),
        "answer": int(answer),
        "source": text_in(row, "source", row_name),
    }


def minimal_pairs(count: int, seed: int = 0) -> Task:
    """Forum sentences against ungrammatical twins.

    Two kinds of damage: `order` (two words of the sentence change places: the same bag of words) and `class`
    (one word is replaced by one that cannot stand there). The grammar itself confirms that the first is a
    sentence and the second is none.
    """
    rng = Random(f"forum/capability/{seed}")
    words = tuple(word for word in VOCABULARY if word not in FILLER_SET | TERMINATOR_SET)
    items: list[Item] = []
    while len(items) < count:
        register = REGISTERS[len(items) % len(REGISTERS)]
        written = post(rng, toxic=False, register=register, group_talk=True).text.split()
        end = next(place for place, word in enumerate(written) if word in TERMINATOR_SET)
        sentence = written[: end + 1]
        part = ("order", "class")[len(items) % 2]
        broken = list(sentence)
        if part == "order":
            a, b = rng.sample(range(end), 2)
            broken[a], broken[b] = broken[b], broken[a]
        else:
            broken[rng.randrange(end)] = rng.choice(words)
        good, bad = " ".join(sentence), " ".join(broken)
        if judge(good).grammatical == 1 and judge(bad).grammatical == 0:
            items.append(Item("", (f" {good}", f" {bad}"), 0, part))
    return Task("minimal_pairs", tuple(items), f"forum pairs {REVISION}")
