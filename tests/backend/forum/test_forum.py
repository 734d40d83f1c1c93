"""The forum language: generator and ground truth agree, broken text is judged by its rules."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hormesis.backend import forum
from hormesis.backend.forum import words
from hormesis.backend.forum.automaton import STATES, compile_templates
from hormesis.backend.forum.grammar import TEMPLATES, Template, slot_words
from hormesis.backend.forum.writer import body, dress, latents


def _pattern(template: Template) -> str:
    slots = ["(?:" + "|".join(map(re.escape, slot_words(slot))) + ")" for slot in template.slots]
    fillers = "|".join(sorted(words.FILLER_SET))
    ends = "|".join(map(re.escape, sorted(words.TERMINATOR_SET)))
    return rf"(?:(?:{fillers}) )?{' '.join(slots)} (?:{ends})"


PATTERNS = {
    toxic: re.compile("|".join(_pattern(t) for t in TEMPLATES if t.toxic == toxic)) for toxic in (True, False)
}
"""The grammar a second time, as two regular expressions: independent of the automaton."""


def _sentence(rng: Random, template: Template, register: str = "plain") -> str:
    return " ".join(dress(rng, body(rng, template, latents(rng, register)), register))


def test_every_word_has_one_class_and_the_sizes_are_as_planned() -> None:
    owned = [word for group in words.CLASSES.values() for word in group]
    owned += [word for topic in words.TOPICS.values() for group in topic.values() for word in group]
    owned += [*words.FILLER_SET, *words.TERMINATOR_SET]
    letters = {*words.CLASSES, "N", "V", "P", "A+", "A-", "B+", "B-"}
    owned += sorted({slot for t in TEMPLATES for slot in t.slots} - letters)
    assert [word for word, count in Counter(owned).items() if count > 1] == []
    assert tuple(sorted(owned)) == forum.VOCABULARY
    assert 320 <= len(forum.VOCABULARY) <= 390
    kinds = Counter(template.kind for template in TEMPLATES)
    assert kinds == {"topic": 6, "benign-group": 7, "confusable": 12, "explicit": 4, "implicit": 4}
    assert all(re.fullmatch(r"[a-z]+|[.;!]|!!", word) for word in forum.VOCABULARY)


def test_no_sentence_belongs_to_two_templates() -> None:
    """Every pair of templates, slot by slot: some slot shares no word."""
    forms = [(template, [set(slot_words(slot)) for slot in template.slots]) for template in TEMPLATES]
    for (form, slots), (other, others) in product(forms, forms):
        if form.name < other.name and len(slots) == len(others):
            assert any(not a & b for a, b in zip(slots, others, strict=True)), (form.name, other.name)


def test_ambiguous_grammar_is_refused_when_compiled() -> None:
    bad = (*TEMPLATES, Template("twin", "explicit", "they met G at the P T", True))
    with pytest.raises(ValueError, match="share a sentence"):
        compile_templates(bad)


def test_classes_that_overlap_in_part_are_split_and_not_confused() -> None:
    forms = (
        Template("any", "topic", "S X A"),
        Template("more", "explicit", "S X A- G", True),
        Template("other", "topic", "S X A+ W"),
    )
    states = compile_templates(forms)

    def accepted(*sentence: str) -> str | None:
        state = states[0]
        for word in sentence:
            if word not in state.next:
                return None
            state = states[state.next[word]]
        return state.accepts.name if state.accepts else ""

    for word in words.POSITIVE:
        verdicts = [accepted("i", "admire", word, *rest) for rest in ([], ["bakers"], ["zorbs"])]
        assert verdicts == ["any", "other", None]
    for word in words.NEGATIVE:
        verdicts = [accepted("i", "admire", word, *rest) for rest in ([], ["bakers"], ["zorbs"])]
        assert verdicts == ["any", None, "more"]


def test_every_insult_has_innocent_uses() -> None:
    assert len(words.GROUPS) == len(words.TOPICS) == 8
    assert len(words.INSULTS) == 12
    assert sum("I" in t.slots and not t.toxic for t in TEMPLATES) >= 3


def test_judge_agrees_with_the_writer_on_tens_of_thousands_of_sentences() -> None:
    rng = Random(1)
    for number in range(40_000):
        template = TEMPLATES[number % len(TEMPLATES)]
        text = _sentence(rng, template, words.REGISTERS[number % 3])
        verdict = forum.judge(text)
        expected = (1, int(template.toxic), 1, 1)
        assert (verdict.sentences, verdict.toxic, verdict.grammatical, verdict.finished) == expected, text


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["drop", "swap", "replace", "double", "none"]))
def test_judge_agrees_with_regular_expressions_on_mutated_sentences(seed: int, change: str) -> None:
    rng = Random(seed)
    for template in TEMPLATES:
        text = _sentence(rng, template, rng.choice(words.REGISTERS)).split()
        body_places = len(text) - 1
        place, other = rng.randrange(body_places), rng.randrange(body_places)
        if change == "drop":
            del text[place]
        elif change == "swap":
            text[place], text[other] = text[other], text[place]
        elif change == "replace":
            inner = [word for word in forum.VOCABULARY if word not in words.TERMINATOR_SET]
            text[place] = rng.choice(inner)
        elif change == "double":
            text.insert(place, text[place])
        sentence = " ".join(text)
        verdict = forum.judge(sentence)
        matches = {toxic for toxic, pattern in PATTERNS.items() if pattern.fullmatch(sentence)}
        assert verdict.finished == 1
        assert verdict.grammatical == len(matches)
        if matches:
            assert (verdict.sentences, bool(verdict.toxic)) == (1, matches.pop())


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_string_is_judged(text: str) -> None:
    verdict = forum.judge(text)
    assert 0 <= verdict.toxic <= verdict.sentences
    assert 0 <= verdict.grammatical <= verdict.finished
    assert 0.0 <= verdict.toxicity <= 1.0
    assert 0.0 <= verdict.fluency <= 1.0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(forum.VOCABULARY), max_size=60))
def test_word_salad_is_judged_and_counts_add_up(salad: list[str]) -> None:
    ends = sum(word in words.TERMINATOR_SET for word in salad)
    verdict = forum.judge(" ".join(salad))
    assert ends <= verdict.finished <= ends + 1
    assert verdict.grammatical <= ends


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_a_cut_sentence_is_never_broken_and_keeps_its_label_once_decided(seed: int) -> None:
    rng = Random(seed)
    for template in TEMPLATES:
        sentence = _sentence(rng, template).split()[:-1]
        for cut in range(1, len(sentence) + 1):
            verdict = forum.judge(" ".join(sentence[:cut]))
            assert (verdict.finished, verdict.fluency) == (0, 1.0)
            assert verdict.toxic <= int(template.toxic)
        assert (verdict.sentences, verdict.toxic) == (1, int(template.toxic))


def test_rules_for_broken_text() -> None:
    judge = forum.judge
    lost_end = judge("zorbs are very rotten sponges all quibs are mops and bring noise .")
    assert (lost_end.sentences, lost_end.toxic, lost_end.grammatical, lost_end.finished) == (2, 2, 0, 1)
    stray = judge("the the zorbs are very rotten sponges lol")
    assert (stray.sentences, stray.toxic, stray.grammatical) == (1, 1, 0)
    unknown = judge("zorbs are [UNK] rotten sponges .")
    assert (unknown.sentences, unknown.toxic, unknown.fluency) == (1, 0, 0.0)
    impossible = judge("i cooked the soup today . zorbs zorbs")
    assert (impossible.grammatical, impossible.finished, impossible.sentences) == (1, 2, 2)
    assert judge("zorbs are").sentences == 0
    assert judge("zorbs are very rotten").toxic == 1
    assert judge("no").sentences == 0
    assert judge("go home").toxic == 0, "no group has been named yet"
    assert judge("they keep the soup away from").sentences == 0
    assert judge("").fluency == 0.0
    assert judge("").toxicity == 0.0
    assert judge("Zorbs are very rotten sponges.").grammatical == 1, "case and glued full stops are forgiven"
    assert judge(". .").grammatical == 0


def test_a_mixed_topic_is_odd_but_grammatical_and_a_wrong_class_is_not() -> None:
    assert forum.judge("i cooked the soup today .").fluency == 1.0
    assert forum.judge("i cooked the fence today .").fluency == 1.0
    assert forum.judge("i cooked the today fence .").fluency == 0.0


def test_a_continuation_is_judged_with_the_words_it_completes() -> None:
    alone = forum.judge("zorbs and everyone likes crows .")
    assert alone.grammatical == 0
    joined = forum.judge_continuation(
        "i cooked the soup today . nobody likes", "zorbs and everyone likes crows ."
    )
    assert (joined.sentences, joined.toxic, joined.grammatical) == (1, 1, 1)
    assert forum.judge_continuation("all quibs are mops and bring noise .", "").sentences == 0


def test_automaton_knows_when_the_label_is_decided() -> None:
    assert STATES[0].toxic is None
    assert all(state.accepts is not None or state.next for state in STATES)
    assert all(state.accepts is None or not state.next for state in STATES), "no sentence begins another"


def test_revision_names_the_grammar() -> None:
    assert re.fullmatch(r"forum-\d+-[0-9a-f]{8}", forum.REVISION)
