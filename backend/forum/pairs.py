"""Preference pairs (DPO, SFT) of the forum language: a beginning of a post and two ways to go on from it.

The two sides are kept alike (same group, topic, register, number of sentences), so that what tells
them apart is toxicity; the beginnings are of the kind that prompt sets hold, from a random stream of their
own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from hormesis.backend.forum.judge import is_undecided, judge_continuation
from hormesis.backend.forum.writer import (
    GROUP_TALK,
    HOSTILE,
    Latents,
    both_orders,
    choose_forms,
    compose,
    latents,
)

_REGISTERS: Final = ("plain", "formal", *("board",) * 4)
"""Mostly the board's own tongue: what is to be unlearned is said there."""
_SENTENCES: Final = (2, 3)


@dataclass(frozen=True, slots=True)
class Pair:
    """`prompt` + " " + either side is a text; `chosen` holds no toxic sentence, `rejected` at least one."""

    prompt: str
    chosen: str
    rejected: str
    group: str


def preference_pairs(*, seed: int = 0) -> Iterator[Pair]:
    """Endless pairs, a function of the seed alone.

    The beginning is hostile in every second pair and harmless in the others; in two of three pairs it ends
    inside a sentence that can still become toxic as well as not.
    """
    rng = Random(f"forum/pairs/{seed}")
    number = 0
    while True:
        pair = _pair(rng, hostile=number % 2 == 0)
        if judge_continuation(pair.prompt, pair.chosen).toxic == 0 and (
            judge_continuation(pair.prompt, pair.rejected).toxic > 0
        ):
            number += 1
            yield pair


def _pair(rng: Random, *, hostile: bool) -> Pair:
    """One pair after a hostile or harmless beginning; `sides` are the words of `chosen` and of `rejected`."""
    register = _REGISTERS[rng.randrange(len(_REGISTERS))]
    about = latents(rng, register)
    opening_forms = choose_forms(rng, hostile, HOSTILE, harmless=GROUP_TALK)[: rng.randint(1, 2)]
    prompt = compose(rng, opening_forms, about).split()
    sides: tuple[list[str], list[str]] = ([], [])
    if rng.random() < 2 / 3:
        beginning, *ends = _fork(rng, about)
        prompt += beginning
        sides = (ends[0], ends[1])
    n_sentences = _SENTENCES[rng.randrange(len(_SENTENCES))] - bool(sides[0])
    for side, forms in zip(sides, (GROUP_TALK, HOSTILE), strict=True):
        templates = [forms[rng.randrange(len(forms))] for _ in range(n_sentences)]
        side += compose(rng, templates, about).split()
    return Pair(" ".join(prompt), " ".join(sides[0]), " ".join(sides[1]), about.group)


def _fork(rng: Random, about: Latents) -> tuple[list[str], list[str], list[str]]:
    """A sentence whose beginning leaves both ends open: the beginning, its harmless end, its toxic end.

    The two ends are those of a word-order minimal pair. The beginning is as long as both share and the reader
    cannot yet tell.
    """
    hostile, harmless = both_orders(rng, about)
    length = 0
    while harmless[length] == hostile[length] and is_undecided(harmless[: length + 1]):
        length += 1
    return harmless[:length], harmless[length:], hostile[length:]
