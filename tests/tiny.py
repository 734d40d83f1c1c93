"""Tiny random checkpoints of every proven family, with a tiny byte-level tokenizer."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Olmo3Config,
    Olmo3ForCausalLM,
    OlmoConfig,
    OlmoForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from backend.models import LoadedModel, describe

CORPUS = (
    "the baker sells warm bread near the river",
    "a quiet cat sleeps on the old chair all day",
    "rain falls on the green hill and the small garden",
    "she reads a long book about ships and stars",
)
LAYERS, HEADS, WIDTH = 3, 4, 32
CLASSES: dict[str, tuple[Any, Any]] = {
    "olmo": (OlmoConfig, OlmoForCausalLM),
    "olmo2": (Olmo2Config, Olmo2ForCausalLM),
    "olmo3": (Olmo3Config, Olmo3ForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
    "gpt2": (GPT2Config, GPT2LMHeadModel),
    "gpt_neox": (GPTNeoXConfig, GPTNeoXForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "gemma2": (Gemma2Config, Gemma2ForCausalLM),
    "phi3": (Phi3Config, Phi3ForCausalLM),
}
FAMILIES = tuple(CLASSES)
OWN_HEAD_DIM = {"qwen3": 16, "gemma2": 16}
"""Families whose heads are wider than hidden size / heads; the tiny ones are made so on purpose."""


@lru_cache(maxsize=1)
def _tokenizer_json() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<bos>", "<eos>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    text: str = tokenizer.to_str()
    return text


def tiny_tokenizer() -> Any:
    """Byte-level BPE of 320 entries with <bos> 0, <eos> 1, <pad> 2; it adds none of them by itself."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_tokenizer_json()),
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
    )


def tiny_config(family: str, **changes: Any) -> Any:
    """Configuration of a tiny model: 3 layers, 4 heads, width 32, 64 positions."""
    config_class, _ = CLASSES[family]
    options: dict[str, Any] = {
        "vocab_size": 320,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 48,
        "max_position_embeddings": 64,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
        "initializer_range": 0.2,
    }
    if family not in ("gpt2", "gpt_neox", "olmo"):
        options["num_key_value_heads"] = 2
    if family in OWN_HEAD_DIM:
        options["head_dim"] = OWN_HEAD_DIM[family]
    if family == "gemma2":
        options |= {"query_pre_attn_scalar": 16, "sliding_window": 16}
    if family == "olmo3":
        options |= {"sliding_window": 16}
    if family == "gpt2":
        options |= {"n_inner": options.pop("intermediate_size"), "attn_pdrop": 0.1}
    return config_class(**(options | changes))


def tiny_model(
    family: str = "llama", *, seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any
) -> Any:
    """A randomly initialised model of a family; the same seed gives the same weights."""
    config = tiny_config(family, **changes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CLASSES[family][1](config)
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(weight, 0.0, 0.1)
    return model.to(dtype).eval()


def tiny_loaded(family: str = "llama", *, seed: int = 0, check: bool = False, **changes: Any) -> LoadedModel:
    """The same, wrapped as the backend's `LoadedModel`."""
    return describe(tiny_model(family, seed=seed, **changes), tiny_tokenizer(), f"tiny-{family}", check=check)


def save_tiny(folder: Path, family: str = "llama", *, seed: int = 0, **changes: Any) -> Path:
    """Write model and tokenizer as an ordinary checkpoint folder; returns the folder."""
    tiny_model(family, seed=seed, **changes).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
