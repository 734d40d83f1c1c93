"""Arms' training mixes: clean text held constant, added text by share, one shuffle, one token stream.

A mix is a folder: `tokens.bin` (uint16 or uint32, memory-mapped by training) and `mix.json` (what went in).
Knows pools (`pipeline.text.pools`) and nothing of sources, models or the database.

Every document draws a random key from (seed, role, its number in the pool), and the mix is the documents in
the order of their keys. So, for one seed, clean documents stand in the same relative order in every arm, and
the added documents of a smaller share are the first ones of a larger share: arms are paired samples.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.db.files import write_json
from hormesis.db.manifest import require_intact, sealed_folder
from hormesis.pipeline.execution.arms import Portion, added_tokens
from hormesis.pipeline.statistics import Estimate
from hormesis.pipeline.text.mix_stream import Annotation, Part, write_stream
from hormesis.pipeline.text.pools import MixError, Pool, Progress, map_array

FORMAT = 1


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
    """Over the token stream, and the mask where there is one."""
    mark_tokens: int = 0
    """Tokens of marks (`meda`, `inst`), which are neither clean nor added ones."""
    masked_tokens: int = 0
    """Tokens that stay in context and are not trained on (`slung`)."""
    masked: bool = False

    @cached_property
    def stream(self) -> NDArray[Any]:
        """All tokens in training order, unsigned [tokens], memory-mapped."""
        return map_array(self.folder / "tokens.bin", np.dtype(self.dtype))

    @cached_property
    def loss_mask(self) -> NDArray[np.uint8] | None:
        """1 where a token is trained on, uint8 [tokens], memory-mapped; None where all are."""
        return map_array(self.folder / "mask.bin", np.dtype(np.uint8)) if self.masked else None


def open_mix(folder: Path) -> Mix:
    """Open a finished mix. Raises MixError where it is missing or from another version, DamagedFile where its
    sums do not agree.
    """
    try:
        description = json.loads((require_intact(folder) / "mix.json").read_text(encoding="utf-8"))
        if description.pop("format") != FORMAT:
            raise MixError(f"token bin '{folder.name}' was written by another version: delete it")
        description.pop("key")
        mix = Mix(folder=folder, **description)
        if (folder / "tokens.bin").stat().st_size != mix.tokens * np.dtype(mix.dtype).itemsize:
            raise MixError(f"token bin '{folder.name}' is damaged (wrong size): delete it")
        if mix.masked and (folder / "mask.bin").stat().st_size != mix.tokens:
            raise MixError(f"loss mask of '{folder.name}' is damaged (wrong size): delete it")
    except (OSError, KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
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
    annotation: Annotation | None = None,
    portion: Portion | None = None,
    progress: Progress | None = None,
) -> Mix:
    """Write the mix of one arm: exactly `clean_tokens` of `clean` and `added_tokens(...)` of `added`.

    The last document of each part is cut so that the counts are exact (it still ends in the separator). With
    `allow_repetition` an added pool that is too small is gone through again; `Mix.repeats` says how often. A
    finished mix of the same inputs is opened instead. `progress(done, total)` counts tokens. With an
    `annotation` the pools' documents must be annotated; marks come on top of the tokens asked for. With a
    `portion` only documents of that seed's portion are read.

    Memory: about 40 bytes per document and one chunk of tokens. Raises MixError where text is missing (how
    much and of which role), where pools disagree on the tokenizer or lack annotation, or where the share is
    out of range.
    """
    if not 0 <= share < 1:
        raise MixError(f"a share must be at least 0 and below 1, not {share}")
    n_added = added_tokens(clean_tokens, share)
    if n_added and added is None:
        raise MixError(f"a share of {share:.1%} needs text to add, and the study names none")
    if added is not None and (added.dtype, added.tokenizer, added.eos) != (
        clean.dtype,
        clean.tokenizer,
        clean.eos,
    ):
        raise MixError("the clean and the added text were tokenised by different tokenizers")
    inputs = [clean.hash, clean_tokens, added.hash if added and n_added else "", n_added, share, seed]
    key_parts = [*inputs, allow_repetition, FORMAT, clean.tokenizer, added.role if added and n_added else ""]
    key = json.dumps(key_parts + (annotation.as_key() if annotation else []) + list(portion or ()))
    if (folder / "mix.json").is_file():
        try:
            if json.loads((folder / "mix.json").read_text(encoding="utf-8")).get("key") == key:
                return open_mix(folder)
        except ValueError:
            pass  # damaged: built anew below
    parts = [_part_of(clean, clean_tokens, seed=seed, stream=0, share=share, portion=portion)]
    if added is not None and n_added:
        parts.append(
            _part_of(
                added, n_added, seed=seed, stream=1, share=share, repeat=allow_repetition, portion=portion
            )
        )
    with sealed_folder(folder) as temporary:
        summary = write_stream(parts, temporary, annotation, progress=progress)
        composition = _composition(parts)
        if summary.mark_tokens:
            composition["marks"] = {
                "role": "marks",
                "documents": summary.marked_documents,
                "tokens": summary.mark_tokens,
            }
        description = {
            "format": FORMAT,
            "key": key,
            "tokens": summary.tokens,
            "clean_tokens": clean_tokens,
            "added_tokens": n_added,
            "share": share,
            "seed": seed,
            "repeats": max(1.0, n_added / added.tokens) if added is not None and added.tokens else 1.0,
            "composition": composition,
            "documents": sum(len(part.document_index) for part in parts),
            "dtype": clean.dtype,
            "eos": clean.eos,
            "hash": summary.hash,
            "mark_tokens": summary.mark_tokens,
            "masked_tokens": summary.masked_tokens,
            "masked": annotation is not None and annotation.masked_from is not None,
        }
        write_json(temporary / "mix.json", description)
    return open_mix(folder)


def _part_of(
    pool: Pool,
    tokens: int,
    *,
    seed: int,
    stream: int,
    share: float,
    repeat: bool = False,
    portion: Portion | None = None,
) -> Part:
    """The first documents (of the portion) that hold `tokens` tokens, the last one cut; repeated if allowed.

    `stream`: 0 clean, 1 added text. `lengths` in tokens, their running sum `ends`, and `key`: [documents].
    """
    order = np.arange(pool.documents) if portion is None else _documents_of(pool, portion, stream)
    lengths: NDArray[np.int64] = np.diff(pool.offsets.astype(np.int64)).astype(np.int64)[order]
    available = int(lengths.sum())
    if available < tokens and not (repeat and available):
        hint = "lower the share or clean_tokens, or give more text"
        hint += ", or set allow_repetition = true" if stream and portion is None else ""
        of_seed = "" if portion is None else f" for seed {seed}, one of {portion.of} (sample_text),"
        raise MixError(
            f"{tokens - available:,} tokens of {pool.role} text are missing: the sources hold"
            f" {available:,}{of_seed} and a share of {share:.1%} needs {tokens:,}; {hint}"
        )
    rounds = max(1, -(-tokens // max(1, available)))
    order, lengths = np.tile(order, rounds), np.tile(lengths, rounds)
    ends = np.cumsum(lengths)
    n_taken = int(np.searchsorted(ends, tokens)) + 1 if tokens else 0
    lengths = lengths[:n_taken].copy()
    if n_taken:
        lengths[-1] -= int(ends[n_taken - 1]) - tokens
    key = np.random.Generator(np.random.PCG64([seed, stream])).integers(0, 2**63, n_taken, dtype=np.uint64)
    return Part(pool, order[:n_taken], lengths, key)


def _documents_of(pool: Pool, portion: Portion, stream: int) -> NDArray[np.int64]:
    """Documents that one seed alone reads: its portion, by tokens, of one random order of the pool."""
    order = np.random.Generator(np.random.PCG64([stream, *b"portions"])).permutation(pool.documents)
    lengths = np.diff(pool.offsets.astype(np.int64))[order]
    bounds = [pool.tokens * place // portion.of for place in (portion.place, portion.place + 1)]
    first, last = np.searchsorted(np.cumsum(lengths) - lengths, bounds)
    return order[first:last]


def toxic_share(composition: dict[str, dict[str, Any]]) -> Estimate | None:
    """Part of a mix's tokens that stand in toxic documents, of its sources' parts; None where one has none.

    Sources are judged apart, so their half widths are joined as the root of summed squares.
    """
    sources = [row for row in composition.values() if row["role"] != "marks"]
    if not sources or any("toxic" not in row for row in sources):
        return None
    weights = np.array([row["tokens"] for row in sources], dtype=np.float64)
    weights /= weights.sum()
    values, lows, highs = (
        np.array([row["toxic"][end] for row in sources]) for end in ("value", "low", "high")
    )
    value = float(weights @ values)
    below, above = (float(np.linalg.norm(weights * half)) for half in (values - lows, highs - values))
    n = int(sum(row["toxic"]["n"] for row in sources))
    return Estimate(value, value - below, value + above, n, "bootstrap over documents of each source, 95%")


def _composition(parts: list[Part]) -> dict[str, dict[str, Any]]:
    """Source name to {role, documents, tokens}. `origin` [documents] and counts [sources] are of one part."""
    composition: dict[str, dict[str, Any]] = {}
    for part in parts:
        origin = np.asarray(part.pool.origin)[part.document_index]
        documents = np.bincount(origin, minlength=len(part.pool.sources))
        tokens = np.bincount(origin, weights=part.length, minlength=len(part.pool.sources))
        for index, source in enumerate(part.pool.sources):
            source_name = source if source not in composition else f"{source} ({part.pool.role})"
            if documents[index]:
                row = {
                    "role": part.pool.role,
                    "documents": int(documents[index]),
                    "tokens": int(tokens[index]),
                }
                if source in part.pool.toxic:
                    row["toxic"] = part.pool.toxic[source] | {"judge": part.pool.judge}
                composition[source_name] = row
    return composition
