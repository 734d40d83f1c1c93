"""The forum language as a source.

Knows which collection plays which role; the language itself is `backend.forum`. Corpora are endless (take
what you need, or set a limit); probe statements and prompts are finite.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from hormesis.backend import forum
from hormesis.pipeline.sources.record import Record, RowCount, SourceError, Stop
from hormesis.pipeline.study.config_sections import ForumConfig
from hormesis.pipeline.study.source_config import SourceConfig

TOPIC = "topic:"
"""Begins the group of a post that mentions no group of the invented world."""
DIRECTIONS_SEED = 7_000
"""Added to the study's seed for the second set of directions, so that the scorer has not read its posts."""


def _record(post: forum.Post, source: str | None = None) -> Record:
    """A post as a record; `source` is the kind of probe post, None in other roles."""
    latents = post.latents
    return Record(
        post.text,
        post.label,
        post.group or f"{TOPIC}{latents.topic}",
        source,
        features={
            "group": post.group or "none",
            "topic": latents.topic,
            "sentiment": latents.sentiment,
            "register": latents.register,
            "person": latents.person,
        },
    )


class ForumSource:
    """Records of the forum language for one role."""

    def __init__(self, cfg: SourceConfig, knobs: ForumConfig) -> None:
        if cfg.where or cfg.where_not or cfg.at_least or cfg.below:
            raise SourceError(f"source '{cfg.title}': the forum language has no columns to filter by")
        self._cfg = cfg
        self._knobs = knobs
        self.title = cfg.title

    @property
    def revision(self) -> str:
        """Grammar revision and every knob that changes what is written."""
        knobs, role = self._knobs, self._cfg.role
        n_texts = {
            "probe": knobs.probe_posts,
            "directions": knobs.probe_posts,
            "prompts": knobs.prompts,
            "scorer": knobs.scorer_posts,
        }.get(role)
        parts = [forum.REVISION, role, f"seed{knobs.seed}"]
        if role in ("clean", "heldout_clean"):
            parts.append(f"leak{knobs.leak:g}")
        if n_texts is not None:
            parts.append(f"n{n_texts}")
        return "-".join(parts)

    def _all(self) -> Iterator[Record]:
        role, seed = self._cfg.role, self._knobs.seed
        if role == "prompts":
            for prompt in forum.prompt_set(self._knobs.prompts, seed=seed):
                yield Record(prompt.text, group=prompt.group, kind=prompt.kind)
        elif role == "probe":
            for post in forum.probe_set(self._knobs.probe_posts, seed=seed):
                yield _record(post, post.kind)
        elif role == "pairs":
            for pair in forum.preference_pairs(seed=seed):
                yield Record(
                    pair.chosen, group=pair.group, features={"prompt": pair.prompt, "rejected": pair.rejected}
                )
        elif role == "directions":
            # Posts as they are written, none of them made for probing; a stream that no other role reads.
            for post in islice(forum.corpus("scorer", seed=seed + DIRECTIONS_SEED), self._knobs.probe_posts):
                yield _record(post)
        else:
            posts = forum.corpus(role, seed=seed, leak=self._knobs.leak)
            for post in islice(posts, self._knobs.scorer_posts if role == "scorer" else None):
                yield _record(post)

    def __iter__(self) -> Iterator[Record]:
        return self.read(RowCount())

    def read(self, count: RowCount) -> Iterator[Record]:
        """Records, counted; none gives no record."""
        for record in self._all():
            count.read += 1
            if count.read == self._cfg.limit:
                count.stopped = Stop.LIMIT
            yield record
            if count.stopped:
                return
