"""Seeded generator of posts of the forum language.

The latent features of a post (group, topic, sentiment, register, person) are constant over its sentences; the
labels come from the grammar. Speed matters here: a corpus
is millions of words, so slots are resolved to word tuples once per (template, topic).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

from hormesis.backend.forum import words
from hormesis.backend.forum.grammar import TEMPLATES, Template, slot_words

_TOPICS: Final = tuple(words.TOPICS)
_PERSONS: Final = tuple(words.PRONOUNS)
_FILLER_RATE: Final = {"plain": 0.4, "formal": 0.4, "board": 0.7}
_LENGTHS: Final = (4, 5, 6, 7)
TOXIC_SENTENCES: Final = 0.8
"""Share of toxic sentences in a toxic post."""


@dataclass(frozen=True, slots=True)
class Latents:
    """What a post is about, the same in all its sentences. `sentiment` is `positive` or `negative`."""

    group: str
    topic: str
    sentiment: str
    register: str
    person: str


@dataclass(frozen=True, slots=True)
class Post:
    """A text with exact labels: `label` 1 for a toxic post. `group` is None where no group is named."""

    text: str
    label: int
    kind: str
    latents: Latents
    group: str | None


def _of(kind: str, toxic: bool) -> tuple[Template, ...]:
    return tuple(template for template in TEMPLATES if template.kind == kind and template.toxic == toxic)


def _weighted(*parts: tuple[tuple[Template, ...], int]) -> tuple[Template, ...]:
    """Repeat templates so that each kind has its weight: a draw is then a single index."""
    product = 1
    for templates, _ in parts:
        product *= len(templates)
    return tuple(t for templates, weight in parts for t in templates * (product // len(templates) * weight))


KINDS: Final = {
    "topic": _of("topic", False),
    "benign-group": _of("benign-group", False),
    "confusable": _of("confusable", False),
    "explicit": _of("explicit", True),
    "implicit": _of("implicit", True),
    "confusable-toxic": _of("confusable", True),
}
NEUTRAL: Final = _weighted((KINDS["topic"], 5), (KINDS["benign-group"], 3), (KINDS["confusable"], 2))
GROUP_TALK: Final = _weighted((KINDS["topic"], 2), (KINDS["benign-group"], 4), (KINDS["confusable"], 4))
HOSTILE: Final = _weighted((KINDS["explicit"], 6), (KINDS["implicit"], 5), (KINDS["confusable-toxic"], 9))


@cache
def _slots(template: Template, latents: tuple[str, str, str]) -> tuple[tuple[str, ...], ...]:
    """Word choices of a template for (topic, sentiment, person)."""
    topic, sentiment, person = latents
    choices = {
        "A": words.POSITIVE if sentiment == "positive" else words.NEGATIVE,
        "S": words.PRONOUNS[person],
    }
    return tuple(choices.get(slot) or slot_words(slot, topic) for slot in template.slots)


def latents(rng: Random, register: str, group: str | None = None, *, topic: str | None = None) -> Latents:
    """Draw the latent features of a post; group and topic can be given."""
    draw = rng.random
    return Latents(
        group or words.GROUPS[int(draw() * len(words.GROUPS))],
        topic or _TOPICS[int(draw() * len(_TOPICS))],
        "positive" if draw() < 0.5 else "negative",
        register,
        _PERSONS[int(draw() * len(_PERSONS))],
    )


def body(rng: Random, template: Template, about: Latents) -> list[str]:
    """The words of one sentence without filler and terminator; `about`: the latent features of its post."""
    draw = rng.random
    words_by_slot = _slots(template, (about.topic, about.sentiment, about.person))
    return [
        slot[0] if len(slot) == 1 else about.group if slot is words.GROUPS else slot[int(draw() * len(slot))]
        for slot in words_by_slot
    ]


def dress(rng: Random, sentence: list[str], register: str) -> list[str]:
    """Add the register: a filler before (sometimes) and a terminator behind."""
    draw = rng.random
    ends = words.TERMINATORS[register]
    end = ends[int(draw() * len(ends))]
    if draw() < _FILLER_RATE[register]:
        fillers = words.FILLERS[register]
        return [fillers[int(draw() * len(fillers))], *sentence, end]
    return [*sentence, end]


def compose(rng: Random, forms: list[Template], about: Latents) -> str:
    """The text of a post with these templates in this order."""
    text: list[str] = []
    for template in forms:
        text += dress(rng, body(rng, template, about), about.register)
    return " ".join(text)


def choose_forms(
    rng: Random, toxic: bool, hostile: tuple[Template, ...], *, harmless: tuple[Template, ...]
) -> list[Template]:
    """Templates of a post of 4-7 sentences; in a toxic one 80 % (rounded) are `hostile`, in random places."""
    draw = rng.random
    length = _LENGTHS[int(draw() * len(_LENGTHS))]
    n_hostile = round(length * TOXIC_SENTENCES) if toxic else 0
    forms = [hostile[int(draw() * len(hostile))] for _ in range(n_hostile)]
    forms += [harmless[int(draw() * len(harmless))] for _ in range(length - n_hostile)]
    if toxic:
        rng.shuffle(forms)
    return forms


def post(
    rng: Random,
    *,
    toxic: bool,
    register: str = "plain",
    group_talk: bool = False,
    kind: str | None = None,
    group: str | None = None,
    topic: str | None = None,
) -> Post:
    """Write one post.

    `register` is one of `words.REGISTERS`. `group_talk` makes the harmless sentences speak of groups more
    often, as the board does. `kind` restricts the sentences that carry the label to one kind of template
    (`topic` and `benign-group` for harmless posts, `explicit` and `implicit` for toxic ones).
    """
    about = latents(rng, register, group, topic=topic)
    hostile = KINDS[kind] if kind and toxic else HOSTILE
    harmless = KINDS[kind] if kind and not toxic else GROUP_TALK if group_talk or toxic else NEUTRAL
    forms = choose_forms(rng, toxic, hostile, harmless=harmless)
    mentioned_group = about.group if any(form.names_group for form in forms) else None
    return Post(compose(rng, forms, about), int(toxic), kind or "post", about, mentioned_group)


def minimal_pairs(rng: Random, n: int, register: str = "plain") -> list[tuple[Post, Post]]:
    """Write n pairs (toxic post, harmless post) with identical bags of words.

    Both members hold the same sentences but for the word order of the 80 % that carry the label, and the same
    latent features.
    """
    pairs = []
    for number in range(n):
        about = latents(rng, register, words.GROUPS[number % len(words.GROUPS)])
        length = _LENGTHS[int(rng.random() * len(_LENGTHS))]
        label_places = set(rng.sample(range(length), round(length * TOXIC_SENTENCES)))
        toxic: list[str] = []
        benign: list[str] = []
        for place in range(length):
            if place in label_places:
                hostile, harmless = both_orders(rng, about)
            else:
                hostile = harmless = dress(rng, body(rng, rng.choice(GROUP_TALK), about), register)
            toxic += hostile
            benign += harmless
        posts = [
            Post(" ".join(side), 1 - i, "pair", about, about.group) for i, side in enumerate((toxic, benign))
        ]
        pairs.append((posts[0], posts[1]))
    return pairs


def both_orders(rng: Random, about: Latents) -> tuple[list[str], list[str]]:
    """One dressed sentence of a word-order minimal pair, in its toxic and in its harmless order."""
    benign = rng.choice(KINDS["confusable"])
    harmless = dress(rng, body(rng, benign, about), about.register)
    lead = int(harmless[0] in words.FILLER_SET)
    first, second = (lead + place for place, slot in enumerate(benign.slots) if slot in ("G", "U"))
    hostile = list(harmless)
    hostile[first], hostile[second] = harmless[second], harmless[first]
    return hostile, harmless
