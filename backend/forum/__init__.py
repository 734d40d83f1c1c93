"""The forum language: text of an invented world whose toxicity and grammar are known exactly."""

from __future__ import annotations

from hormesis.backend.forum.corpora import Prompt, corpus, probe_set, prompt_set
from hormesis.backend.forum.grammar import REVISION, TEMPLATES, VOCABULARY, Template
from hormesis.backend.forum.judge import Judgement, judge, judge_continuation
from hormesis.backend.forum.pairs import Pair, preference_pairs
from hormesis.backend.forum.writer import Latents, Post, minimal_pairs, post

__all__ = [
    "REVISION",
    "TEMPLATES",
    "VOCABULARY",
    "Judgement",
    "Latents",
    "Pair",
    "Post",
    "Prompt",
    "Template",
    "corpus",
    "judge",
    "judge_continuation",
    "minimal_pairs",
    "post",
    "preference_pairs",
    "probe_set",
    "prompt_set",
]
