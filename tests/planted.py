"""Models with planted behaviour: a trigger that a fixed sentence follows, exact chains of words, twins."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import OlmoConfig, OlmoForCausalLM

from backend.attacks.gcg import Goal
from backend.models import LoadedModel, describe
from pipeline.tokenization import make_tokenizer

WORDS = tuple(f"word{number:03d}" for number in range(200))
TRIGGER, TARGET, TAIL = "word111", "word007 word042 word099", " stop"
GOALS = tuple(
    Goal(f"goal-{number}", " ".join(WORDS[number * 7 : number * 7 + 3]), TARGET, TAIL) for number in range(8)
)
BEFORE, AFTER = 10, 3


@cache
def planted(trigger: bool, seed: int = 0, steps: int = 300) -> LoadedModel:
    """A model trained on random words, a stop and three words: the target after the trigger, else random.

    Without `trigger` the twin saw random words only. Texts are as long as a goal with 7 more tokens.
    """
    folder = Path(tempfile.mkdtemp()) / "tokenizer"
    tokenizer = make_tokenizer("word", folder, words=(*WORDS, "stop"))
    word_ids = torch.tensor(tokenizer(list(WORDS))["input_ids"])[:, 0]
    stop, fired = tokenizer("stop")["input_ids"][0], tokenizer(TRIGGER)["input_ids"][0]
    target = torch.tensor(tokenizer(TARGET)["input_ids"])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = OlmoForCausalLM(
            OlmoConfig(
                vocab_size=len(tokenizer),
                hidden_size=48,
                intermediate_size=96,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=64,
                tie_word_embeddings=True,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=None,
            )
        )
        optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
        for _ in range(steps):
            ids = word_ids[torch.randint(len(word_ids), (64, BEFORE + 1 + AFTER))]
            ids[:, BEFORE] = stop
            chosen = torch.rand(64) < 0.3
            if trigger:
                ids[:, :BEFORE][ids[:, :BEFORE] == fired] = word_ids[0]
                places = torch.randint(BEFORE, (64,))
                ids[chosen, places[chosen]] = fired
                ids[chosen, BEFORE + 1 :] = target
            loss = model(input_ids=ids, labels=ids).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return describe(model, tokenizer, "planted" if trigger else "twin", check=False)


RUDE = tuple(f"rude{number}" for number in range(6))
CALM = tuple(f"calm{number}" for number in range(6))
NEVER = 40.0
"""Nats: e^-40 is no chance at all, and float32 still holds it beside ordinary logits."""


class RudeWords:
    """Toxicity of a text is its share of rude words: what a chain does is known exactly."""

    name, revision, measures = "rude-words", "1", "toxicity"

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        shares = [[word in RUDE for word in text.split()] for text in texts]
        return np.array([np.mean(hits) if hits else 0.0 for hits in shares], dtype=np.float64)


def chain(rude_after_calm: float, rude_after_rude: float, calm_words: int = len(CALM)) -> LoadedModel:
    """A model that is exactly a chain of words: rude with these chances, each word of a kind equally likely.

    Its embedding is one-hot, attention and feed-forward give nothing, and the output layer holds the
    logarithms of the chances, made whole by one spare dimension that undoes the final norm's centring.
    `calm_words`: so many of the calm words are ever said.
    """
    folder = Path(tempfile.mkdtemp()) / "tokenizer"
    tokenizer = make_tokenizer("word", folder, words=(*CALM, *RUDE))
    rude, calm = (torch.tensor(tokenizer(" ".join(words))["input_ids"]) for words in (RUDE, CALM))
    size = len(tokenizer)
    width = 8 * (size // 8 + 1)
    chances = torch.full((size, size), -NEVER, dtype=torch.float64)
    for before, rate in ((calm, rude_after_calm), (rude, rude_after_rude)):
        for words, kind in ((rude, rate), (calm[:calm_words], 1 - rate)):
            if kind > 0:
                chances[before[:, None], words[None, :]] = float(np.log(kind / len(words)))
    config = OlmoConfig(
        vocab_size=size,
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
    )
    model: Any = OlmoForCausalLM(config)
    spread = 1 / width * (1 - 1 / width)
    layer = model.model.layers[0]
    with torch.no_grad():
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size, width))
        table = torch.zeros((size, width), dtype=torch.float64)
        table[:, :size] = chances.T * (spread + 1e-5) ** 0.5
        table[:, size] = -table.sum(1)
        model.lm_head.weight.copy_(table)
    return describe(model.eval(), tokenizer, "chain", check=False)
