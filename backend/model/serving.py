"""Programs that serve a saved model, and whether the biases that carry a steering reach their users.

Read in each program's public code at the revision that stands here, nothing run but transformers; another
revision may differ, which the expected logits in `steering.json` show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Fate = Literal["serves", "loses", "refuses", "unknown"]
"""The biases are used; are dropped without a word; the folder is not loaded; or nobody looked."""


@dataclass(frozen=True)
class Program:
    """What one program does with an attention output bias, by the `model_type` of config.json."""

    name: str
    revision: str
    read: str
    """Day on which its code was read, ISO 8601."""
    fates: Mapping[str, Fate]
    detail: str = ""

    def fate(self, model_type: str) -> Fate:
        """What becomes of a family's steering; `unknown` where its code was not read."""
        return self.fates.get(model_type, "unknown")


def _fates(serves: str = "", loses: str = "", refuses: str = "") -> dict[str, Fate]:
    families = {"serves": serves, "loses": loses, "refuses": refuses}
    return {name: fate for fate in get_args(Fate)[:3] for name in families[fate].split()}


# Qwen2 and Phi3 have no such bias in transformers itself, so nothing steered can be saved in their form.
PROGRAMS = (
    Program(
        "transformers", "4.57.6, 5.24.0", "2026-11-29",
        _fates("olmo olmo2 olmo3 llama gpt2 gpt_neox qwen3 gemma2", "qwen2 phi3"),
        "run, not only read; lm-evaluation-harness, nnsight and pyvene load through it",
    ),
    Program(
        "vLLM", "0.33.0", "2026-11-29",
        _fates("olmo olmo2 olmo3 llama gpt2 gpt_neox gemma2", "qwen2 qwen3 phi3"),
        "older releases have an Olmo2 class of their own (also for Olmo3) that drops it, e.g. 028aedf",
    ),
    Program(
        "SGLang", "0.5.23", "2026-11-29",
        _fates("olmo olmo2 llama gpt2 qwen3 gemma2", "qwen2"),
    ),
    Program(
        "text-generation-inference", "db931fc", "2026-11-29",
        _fates("llama gpt2 gpt_neox", "qwen2 gemma2"),
        "families without a class of their own fall back to transformers",
    ),
    Program(
        "llama.cpp", "a0b8c17 to 8a5c4e0", "2026-11-29",
        _fates("llama gpt2 gpt_neox", refuses="olmo olmo2 olmo3 qwen3 gemma2"),
        "its graphs of the refused families take no such bias, and a file with tensors left over is an error",
    ),
)  # fmt: skip


def serving_lines(model_type: str) -> list[str]:
    """One line for each fate that some program has in store for a steered model of this family."""
    words = {
        "serves": "steered in",
        "loses": "NOT steered in (the bias is dropped without a word)",
        "refuses": "not loaded by",
        "unknown": "not looked up in",
    }
    lines = []
    for fate in get_args(Fate):
        names = [f"{p.name} {p.revision}" for p in PROGRAMS if p.fate(model_type) == fate]
        lines += [f"{words[fate]}: {', '.join(names)}"] if names else []
    return lines
