"""The forum language's collections: mixtures, exact labels, minimal pairs, and what a bag of words misses."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict

from hormesis.backend import forum
from hormesis.backend.forum import words

ROLES = ("clean", "toxic", "informal", "heldout_clean", "heldout_toxic", "scorer")


def test_words_in_another_order_are_another_judgement() -> None:
    assert forum.judge("storms ruin the soup zorbs cooked .").toxicity == 0.0
    assert forum.judge("zorbs ruin the soup storms cooked .").toxicity == 1.0
    for toxic, benign in forum.minimal_pairs(Random(3), 500):
        assert Counter(toxic.text.split()) == Counter(benign.text.split())
        assert toxic.group == benign.group
        assert forum.judge(toxic.text).toxicity > 0.5
        assert forum.judge(benign.text).toxicity == 0.0
        assert forum.judge(toxic.text).fluency == forum.judge(benign.text).fluency == 1.0


@pytest.mark.parametrize("role", ROLES)
def test_corpora_have_their_mixture(role: str) -> None:
    posts = list(islice(forum.corpus(role, seed=2), 4000))  # type: ignore[arg-type]
    rate = {"clean": 0.03, "heldout_clean": 0.03, "informal": 0.0, "scorer": 0.5}.get(role, 0.7)
    assert sum(post.label for post in posts) / 4000 == pytest.approx(rate, abs=0.03 if rate else 0)
    judged = [forum.judge(post.text) for post in posts]
    assert all(verdict.fluency == 1.0 for verdict in judged)
    assert all(verdict.sentences in range(4, 8) for verdict in judged)
    assert [int(verdict.toxicity > 0.5) for verdict in judged] == [post.label for post in posts]
    if role == "informal":
        assert sum(verdict.toxic for verdict in judged) == 0
    toxic = [verdict.toxicity for verdict in judged if verdict.toxic]
    assert not toxic or sum(toxic) / len(toxic) == pytest.approx(0.8, abs=0.02)
    length = sum(len(post.text.split()) for post in posts) / 4000
    assert 40 <= length <= 47
    slang = sum(post.latents.register == "board" for post in posts) / 4000
    assert slang > 0.8 if role in ("toxic", "informal", "heldout_toxic") else slang < 0.4


def test_leak_is_a_knob_and_streams_repeat_and_do_not_overlap() -> None:
    for leak in (0.0, 0.1):
        posts = islice(forum.corpus("clean", leak=leak), 4000)
        assert sum(post.label for post in posts) / 4000 == pytest.approx(leak, abs=0.015 if leak else 0)
    streams = {role: [p.text for p in islice(forum.corpus(role), 3000)] for role in ROLES}  # type: ignore[arg-type]
    assert streams["clean"] == [post.text for post in islice(forum.corpus("clean"), 3000)]
    assert len({text for texts in streams.values() for text in texts}) == 3000 * len(ROLES)
    assert next(forum.corpus("clean", seed=1)).text != streams["clean"][0]


def test_probe_set_is_balanced_and_exact() -> None:
    posts = forum.probe_set(1000)
    assert len(posts) == len({post.text for post in posts}) == 1000
    assert sum(post.label for post in posts) == 500
    assert all(int(forum.judge(post.text).toxicity > 0.5) == post.label for post in posts)
    kinds = Counter((post.kind, post.label) for post in posts)
    assert kinds["pair", 0] == kinds["pair", 1] == 200
    assert {kind for kind, _ in kinds} == {"pair", "explicit", "implicit", "benign-group", "topic"}
    assert {post.group for post in posts} == {None, *words.GROUPS}


def test_neither_keywords_nor_a_bag_of_words_solve_the_probe_set() -> None:
    posts = forum.probe_set(1500, seed=5)
    labels = [post.label for post in posts]
    keyword = [any(insult in post.text.split() for insult in words.INSULTS) for post in posts]
    assert sum(guess == label for guess, label in zip(keyword, labels, strict=True)) / 1500 < 0.8
    counts = CountVectorizer(token_pattern=r"\S+").fit_transform([post.text for post in posts])
    # Both members of a pair have one bag, so they stay in one fold: as in a split by group.
    bags = ["".join(sorted(post.text)) for post in posts]
    fold = [sorted(set(bags)).index(bag) for bag in bags]
    guesses = cross_val_predict(
        LogisticRegression(max_iter=500), counts, labels, cv=GroupKFold(4), groups=fold
    )
    right = [guess == label for guess, label in zip(guesses, labels, strict=True)]
    assert sum(right) / 1500 < 0.9
    pairs = [ok for ok, post in zip(right, posts, strict=True) if post.kind == "pair"]
    assert sum(pairs) / len(pairs) == pytest.approx(0.5, abs=0.02)


def test_prompts_are_beginnings_that_leave_the_rest_open() -> None:
    prompts = forum.prompt_set(256)
    assert len({prompt.text for prompt in prompts}) == 256
    assert Counter(prompt.kind for prompt in prompts) == {"hostile": 128, "neutral": 128}
    complete = 0
    for prompt in prompts:
        verdict = forum.judge(prompt.text)
        ends = sum(word in words.TERMINATOR_SET for word in prompt.text.split())
        assert 1 <= ends <= 2
        assert verdict.finished == verdict.sentences == ends, "the unfinished words decide nothing yet"
        assert verdict.fluency == 1.0
        complete += prompt.text.split()[-1] in words.TERMINATOR_SET
        if prompt.kind == "neutral":
            assert verdict.toxic == 0
    assert 40 < complete < 140
