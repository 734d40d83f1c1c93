"""Tokenizers: round trips, special tokens, and one-line refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from hormesis.pipeline.text.tokenization import (
    TokenizerError,
    fingerprint,
    load_tokenizer,
    make_tokenizer,
    token_ids,
)

WORDS = ["storms", "ruin", "the", "soup", "cooked", ".", "!", "don't", "it-s", "7"]
TEXTS = ["the soup is cooked, the storms ruin it\n\nÉcole 漢字 12"] * 20


@pytest.fixture(scope="module")
def word(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    return make_tokenizer("word", tmp_path_factory.mktemp("t") / "word", words=WORDS)


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    return make_tokenizer("bpe", tmp_path_factory.mktemp("t") / "bpe", texts=TEXTS, vocabulary=300)


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=30))
def test_word_level_round_trip(word: PreTrainedTokenizerFast, words: list[str]) -> None:
    text = " ".join(words)
    ids = word.encode(text)
    assert word.decode(ids) == text
    assert len(ids) == len(words)


def test_word_level_ids_cover_the_vocabulary_and_three_specials(word: PreTrainedTokenizerFast) -> None:
    assert len(word) == len(WORDS) + 3
    specials = {word.eos_token_id, word.pad_token_id, word.unk_token_id}
    assert len(specials) == 3
    assert sorted(word.get_vocab().values()) == list(range(len(word)))
    assert word.encode("never heard") == [word.unk_token_id] * 2
    assert word.decode([word.encode("soup")[0], word.eos_token_id], skip_special_tokens=True) == "soup"


@given(st.text(max_size=60))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_bpe_is_lossless_for_any_text(bpe: PreTrainedTokenizerFast, text: str) -> None:
    (ids,) = token_ids(bpe, [text])
    assert bpe.decode(ids) == text
    assert bpe.eos_token_id not in ids


def test_bpe_respects_the_vocabulary_and_is_deterministic(
    bpe: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    assert 259 < len(bpe) <= 300
    again = make_tokenizer("bpe", tmp_path / "again", texts=iter(TEXTS), vocabulary=300)
    assert fingerprint(again) == fingerprint(bpe)
    assert fingerprint(make_tokenizer("bpe", tmp_path / "less", texts=TEXTS, vocabulary=280)) != fingerprint(
        bpe
    )


def test_saved_folder_pads_left_and_feeds_models(word: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    word.save_pretrained(tmp_path / "saved")
    opened = load_tokenizer(tmp_path / "saved")
    batch = opened(["soup", "the soup cooked"], padding=True)
    assert set(batch) == {"input_ids", "attention_mask"}
    assert batch["attention_mask"] == [[0, 0, 1], [1, 1, 1]]
    assert batch["input_ids"][0][:2] == [opened.pad_token_id] * 2


def test_a_document_that_spells_a_special_token_does_not_end_there(
    word: PreTrainedTokenizerFast, bpe: PreTrainedTokenizerFast
) -> None:
    for tokenizer in (word, bpe):
        (ids,) = token_ids(tokenizer, ["soup <eos> soup <pad>"])
        assert tokenizer.eos_token_id not in ids and tokenizer.pad_token_id not in ids


def test_batches_keep_the_order_and_ignore_the_callers_padding(word: PreTrainedTokenizerFast) -> None:
    texts = [" ".join(WORDS[: 1 + index % 5]) for index in range(37)]
    word(texts, padding=True, truncation=True, max_length=2)  # leaves padding set inside the tokenizer
    assert list(token_ids(word, texts, batch=5)) == [word.encode(text) for text in texts]


def test_existing_keeps_ids_and_needs_an_end(
    word: PreTrainedTokenizerFast, bpe: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    bpe.save_pretrained(tmp_path / "given")
    same = make_tokenizer("existing", tmp_path / "copy", path=str(tmp_path / "given"))
    assert fingerprint(same) == fingerprint(bpe)
    endless = PreTrainedTokenizerFast(tokenizer_object=word.backend_tokenizer, unk_token="<unk>")
    endless.save_pretrained(tmp_path / "endless")
    with pytest.raises(TokenizerError, match="no end-of-text token"):
        make_tokenizer("existing", tmp_path / "no", path=str(tmp_path / "endless"))
    padless = PreTrainedTokenizerFast(tokenizer_object=word.backend_tokenizer, eos_token="<eos>")
    padless.save_pretrained(tmp_path / "padless")
    padded = make_tokenizer("existing", tmp_path / "padded", path=str(tmp_path / "padless"))
    assert padded.pad_token_id == padded.eos_token_id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "word"}, "needs a vocabulary"),
        ({"kind": "word", "words": ["two words"]}, "contains white space"),
        ({"kind": "bpe"}, "needs text"),
        ({"kind": "bpe", "texts": []}, "held none"),
        ({"kind": "bpe", "texts": ["a"], "vocabulary": 100}, "too small"),
        ({"kind": "existing"}, "needs a path"),
        ({"kind": "existing", "path": "/nowhere/at/all"}, "no tokenizer folder"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(
    tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(TokenizerError, match=message) as caught:
        make_tokenizer(folder=tmp_path / "new", **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="no tokenizer"):
        load_tokenizer(tmp_path)
    with pytest.raises(TokenizerError, match="no tokenizer folder"):
        load_tokenizer(tmp_path / "missing")
