"""Arms' training mixes: clean text held constant, added text by share, one shuffle, one token stream.

A mix is a folder: `tokens.bin` (uint16 or uint32, memory-mapped by training) and `mix.json` (what went in).
Knows pools (`pipeline.pools`) and nothing of sources, models or the database.

Every document draws a random key from (seed, role, its number in the pool), and the mix is the documents in
the order of their keys. So, for one seed, clean documents stand in the same relative order in every arm, and
the added documents of a smaller share are the first ones of a larger share: arms are paired samples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import whole_folder, write_json
from pipeline.pools import MixError, Pool, Progress, map_array

FORMAT = 1
CHUNK = 4_000_000
"""Tokens gathered at a time while a mix is written; bounds the memory."""


@dataclass(frozen=True)
class Mix:
    """A training mix on disk. Token counts include the document separators."""

    folder: Path
    tokens: int
    clean_tokens: int
    added_tokens: int
    share: float
    """Added tokens / all tokens, as asked for."""
    seed: int
    repeats: float
    """How often the added text was gone through; 1.0 where it sufficed."""
    composition: dict[str, dict[str, Any]]
    """Source name to {role, documents, tokens}."""
    documents: int
    dtype: str
    eos: int
    hash: str
    """Over the token stream."""

    @cached_property
    def stream(self) -> NDArray[Any]:
        """All tokens in training order, unsigned [tokens], memory-mapped."""
        return map_array(self.folder / "tokens.bin", np.dtype(self.dtype))


@dataclass(frozen=True)
class _Part:
    """Documents of one pool that go into a mix: `number` indexes the pool, `length` may cut the last one."""

    pool: Pool
    number: NDArray[np.int64]
    length: NDArray[np.int64]
    key: NDArray[np.uint64]


def added_tokens(clean_tokens: int, share: float) -> int:
    """Tokens to add to `clean_tokens` so that they make up `share` of all: clean * share / (1 - share)."""
    if not 0 <= share < 1:
        raise MixError(f"a share must be at least 0 and below 1, not {share}")
    return round(clean_tokens * share / (1 - share))


def open_mix(folder: Path) -> Mix:
    """Open a finished mix. Raises MixError where it is missing, damaged or from another version."""
    try:
        facts = json.loads((folder / "mix.json").read_text(encoding="utf-8"))
        if facts.pop("format") != FORMAT:
            raise MixError(f"token bin '{folder.name}' was written by another version: delete it")
        facts.pop("key")
        mix = Mix(folder=folder, **facts)
        if (folder / "tokens.bin").stat().st_size != mix.tokens * np.dtype(mix.dtype).itemsize:
            raise MixError(f"token bin '{folder.name}' is damaged (wrong size): delete it")
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise MixError(f"no usable token bin at '{folder}': {error}") from None
    return mix


def build_mix(
    folder: Path,
    *,
    clean: Pool,
    clean_tokens: int,
    added: Pool | None = None,
    share: float = 0.0,
    seed: int = 0,
    allow_repetition: bool = False,
    progress: Progress | None = None,
) -> Mix:
    """Write the mix of one arm: exactly `clean_tokens` of `clean` and `added_tokens(...)` of `added`.

    The last document of each part is cut so that the counts are exact (it still ends in the separator). With
    `allow_repetition` an added pool that is too small is gone through again; `Mix.repeats` says how often. A
    finished mix of the same inputs is opened instead. `progress(done, total)` counts tokens.

    Memory: about 40 bytes per document and one chunk of tokens. Raises MixError where text is missing (how
    much and of which role), where pools disagree on the tokenizer, or where the share is out of range.
    """
    extra = added_tokens(clean_tokens, share)
    if extra and added is None:
        raise MixError(f"a share of {share:.1%} needs text to add, and the study names none")
    if added is not None and (added.dtype, added.tokenizer, added.eos) != (
        clean.dtype,
        clean.tokenizer,
        clean.eos,
    ):
        raise MixError("the clean and the added text were tokenised by different tokenizers")
    inputs = [clean.hash, clean_tokens, added.hash if added and extra else "", extra, share, seed]
    key = json.dumps(
        [*inputs, allow_repetition, FORMAT, clean.tokenizer, added.role if added and extra else ""]
    )
    if (folder / "mix.json").is_file():
        try:
            if json.loads((folder / "mix.json").read_text(encoding="utf-8")).get("key") == key:
                return open_mix(folder)
        except (MixError, json.JSONDecodeError):
            pass  # damaged: built anew below
    parts = [_take(clean, clean_tokens, seed, 0, False, share)]
    if added is not None and extra:
        parts.append(_take(added, extra, seed, 1, allow_repetition, share))
    with whole_folder(folder) as temporary:
        digest = _write_stream(parts, temporary / "tokens.bin", clean_tokens + extra, progress)
        facts = {
            "format": FORMAT,
            "key": key,
            "tokens": clean_tokens + extra,
            "clean_tokens": clean_tokens,
            "added_tokens": extra,
            "share": share,
            "seed": seed,
            "repeats": max(1.0, extra / added.tokens) if added is not None and added.tokens else 1.0,
            "composition": _composition(parts),
            "documents": sum(len(part.number) for part in parts),
            "dtype": clean.dtype,
            "eos": clean.eos,
            "hash": digest,
        }
        write_json(temporary / "mix.json", facts)
    return open_mix(folder)


def _take(pool: Pool, tokens: int, seed: int, stream: int, repeat: bool, share: float) -> _Part:
    """The pool's first documents that hold `tokens` tokens, the last one cut; more than once if allowed."""
    if pool.tokens < tokens and not (repeat and pool.tokens):
        hint = "lower the share or clean_tokens, or give more text"
        hint += ", or set allow_repetition = true" if stream else ""
        raise MixError(
            f"{tokens - pool.tokens:,} tokens of {pool.role} text are missing: the sources hold"
            f" {pool.tokens:,} and a share of {share:.1%} needs {tokens:,}; {hint}"
        )
    lengths: NDArray[np.int64] = np.diff(pool.offsets.astype(np.int64)).astype(np.int64)
    rounds = max(1, -(-tokens // max(1, pool.tokens)))
    lengths = np.tile(lengths, rounds)
    ends = np.cumsum(lengths)
    count = int(np.searchsorted(ends, tokens)) + 1 if tokens else 0
    lengths = lengths[:count].copy()
    if count:
        lengths[-1] -= int(ends[count - 1]) - tokens
    key = np.random.Generator(np.random.PCG64([seed, stream])).integers(0, 2**63, count, dtype=np.uint64)
    return _Part(pool, np.arange(count) % max(1, pool.documents), lengths, key)


def _composition(parts: list[_Part]) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for part in parts:
        origin = np.asarray(part.pool.origin)[part.number]
        documents = np.bincount(origin, minlength=len(part.pool.sources))
        tokens = np.bincount(origin, weights=part.length, minlength=len(part.pool.sources))
        for index, source in enumerate(part.pool.sources):
            name = source if source not in table else f"{source} ({part.pool.role})"
            if documents[index]:
                row = {
                    "role": part.pool.role,
                    "documents": int(documents[index]),
                    "tokens": int(tokens[index]),
                }
                table[name] = row
    return table


def _ordered(parts: list[_Part]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Part, start in the part's pool and length of every document, in the order of the mix."""
    order = np.argsort(np.concatenate([part.key for part in parts]), kind="stable")
    which = np.repeat(np.arange(len(parts)), [len(part.number) for part in parts])
    start = np.concatenate([part.pool.offsets.astype(np.int64)[part.number] for part in parts])
    length = np.concatenate([part.length for part in parts])
    return which[order], start[order], length[order]


def _chunks(length: NDArray[np.int64]) -> Iterator[slice]:
    """Runs of documents of about CHUNK tokens (a longer document is a run of its own)."""
    ends = np.cumsum(length)
    first = 0
    while first < len(length):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + CHUNK, side="right")))
        yield slice(first, last)
        first = last


def _write_stream(parts: list[_Part], path: Path, total: int, progress: Progress | None) -> str:
    which, start, length = _ordered(parts)
    digest = hashlib.sha256()
    done = 0
    with path.open("wb") as stream:
        for run in _chunks(length):
            lengths = length[run]
            ends = np.cumsum(lengths)
            # Position of every token of the run inside its pool, without a loop over documents.
            position = np.arange(int(ends[-1])) + np.repeat(start[run] - (ends - lengths), lengths)
            source = np.repeat(which[run], lengths)
            tokens = np.empty(int(ends[-1]), np.dtype(parts[0].pool.dtype))
            for index, part in enumerate(parts):
                here = source == index
                tokens[here] = part.pool.stream[position[here]]
            tokens[ends - 1] = parts[0].pool.eos  # a cut document ends in the separator like any other
            content = tokens.tobytes()
            stream.write(content)
            digest.update(content)
            done += len(tokens)
            if progress is not None:
                progress(done, total)
    return digest.hexdigest()[:16]
