"""Bad models are refused at the door, whatever asks: by a line that names the tensor."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from hormesis.backend.model.models import ModelError, describe, load_model
from hormesis.backend.model.soundness import Diverged, require_converging
from tests.fixtures.tiny import save_tiny, tiny_loaded, tiny_model, tiny_tokenizer


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_one_number_in_a_rare_embedding_is_enough(number: float, check: bool) -> None:
    model = tiny_model()
    name, weight = next((name, weight) for name, weight in model.named_parameters() if "embed" in name)
    with torch.no_grad():
        weight[-1, -1] = number
    line = (
        f"memory: tensor '{name}' holds 1 numbers that are not finite (of {weight.numel():,}): the training"
    )
    with pytest.raises(ModelError, match=re.escape(line)):
        describe(model, tiny_tokenizer(), check=check)


def test_weights_that_are_all_wrong_are_not_called_another_kind_of_model(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(math.nan)
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="that are not finite"):
        load_model(tmp_path)


def test_a_tokenizer_beyond_the_embedding_is_refused_unless_text_cannot_get_there(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path)
    loaded = load_model(folder)
    rows = loaded.model.get_input_embeddings().weight.shape[0]
    loaded.tokenizer.add_tokens([f"token{i}" for i in range(rows + 1 - len(loaded.tokenizer))])
    line = f"its tokenizer gives ids up to {rows:,}, and tensor '"
    with pytest.raises(ModelError, match=line):
        describe(loaded.model, loaded.tokenizer, check=False)
    # As with pictures' tokens, and padding that was added without a vector.
    again = load_model(folder)
    names = [f"<picture{i}>" for i in range(rows + 1 - len(again.tokenizer))]
    again.tokenizer.add_special_tokens({"pad_token": names[-1], "extra_special_tokens": names[:-1]})
    assert again.tokenizer.pad_token_id >= rows
    assert describe(again.model, again.tokenizer, check=False).pad_id < rows


@pytest.mark.parametrize("use", ["unknown words", "either end"])
def test_tokens_that_a_tokenizer_itself_puts_into_text_need_vectors(use: str) -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    rows = model.get_input_embeddings().weight.shape[0]
    names = [f"<own{i}>" for i in range(rows + 1 - len(tokenizer))]
    tokenizer.add_special_tokens({"extra_special_tokens": names})
    if use == "unknown words":
        tokenizer.unk_token = names[-1]
        tokenizer.backend_tokenizer.model.unk_token = names[-1]
    else:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            f"{names[-1]} $A", special_tokens=[(names[-1], rows)]
        )
    with pytest.raises(ModelError, match=f"its tokenizer gives ids up to {rows:,}"):
        describe(model, tokenizer, check=False)


def test_a_chat_template_is_seen() -> None:
    loaded = tiny_loaded()
    assert not loaded.has_chat_template
    loaded.tokenizer.chat_template = "{{ messages }}"
    assert loaded.has_chat_template


@pytest.mark.parametrize("loss", [math.nan, math.inf, 5.0])
def test_a_diverging_training_says_at_which_step_and_what_to_lower(loss: float) -> None:
    arguments = {"setting": "training.learning_rate", "rate": 100.0, "most": 5.0}
    require_converging([1.0, 4.9], "training", 8, 20, **arguments)  # type: ignore[arg-type]
    line = (
        f"training diverged at step 7 of 20: the loss is {loss:.3g}; lower training.learning_rate (100 now)"
    )
    with pytest.raises(Diverged, match=re.escape(line)):
        require_converging([1.0, loss, loss], "training", 8, 20, **arguments)  # type: ignore[arg-type]
