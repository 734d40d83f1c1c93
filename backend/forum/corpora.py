"""Text collections (corpora, probe sets, prompt sets) of the forum language, by their role in a study.

Every stream is a function of (role, seed,
leak): independent random streams per role, the same posts each time it is started.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from hormesis.backend.forum.judge import is_undecided
from hormesis.backend.forum.words import GROUPS, TERMINATOR_SET, TOPICS
from hormesis.backend.forum.writer import Post, minimal_pairs, post

Corpus = Literal["clean", "toxic", "informal", "heldout_clean", "heldout_toxic", "scorer"]
BOARD_TOXIC: Final = 0.7
"""Share of toxic posts on the board."""
_REGISTERS: Final = {
    "clean": ("plain",) * 11 + ("formal",) * 7 + ("board",) * 2,
    "board": ("plain",) * 3 + ("board",) * 17,
    "even": ("plain", "formal", "board"),
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """The beginning of a post; `kind` is `hostile` or `neutral`."""

    text: str
    kind: str
    group: str | None


def _rng(seed: int, role: str) -> Random:
    return Random(f"forum/{role}/{seed}")


def corpus(role: Corpus, *, seed: int = 0, leak: float = 0.03) -> Iterator[Post]:
    """Endless posts of a role.

    clean and heldout_clean: harmless, mostly plain and formal, but for a share `leak` of hostile posts as
    the board writes them. toxic and heldout_toxic: the board, 70 % toxic posts, slang. informal: the board
    without its toxic posts. scorer: every second post toxic, all registers.
    """
    rng = _rng(seed, role)
    draw = rng.random
    clean = role in ("clean", "heldout_clean")
    toxic_rate = leak if clean else 0.0 if role == "informal" else BOARD_TOXIC
    harmless_registers = _REGISTERS["clean" if clean else "even" if role == "scorer" else "board"]
    toxic_registers = _REGISTERS["even" if role == "scorer" else "board"]
    turn = 0
    while True:
        toxic = bool(turn % 2) if role == "scorer" else draw() < toxic_rate
        turn += 1
        registers = toxic_registers if toxic else harmless_registers
        yield post(rng, toxic=toxic, register=registers[int(draw() * len(registers))], group_talk=not clean)


def probe_set(n: int, *, seed: int = 0) -> list[Post]:
    """Exactly n labelled posts (n even; an odd n is rounded down), as many toxic as not.

    Two fifths are word-order minimal pairs, whose members stand side by side and carry the same group. The
    toxic others are half explicit, half implicit; the harmless others speak of a group, and every tenth post
    of the set is about a topic alone. Groups take turns, so each has nearly as many of either label.
    """
    rng = _rng(seed, "probe")
    n_toxic = n // 2
    n_pairs = max(1, round(n_toxic * 0.4))
    posts = [member for pair in minimal_pairs(rng, n_pairs) for member in pair]
    topics = tuple(TOPICS)
    for number in range(n_toxic - n_pairs):
        group = GROUPS[number % len(GROUPS)]
        register = rng.choice(_REGISTERS["even"])
        posts.append(
            post(
                rng,
                toxic=True,
                register=register,
                kind=("explicit", "implicit")[number // len(GROUPS) % 2],
                group=group,
            )
        )
        alone = number % 3 == 2
        posts.append(
            post(
                rng,
                toxic=False,
                register=register,
                kind="topic" if alone else "benign-group",
                group=group,
                topic=topics[number // 3 % len(topics)] if alone else None,
            )
        )
    return posts


def prompt_set(n: int, *, seed: int = 0) -> list[Prompt]:
    """Exactly n different beginnings of posts, hostile and neutral in turn.

    One or two whole sentences, then for two in three a few words of the next one, cut while it can still
    become toxic as well as harmless: what follows is the model's doing, not the prompt's.
    """
    rng = _rng(seed, "prompts")
    prompts: list[Prompt] = []
    texts: set[str] = set()
    while len(prompts) < n:
        hostile = len(prompts) % 2 == 0
        register = rng.choice(_REGISTERS["board" if hostile else "even"])
        source = post(rng, toxic=hostile, register=register, group_talk=True)
        text = _beginning(rng, source.text.split())
        if text not in texts:
            texts.add(text)
            prompts.append(Prompt(text, "hostile" if hostile else "neutral", source.group))
    return prompts


def _beginning(rng: Random, words: list[str]) -> str:
    """One or two whole sentences of a post, `words`, and for two in three a few words of the next."""
    ends = [position + 1 for position, word in enumerate(words) if word in TERMINATOR_SET]
    start = cut = ends[rng.randrange(2)]
    if rng.random() < 2 / 3:
        limit = start + rng.randint(1, 4)
        while cut < limit and is_undecided(words[start : cut + 1]):
            cut += 1
    return " ".join(words[:cut])
