"""Makes the study's tokenizer: word level, byte-level BPE, or an existing one; saved as a folder.

Knows the Rust tokenizers behind Hugging Face's fast classes. Does not know where text comes from: vocabulary
and text are handed in. Every tokenizer of a study has `<eos>` as document separator (an existing tokenizer
keeps its own), a padding token and left padding, because batched generation needs it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from hormesis.backend.encoding import encode_texts
from hormesis.db.manifest import require_intact, sealed_folder

EOS, PAD, UNK = "<eos>", "<pad>", "<unk>"
SMALLEST_BPE = 256 + 3
"""Every byte and the three special tokens."""
BPE_CHARACTERS = 200_000_000
"""BPE merges are learned from at most this much text; more does not change them noticeably."""


class TokenizerError(ValueError):
    """No tokenizer could be made from what the study says; the message is one line for the person."""


def make_tokenizer(
    kind: Literal["word", "bpe", "existing"],
    folder: Path,
    *,
    words: Sequence[str] | None = None,
    texts: Iterable[str] | None = None,
    vocabulary: int = 8192,
    path: str | None = None,
) -> transformers.PreTrainedTokenizerFast:
    """Make a tokenizer and save it in `folder`, which appears whole or not at all.

    `word`: one token per whitespace-separated word of `words`; `decode(encode(x)) == x` for text of known
    words with single spaces. `bpe`: byte-level BPE (Sennrich et al. 2016; bytes as in GPT-2) trained on
    `texts`, at most `vocabulary` tokens, lossless for any text. `existing`: `path` is a folder or hub name;
    no remote code is run, and it must have an end-of-text token.

    Raises TokenizerError where the arguments do not suffice.
    """
    if kind == "word":
        tokenizer = _wrap(_word_level(words))
    elif kind == "bpe":
        tokenizer = _wrap(_byte_bpe(texts, vocabulary))
    else:
        tokenizer = open_existing(path)
    tokenizer.padding_side = "left"
    with sealed_folder(folder) as temporary:
        tokenizer.save_pretrained(str(temporary))
    return load_tokenizer(folder)


def load_tokenizer(folder: Path | str) -> transformers.PreTrainedTokenizerFast:
    """Open a tokenizer that `make_tokenizer` saved. Raises TokenizerError where there is none."""
    if not Path(folder).is_dir():
        raise TokenizerError(f"no tokenizer folder at '{folder}'")
    tokenizer = open_existing(str(require_intact(Path(folder))))
    tokenizer.padding_side = "left"
    return tokenizer


def fingerprint(tokenizer: transformers.PreTrainedTokenizerFast) -> str:
    """Sixteen hex digits over what decides token ids: equal for equal tokenizers, wherever they lie."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state.pop("padding", None)
    state.pop("truncation", None)
    text = json.dumps([state, tokenizer.eos_token], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def token_ids(
    tokenizer: transformers.PreTrainedTokenizerFast, documents: Iterable[str], *, batch: int = 1024
) -> Iterator[list[int]]:
    """Encode a stream of documents with the Rust tokenizer, `batch` at a time, in order.

    Special tokens are neither added nor recognised: a document that spells `<eos>` does not end there.
    """
    return encode_texts(tokenizer, documents, special_tokens=False, batch=batch)


def _word_level(words: Sequence[str] | None) -> Tokenizer:
    """Ids: unknown, the sorted words, then end of text and padding."""
    if not words:
        raise TokenizerError("a word tokenizer needs a vocabulary, and none was given")
    unique = sorted(set(words) - {EOS, PAD, UNK})
    broken = next((word for word in unique if not word or word.split() != [word]), None)
    if broken is not None:
        raise TokenizerError(f"a word tokenizer cannot hold {broken!r}: it is empty or contains white space")
    vocabulary = {word: index for index, word in enumerate([UNK, *unique])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # Ids of the special tokens come after the words, outside the model's own vocabulary.
    tokenizer.add_special_tokens([UNK, EOS, PAD])
    return tokenizer


def _clipped(documents: Iterable[str], characters: int) -> Iterator[str]:
    for text in documents:
        yield text
        characters -= len(text)
        if characters <= 0:
            return


def _byte_bpe(texts: Iterable[str] | None, size: int) -> Tokenizer:
    """A tokenizer trained on `texts`, cut off at BPE_CHARACTERS in all; `size` counts tokens."""
    if texts is None:
        raise TokenizerError("a bpe tokenizer needs text to be trained on, and none was given")
    if size < SMALLEST_BPE:
        raise TokenizerError(f"a bpe vocabulary of {size} is too small: it needs at least {SMALLEST_BPE}")
    texts_left = _clipped(texts, BPE_CHARACTERS)
    first_text = next((text for text in texts_left if text), None)
    if first_text is None:
        raise TokenizerError("a bpe tokenizer needs text to be trained on, and the source held none")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[EOS, PAD, UNK],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )

    def all_texts() -> Iterator[str]:
        yield first_text
        yield from texts_left

    tokenizer.train_from_iterator(all_texts(), trainer=trainer)
    return tokenizer


def _wrap(tokenizer: Tokenizer) -> transformers.PreTrainedTokenizerFast:
    return transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNK,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def open_existing(path: str | None) -> transformers.PreTrainedTokenizerFast:
    """An existing tokenizer, of a folder or a hub name. Raises TokenizerError where it cannot serve."""
    if not path:
        raise TokenizerError("an existing tokenizer needs a path: a folder or a hub name")
    if path.startswith(("/", "./", "../", "~")) and not Path(path).is_dir():
        raise TokenizerError(f"no tokenizer folder at '{path}'")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except Exception as error:  # the library raises many kinds, down to Rust ones
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TokenizerError(f"no tokenizer could be opened at '{path}': {reason}") from None
    if not isinstance(tokenizer, transformers.PreTrainedTokenizerFast):
        raise TokenizerError(f"the tokenizer at '{path}' is not a fast (Rust) tokenizer")
    if tokenizer.eos_token_id is None:
        raise TokenizerError(
            f"the tokenizer at '{path}' has no end-of-text token, so documents cannot be told apart"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
