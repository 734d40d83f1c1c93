"""Text as data: the one place where text becomes token ids, for own and imported tokenizers.

A text that spells a special token (`<eos>`, `<|im_start|>`) holds these characters and no token: what is
trained on, probed, scored and continued is cut alike. The tokenizer's own first and last tokens are added.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

from tokenizers import Tokenizer

_ENGINES: WeakKeyDictionary[Any, tuple[int, Tokenizer]] = WeakKeyDictionary()
"""By tokenizer, its number of tokens and a copy of its engine, since the engine's settings are shared."""


def encode_texts(
    tokenizer: Any,
    texts: Iterable[str],
    *,
    special_tokens: bool = True,
    limit: int | None = None,
    batch: int = 1024,
) -> Iterator[list[int]]:
    """Token ids of each text, `batch` texts at a time, in order; neither padded nor, without `limit`, cut.

    special_tokens: with those that the tokenizer adds by default, at either end. limit: tokens at most, these
    included.
    """
    engine = _engine(tokenizer) if limit is None else None
    iterator = iter(texts)
    while part := list(islice(iterator, batch)):
        if engine is not None:
            for encoding in engine.encode_batch_fast(part, add_special_tokens=special_tokens):
                yield encoding.ids
        else:
            yield from tokenizer(
                part,
                add_special_tokens=special_tokens,
                split_special_tokens=True,
                truncation=limit is not None,
                max_length=limit,
                verbose=False,
            )["input_ids"]


def as_data(tokenizer: Any) -> Any:
    """A copy of a tokenizer that reads text as data whoever calls it; for libraries that encode."""
    copied = copy.deepcopy(tokenizer)
    copied.split_special_tokens = True
    return copied


def _engine(tokenizer: Any) -> Tokenizer | None:
    """The engine in Rust that reads special tokens as text; None for a tokenizer in Python."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        return None
    count, engine = _ENGINES.get(tokenizer, (0, None))
    if engine is None or count != len(tokenizer):
        engine = Tokenizer.from_str(backend.to_str())
        engine.no_padding()
        engine.no_truncation()
        engine.encode_special_tokens = True
        _ENGINES[tokenizer] = (len(tokenizer), engine)
    return engine
