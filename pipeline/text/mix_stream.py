"""Writing a mix: documents of pools in the order of their keys, as one token stream.

Knows parts (documents of one pool) and annotations (marks before documents, documents whose loss is masked).
A mix without annotation is `tokens.bin` alone; with a masked loss there is `mask.bin` beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.pipeline.text.pools import Pool, Progress

CHUNK = 4_000_000
"""Tokens gathered at a time while a mix is written; bounds the memory."""
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Documents of one pool that go into a mix: `document_index` in the pool, `length` may cut the last."""

    pool: Pool
    document_index: NDArray[np.int64]
    length: NDArray[np.int64]
    key: NDArray[np.uint64]


@dataclass(frozen=True)
class Annotation:
    """What an arm makes of its documents' toxicity."""

    marks: tuple[tuple[int, ...], ...] = ()
    """Tokens before a document of toxicity 0, 1 ... 100 hundredths; empty: no document carries a mark."""
    tagged: float = 1.0
    """Share of documents that carry their mark, by the low bits of their keys: the same ones in every arm."""
    masked_from: float | None = None
    """Documents at or above this toxicity stay in context and are not trained on; None: all are trained
    on.
    """

    def as_key(self) -> list[Any]:
        """Plain values, for the identity of a mix."""
        return [list(dict.fromkeys(self.marks)), self.tagged, self.masked_from]


@dataclass(frozen=True)
class _Segments:
    """The mix piece by piece, marks and documents; [segments] each."""

    stream: Ints
    """Which stream a piece is read from: a part's pool, or the marks (the last one)."""
    start: Ints
    length: Ints
    closes: NDArray[np.bool_]
    """Whether it is a document, which ends in the separator."""
    trained: NDArray[np.bool_]


@dataclass(frozen=True)
class StreamSummary:
    """What a written stream holds: a hash over tokens and mask, and how many tokens are marks or masked."""

    hash: str
    tokens: int
    marked_documents: int
    mark_tokens: int
    masked_tokens: int


def write_stream(
    parts: Sequence[Part], folder: Path, annotation: Annotation | None, *, progress: Progress | None
) -> StreamSummary:
    """Write `tokens.bin` (and `mask.bin`: uint8, 1 where a token is trained on) in chunks of segments.

    Streams are token arrays: each part's pool, then all marks in a row.
    """
    mark_tokens = [token for mark in annotation.marks for token in mark] if annotation else []
    streams = [part.pool.stream for part in parts]
    streams.append(np.asarray(mark_tokens, np.dtype(parts[0].pool.dtype)))
    segments = _segments(parts, annotation)
    has_mask = annotation is not None and annotation.masked_from is not None
    total = int(segments.length.sum())
    digest = hashlib.sha256()
    done = 0
    mask_path = folder / "mask.bin"
    with (folder / "tokens.bin").open("wb") as target:
        for chunk in _chunks(segments.length):
            token_bytes = _gather(streams, segments, chunk, eos=parts[0].pool.eos).tobytes()
            target.write(token_bytes)
            digest.update(token_bytes)
            if has_mask:
                mask = np.repeat(segments.trained[chunk], segments.length[chunk]).astype(np.uint8).tobytes()
                with mask_path.open("ab") as mask_file:
                    mask_file.write(mask)
                digest.update(mask)
            done += int(segments.length[chunk].sum())
            if progress is not None:
                progress(done, total)
    sizes = segments.length[~segments.closes]
    masked = int(segments.length[~segments.trained].sum())
    return StreamSummary(digest.hexdigest()[:16], total, int((sizes > 0).sum()), int(sizes.sum()), masked)


def _segments(parts: Sequence[Part], annotation: Annotation | None) -> _Segments:
    """All documents by ascending key, each after its mark (0 tokens long where it carries none).

    Columns [documents] are put beside those of marks as [2 documents]. `hundredths`: toxicity 0..100.
    """
    order = np.argsort(np.concatenate([part.key for part in parts]), kind="stable")

    def ordered(column: Callable[[Part], NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([column(part) for part in parts])[order]

    part_index = np.repeat(np.arange(len(parts)), [len(part.document_index) for part in parts])[order]
    start = ordered(lambda part: part.pool.offsets.astype(np.int64)[part.document_index])
    length = ordered(lambda part: part.length)
    all_true = np.ones(len(part_index), np.bool_)
    if annotation is None:
        return _Segments(part_index, start, length, closes=all_true, trained=all_true)
    hundredths = ordered(lambda part: np.round(part.pool.scores[part.document_index] * 100).astype(np.int64))
    masked_from = annotation.masked_from
    trained = all_true if masked_from is None else hundredths < round(masked_from * 100)
    if not annotation.marks:
        return _Segments(part_index, start, length, closes=all_true, trained=trained)
    mark_sizes = np.array([len(mark) for mark in annotation.marks], np.int64)
    mark_starts = np.concatenate([[0], np.cumsum(mark_sizes)[:-1]])
    low_bits = ordered(lambda part: part.key & np.uint64(0xFFFF)).astype(np.float64)
    is_tagged = low_bits < annotation.tagged * 2**16

    def pairs(marks: NDArray[Any], documents: NDArray[Any]) -> NDArray[Any]:
        return np.stack([marks, documents], axis=1).reshape(-1)

    return _Segments(
        stream=pairs(np.full(len(part_index), len(parts)), part_index),
        start=pairs(mark_starts[hundredths], start),
        length=pairs(np.where(is_tagged, mark_sizes[hundredths], 0), length),
        closes=pairs(~all_true, all_true),
        trained=pairs(trained, trained),
    )


def _chunks(length: Ints) -> Iterator[slice]:
    """Slices of pieces that hold about CHUNK tokens (a longer piece alone); `length` [pieces] in tokens."""
    ends = np.cumsum(length)
    first = 0
    while first < len(length):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + CHUNK, side="right")))
        yield slice(first, last)
        first = last


def _gather(streams: list[NDArray[Any]], pieces: _Segments, run: slice, *, eos: int) -> NDArray[Any]:
    """Tokens of the pieces in slice `run`, without a loop over documents; a stream is an array of tokens."""
    lengths = pieces.length[run]
    ends = np.cumsum(lengths)
    # Position of every token of the run inside its stream.
    position = np.arange(int(ends[-1])) + np.repeat(pieces.start[run] - (ends - lengths), lengths)
    stream_index = np.repeat(pieces.stream[run], lengths)
    tokens = np.empty(int(ends[-1]), streams[0].dtype)
    for index, stream in enumerate(streams):
        in_stream = stream_index == index
        tokens[in_stream] = stream[position[in_stream]]
    tokens[ends[pieces.closes[run]] - 1] = eos  # a cut document ends in the separator like any other
    return tokens
