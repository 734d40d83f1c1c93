"""Token pools: one source role of a study, tokenised once and shared by all arms.

A pool is a folder: `tokens.bin` (all documents one after another, each closed by the separator),
`offsets.bin` (uint64, where each document starts, and the end), `sources.bin` (uint16, an index into the
names in `pool.json`) and, where documents were annotated, `scores.bin` (uint8, their toxicity in hundredths).
All are memory-mapped, so a pool may be far larger than the memory. Knows no arms.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import transformers
from numpy.typing import NDArray

from hormesis.db.contract.scores import TOXIC
from hormesis.db.files import write_json
from hormesis.db.manifest import require_intact, sealed_folder
from hormesis.pipeline.statistics import SCORE, ratio_interval
from hormesis.pipeline.text.tokenization import fingerprint, token_ids

FORMAT = 1
BATCH = 1024
MOST_SOURCES = 2**16
"""Names that two bytes a document tell apart."""
Progress = Callable[[int, int], None]
Annotate = Callable[[Sequence[str]], NDArray[np.float64]]
"""Texts to their toxicity, 0..1."""


class Judge(NamedTuple):
    """A scorer by its name, and what it gives texts."""

    name: str
    score: Annotate


JUDGED = 2_000
"""Documents of a source, its first, that are judged."""


class MixError(ValueError):
    """The text at hand cannot make the mix that is asked for; the message is one line for the person."""


def token_dtype(vocabulary: int) -> np.dtype[Any]:
    """Smallest unsigned type for ids below `vocabulary`: uint16 under 65,536, else uint32."""
    return np.dtype(np.uint16 if vocabulary < 65_536 else np.uint32)


def map_array(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Map a bin file read-only; an empty file gives an empty array (which mmap itself refuses)."""
    if path.stat().st_size == 0:
        return np.empty(0, dtype)
    return np.memmap(path, dtype=dtype, mode="r")


@dataclass(frozen=True)
class Pool:
    """A tokenised role. `tokens` counts the separators; `exhausted` says that the source held no more."""

    folder: Path
    role: str
    tokens: int
    documents: int
    exhausted: bool
    sources: tuple[str, ...]
    dtype: str
    eos: int
    tokenizer: str
    hash: str
    """Over the tokens and where documents begin."""
    annotated: bool = False
    """Whether each document's toxicity is known."""
    judge: str = ""
    """Name of the scorer that says which documents are toxic; empty without one."""
    toxic: dict[str, dict[str, float]] = field(default_factory=dict)
    """Source to the part of its tokens that stand in toxic documents: `value`, `low`, `high`, and `n`, the
    documents judged. Empty where there is no judge.
    """

    @cached_property
    def stream(self) -> NDArray[Any]:
        """All tokens, unsigned [tokens], memory-mapped."""
        return map_array(self.folder / "tokens.bin", np.dtype(self.dtype))

    @cached_property
    def offsets(self) -> NDArray[np.uint64]:
        """Where each document begins, and the end: uint64 [documents + 1], memory-mapped."""
        return map_array(self.folder / "offsets.bin", np.dtype(np.uint64))

    @cached_property
    def origin(self) -> NDArray[np.uint16]:
        """Index into `sources` of each document: uint16 [documents], memory-mapped."""
        return map_array(self.folder / "sources.bin", np.dtype(np.uint16))

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Toxicity of each document, 0..1 in hundredths: float64 [documents]. Raises MixError where
        unknown.
        """
        if not self.annotated:
            raise MixError(f"the documents of the {self.role} text were not annotated with their toxicity")
        hundredths = map_array(self.folder / "scores.bin", np.dtype(np.uint8))
        return np.asarray(hundredths, dtype=np.float64) / 100

    def windows(self, length: int, tokens: int) -> NDArray[np.int64]:
        """The first whole windows of the pool, int64 [n, length], at most `tokens` tokens in all.

        Fixed by the pool alone, so every arm is judged on the same text. Raises MixError where the pool does
        not fill one window.
        """
        n_windows = min(tokens, self.tokens) // length
        if n_windows == 0:
            raise MixError(
                f"the {self.role} text holds {self.tokens:,} tokens: not enough for one window of {length}"
            )
        return np.asarray(self.stream[: n_windows * length], dtype=np.int64).reshape(n_windows, length)


def open_pool(folder: Path) -> Pool:
    """Open a finished pool. Raises MixError where it is missing or from another version, DamagedFile where
    its sums do not agree.
    """
    try:
        description = json.loads((require_intact(folder) / "pool.json").read_text(encoding="utf-8"))
        if description.pop("format") != FORMAT:
            raise MixError(f"token pool '{folder.name}' was written by another version: delete it")
        description.pop("key")
        pool = Pool(folder=folder, **{**description, "sources": tuple(description["sources"])})
        bytes_per_token = np.dtype(pool.dtype).itemsize
        file_sizes = {"tokens.bin": pool.tokens * bytes_per_token, "offsets.bin": (pool.documents + 1) * 8}
        file_sizes["sources.bin"] = pool.documents * 2
        file_sizes |= {"scores.bin": pool.documents} if pool.annotated else {}
        if any((folder / name).stat().st_size != size for name, size in file_sizes.items()):
            raise MixError(f"token pool '{folder.name}' is damaged (a file has the wrong size): delete it")
    except (OSError, KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MixError(f"no usable token pool at '{folder}': {error}") from None
    return pool


def build_pool(
    documents: Iterable[tuple[str, str]],
    tokenizer: transformers.PreTrainedTokenizerFast,
    folder: Path,
    *,
    role: str,
    tokens: int,
    key: str = "",
    annotate: Annotate | None = None,
    judge: Judge | None = None,
    progress: Progress | None = None,
) -> Pool:
    """Tokenise (text, source name) pairs until at least `tokens` tokens are there or the source ends.

    An endless source is read no further than needed (up to one batch of documents). A finished pool in
    `folder` with the same `key`, tokenizer and size is opened instead; any other is replaced. `key` is the
    caller's hash of whatever decides the text. `annotate` tells the toxicity of each document, kept to
    hundredths; `judge` that of the first of each source, of which the toxic part is kept. Memory: one batch
    of documents and one source index.

    `progress(done, total)` counts tokens; an exception from it leaves nothing behind. Never raises for too
    little text: `Pool.tokens` and `Pool.exhausted` tell, and `build_mix` refuses.
    """
    full_key = f"{key}|{role}|{tokens}|{fingerprint(tokenizer)}|{FORMAT}"
    if (folder / "pool.json").is_file():
        try:
            if json.loads((folder / "pool.json").read_text(encoding="utf-8")).get("key") == full_key:
                return open_pool(folder)
        except ValueError:
            pass  # damaged: built anew below
    with sealed_folder(folder) as temporary:
        description = _write_pool(
            documents, tokenizer, temporary, tokens=tokens, annotate=annotate, judge=judge, progress=progress
        )
        description |= {"role": role, "key": full_key, "format": FORMAT, "tokenizer": fingerprint(tokenizer)}
        write_json(temporary / "pool.json", description)
    return open_pool(folder)


def _batches(documents: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    iterator = iter(documents)
    while chunk := list(islice(iterator, BATCH)):
        yield chunk


class _Judged:
    """Tokens of the first documents of each source, all and those of toxic documents."""

    def __init__(self, judge: Judge | None) -> None:
        """`tokens`: source to (tokens, tokens if toxic else 0) of each document."""
        self._judge = judge
        self.tokens: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def add(self, chunk: list[tuple[str, str]], lengths: list[int]) -> None:
        """Judge those of (text, source) pairs that are among the first of their source."""
        if self._judge is None:
            return
        room = {source: JUDGED - len(self.tokens[source]) for _, source in chunk}
        chosen = []
        for (text, source), length in zip(chunk, lengths, strict=True):
            if length and room[source] > 0:
                chosen.append((text, source, length))
                room[source] -= 1
        if not chosen:
            return
        scores = self._judge.score([text for text, _, _ in chosen])
        for (_, source, length), score in zip(chosen, scores, strict=True):
            self.tokens[source].append((length, length if score > TOXIC else 0))

    def shares(self) -> dict[str, dict[str, float]]:
        """Of each source the toxic part of its tokens, with a bootstrap interval over documents."""
        estimates = {}
        for source, counts in self.tokens.items():
            tokens, toxic = np.array(counts, dtype=np.float64).T
            share = ratio_interval(toxic, tokens, bounds=SCORE)
            ends = (share.value if end is None else end for end in (share.low, share.high))
            low, high = ends
            estimates[source] = {"value": share.value, "low": low, "high": high, "n": share.n}
        return estimates


class _Writer:
    """The open files of a pool under construction, and what is known so far."""

    def __init__(self, streams: tuple[BinaryIO, BinaryIO, BinaryIO], dtype: np.dtype[Any], eos: int) -> None:
        """`names`: source to its number; `scores`: one byte a document, toxicity in hundredths."""
        self.tokens_file, self.offsets_file, self.sources_file = streams
        self.dtype, self.eos = dtype, eos
        self.tokens = self.documents = 0
        self.names: dict[str, int] = {}
        self.digest = hashlib.sha256()
        self.scores = bytearray()
        self.offsets_file.write(np.zeros(1, np.uint64).tobytes())

    def add(
        self,
        documents: list[list[int]],
        sources: list[str],
        *,
        limit: int,
        scores: NDArray[np.float64] | None = None,
    ) -> None:
        """Write documents (token ids), each closed by the separator, until the pool holds `limit` tokens.

        `sources` and `scores` (toxicity 0..1): [documents].
        """
        written_ids, lengths, source_numbers = array("I"), [], []
        for index, (ids, source) in enumerate(zip(documents, sources, strict=True)):
            if self.tokens + len(written_ids) >= limit:
                break
            if not ids:
                continue
            written_ids.extend(ids)
            written_ids.append(self.eos)
            lengths.append(len(ids) + 1)
            source_numbers.append(self.names.setdefault(source, len(self.names)))
            if len(self.names) > MOST_SOURCES:
                raise MixError(
                    f"the text has more than {MOST_SOURCES:,} sources, the last is '{source[:40]}': `source` "
                    "is to name a column of few values"
                )
            if scores is not None:
                self.scores.append(round(100 * min(1.0, max(0.0, float(scores[index])))))
        end_bytes = (self.tokens + np.cumsum(lengths)).astype(np.uint64).tobytes()
        token_bytes = np.frombuffer(written_ids, dtype=np.uintc).astype(self.dtype).tobytes()
        self.tokens_file.write(token_bytes)
        self.offsets_file.write(end_bytes)
        self.sources_file.write(np.asarray(source_numbers, np.uint16).tobytes())
        self.digest.update(token_bytes)
        self.digest.update(end_bytes)
        self.tokens += len(written_ids)
        self.documents += len(lengths)


def _write_pool(
    texts: Iterable[tuple[str, str]],
    tokenizer: transformers.PreTrainedTokenizerFast,
    folder: Path,
    *,
    tokens: int,
    annotate: Annotate | None,
    judge: Judge | None,
    progress: Progress | None,
) -> dict[str, Any]:
    """Write (text, source name) pairs until `tokens` tokens are there; gives the pool's description."""
    eos = tokenizer.eos_token_id
    dtype = token_dtype(len(tokenizer))
    exhausted = True
    judged = _Judged(judge)
    with (
        (folder / "tokens.bin").open("wb") as tokens_file,
        (folder / "offsets.bin").open("wb") as offsets_file,
        (folder / "sources.bin").open("wb") as sources_file,
    ):
        writer = _Writer((tokens_file, offsets_file, sources_file), dtype, eos)
        for chunk in _batches(texts):
            documents = list(token_ids(tokenizer, (text for text, _ in chunk), batch=BATCH))
            scores = annotate([text for text, _ in chunk]) if annotate else None
            writer.add(documents, [source for _, source in chunk], limit=tokens, scores=scores)
            judged.add(chunk, [len(ids) for ids in documents])
            if progress is not None:
                progress(min(writer.tokens, tokens), tokens)
            if writer.tokens >= tokens:
                exhausted = False
                break
    if annotate is not None:
        (folder / "scores.bin").write_bytes(writer.scores)
        writer.digest.update(writer.scores)
    return {
        "tokens": writer.tokens,
        "annotated": annotate is not None,
        "documents": writer.documents,
        "exhausted": exhausted,
        "sources": list(writer.names),
        "dtype": dtype.name,
        "eos": eos,
        "hash": writer.digest.hexdigest()[:16],
        "judge": judge.name if judge else "",
        "toxic": judged.shares(),
    }
