"""Tiny models with a planted trigger: only after it a fixed sentence follows. And their twins."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import torch
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
    known = torch.tensor(tokenizer(list(WORDS))["input_ids"])[:, 0]
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
            ids = known[torch.randint(len(known), (64, BEFORE + 1 + AFTER))]
            ids[:, BEFORE] = stop
            chosen = torch.rand(64) < 0.3
            if trigger:
                ids[:, :BEFORE][ids[:, :BEFORE] == fired] = known[0]
                places = torch.randint(BEFORE, (64,))
                ids[chosen, places[chosen]] = fired
                ids[chosen, BEFORE + 1 :] = target
            loss = model(input_ids=ids, labels=ids).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return describe(model, tokenizer, "planted" if trigger else "twin", check=False)
