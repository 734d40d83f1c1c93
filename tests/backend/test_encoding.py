"""Text as data: the same tokens in training, probing, losses, prompts, pairs and tasks."""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from hormesis.backend.attacks.gcg import Goal, SearchSettings, search_suffix
from hormesis.backend.capture import _token_ids
from hormesis.backend.crossentropy import prepare_windows
from hormesis.backend.encoding import as_data, encode_texts
from hormesis.backend.generation.batching import encode
from hormesis.backend.likelihood import encode_pairs
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.models import describe
from hormesis.pipeline.methods.pairs import TextPair, tokenise
from hormesis.pipeline.text.tokenization import make_tokenizer, token_ids
from tests.fixtures.tiny import tiny_model, tiny_tokenizer
from tests.structure import LAYERS, modules

SPELT = "so <eos> then <pad> end"
Way = Callable[[LoadedModel, str], list[int]]

WAYS: dict[str, Way] = {
    "pool": lambda loaded, text: next(token_ids(loaded.tokenizer, [text])),
    "probe": lambda loaded, text: _token_ids(loaded, [text], "last", batch_size=1, max_tokens=None)[0],
    "prompt": lambda loaded, text: encode(loaded, [text])[0],
    "heldout": lambda loaded, text: [*prepare_windows(loaded, [text], 64).ids[0]],
    "pair": lambda loaded, text: [*tokenise(loaded, [TextPair("", text, text)], 64)[0].chosen[:-1]],
    "item": lambda loaded, text: encode_pairs(loaded, [("", text)])[0][1],
    "library": lambda loaded, text: as_data(loaded.tokenizer)(text, add_special_tokens=False)["input_ids"],
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = make_tokenizer("bpe", folder / "bpe", texts=["so then the end of it"] * 50, vocabulary=300)
    return describe(tiny_model(vocab_size=len(tokenizer)), tokenizer, check=False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", ["so then", SPELT, "<eos>"])
def test_every_way_gives_the_tokens_that_are_trained_on(loaded: LoadedModel, way: str, text: str) -> None:
    ids = WAYS[way](loaded, text)
    assert ids == WAYS["pool"](loaded, text)
    assert not set(ids) & {loaded.tokenizer.eos_token_id, loaded.tokenizer.pad_token_id}
    assert loaded.tokenizer.decode(ids) == text


def test_a_target_that_spells_a_token_is_searched_as_text(loaded: LoadedModel) -> None:
    goal = Goal("k", "so", "<eos>", tail="<pad>")
    result = search_suffix(loaded, goal, settings=SearchSettings(steps=1, candidates=2, suffix_tokens=2))
    tail = WAYS["pool"](loaded, "<pad>")
    assert list(result.ids[-len(tail) :]) == tail and result.prompt.endswith("<pad>")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(texts=st.lists(st.text(st.characters(exclude_characters="<>", exclude_categories=["Cs"])), max_size=4))
def test_text_that_spells_none_is_cut_as_the_tokenizer_itself_cuts_it(texts: list[str]) -> None:
    tokenizer: PreTrainedTokenizerFast = tiny_tokenizer()
    for special_tokens in (True, False):
        expected = [tokenizer(text, add_special_tokens=special_tokens)["input_ids"] for text in texts]
        assert list(encode_texts(tokenizer, texts, special_tokens=special_tokens)) == expected
        options = {"add_special_tokens": special_tokens, "truncation": True, "max_length": 3}
        cut = [tokenizer(text, **options)["input_ids"] for text in texts]  # type: ignore[arg-type]
        assert list(encode_texts(tokenizer, texts, special_tokens=special_tokens, limit=3)) == cut


def test_a_tokenizer_that_grows_is_not_taken_for_what_it_was() -> None:
    tokenizer = tiny_tokenizer()
    before = next(encode_texts(tokenizer, ["zebra!"]))
    tokenizer.add_tokens(["zebra!"])
    assert next(encode_texts(tokenizer, ["zebra!"])) == [tokenizer.convert_tokens_to_ids("zebra!")] != before


ENCODING = {"encode_batch", "encode_batch_fast", "encode_plus", "apply_chat_template", "tokenize"}


def test_nothing_else_calls_a_tokenizer() -> None:
    callers = set()
    for module in modules():
        if module.path.parts[0] not in LAYERS:
            continue
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call):
                continue
            function = ast.unparse(node.func)
            name = function.rpartition(".")[2]
            of_tokenizer = function.rpartition(".")[0].lower().endswith(("tokenizer", "engine"))
            if (name.lower().endswith("tokenizer") and name[0] in "t_") or name in ENCODING:
                callers.add(str(module.path))
            if of_tokenizer and name in ("encode", "__call__"):
                callers.add(str(module.path))
    # The last opens a tokenizer by a function of that name.
    assert callers == {"backend/encoding.py", "backend/model/models.py"}
