"""Greedy coordinate gradient: a suffix that makes a model say a target (Zou et al. 2023, arXiv 2307.15043).

Two departures from the paper's
algorithm 1, both for small budgets: a step never moves to a worse suffix, and the search ends once greedy
decoding says the target. Random search is the same loop without the gradient, with as many evaluations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import torch

from hormesis.backend.attacks.forced import target_losses, token_gradient
from hormesis.backend.attacks.goal import AttackError, Goal
from hormesis.backend.encoding import encode_texts
from hormesis.backend.generation.batching import encode, text_of
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.steering import RowSteering

Search = Literal["gcg", "random"]
GRADIENT_COST = 3
"""Evaluations a gradient is counted as: one pass forward and about two for the pass back."""


@dataclass(frozen=True)
class SearchSettings:
    """Budget of one search. The paper's own: 500 steps, 512 candidates, top 256, 20 suffix tokens."""

    steps: int = 32
    candidates: int = 64
    top_k: int = 64
    suffix_tokens: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.candidates, self.top_k, self.suffix_tokens) < 1:
            raise AttackError("steps, candidates, top_k and suffix_tokens must each be at least 1")


@dataclass(frozen=True)
class SearchResult:
    """The best suffix of a search, and its loss as the search went on."""

    prompt: str
    """The whole attacking prompt: goal, suffix and tail."""
    suffix: str
    losses: tuple[float, ...]
    """Best loss so far, nats per target token: before the first step, then after each."""
    evaluations: tuple[int, ...]
    """Passes spent until each of `losses`; a gradient counts as three."""
    matched: bool
    """Whether greedy decoding in the same pass says the target."""
    ids: tuple[int, ...] = field(default=(), repr=False)


@lru_cache(maxsize=8)
def _allowed(tokenizer: object, size: int) -> torch.Tensor:
    """Ids below `size` that a suffix may hold: printable ASCII, not special. Int64 `(ids,)`, ascending."""
    special = set(tokenizer.all_special_ids)  # type: ignore[attr-defined]
    allowed = []
    for token in range(min(size, len(tokenizer))):  # type: ignore[arg-type]
        text = "" if token in special else str(tokenizer.decode([token]))  # type: ignore[attr-defined]
        if text.strip() and text.isascii() and text.strip().isprintable():
            allowed.append(token)
    return torch.tensor(allowed)


def search_suffix(
    loaded: LoadedModel,
    goal: Goal,
    row: RowSteering = (None, 0.0),
    *,
    settings: SearchSettings = SearchSettings(),
    search: Search = "gcg",
    whole_budget: bool = False,
) -> SearchResult:
    """Search a suffix that makes the model, steered by `row`, say the target; deterministic for one seed.

    whole_budget: do not stop once the target is said. Raises AttackError where prompt, suffix and target do
    not fit the model's context, or the tokenizer has no usable token.
    """
    problem = _SuffixProblem(loaded, goal, row, settings=settings)
    generator = torch.Generator().manual_seed(settings.seed)
    prompt_ids = problem.first(generator)
    first_losses, first_matches = problem.evaluate(prompt_ids[None])
    best_loss, matched = float(first_losses[0]), bool(first_matches[0])
    n_evaluations = 1
    losses, evaluations = [best_loss], [n_evaluations]
    for _ in range(settings.steps):
        if matched and not whole_budget:
            break
        choices = problem.promising(prompt_ids) if search == "gcg" else None
        n_trials = settings.candidates + (GRADIENT_COST if choices is None else 0)
        trials = problem.candidates(prompt_ids, choices, n_trials, generator=generator)
        n_evaluations += settings.candidates + GRADIENT_COST
        if len(trials):
            new_losses, matches = problem.evaluate(trials)
            place = int(new_losses.argmin())
            if float(new_losses[place]) < best_loss:
                prompt_ids, best_loss, matched = trials[place], float(new_losses[place]), bool(matches[place])
        losses.append(best_loss)
        evaluations.append(n_evaluations)
    prompt = problem.text(prompt_ids)
    suffix = str(loaded.tokenizer.decode(prompt_ids[problem.span].tolist(), skip_special_tokens=True)).strip()
    return SearchResult(
        prompt=prompt,
        suffix=suffix,
        losses=tuple(losses),
        evaluations=tuple(evaluations),
        matched=matched,
        ids=tuple(prompt_ids.tolist()),
    )


class _SuffixProblem:
    """One goal's tokens: where the suffix lies, what may stand there, and how good a prompt is.

    Prompts are ids: `head` (the goal's prompt), a suffix at the places `span`, `tail`. Suffix tokens are of
    the ids `allowed`; `disallowed` `(vocabulary,)` is true for all others.
    """

    def __init__(
        self, loaded: LoadedModel, goal: Goal, row: RowSteering, *, settings: SearchSettings
    ) -> None:
        self.loaded, self.row, self.settings = loaded, row, settings
        tokenizer = loaded.tokenizer
        prompt_ids = encode(loaded, [goal.prompt])[0]
        tail_ids, target_ids = encode_texts(tokenizer, [goal.tail, goal.target], special_tokens=False)
        if not target_ids:
            raise AttackError(f"goal {goal.key}: the target holds no token")
        self.target = torch.tensor(target_ids, device=loaded.device)
        vocabulary_size = loaded.model.get_input_embeddings().weight.shape[0]
        self.allowed = _allowed(tokenizer, vocabulary_size)
        if not len(self.allowed):
            raise AttackError("the tokenizer has no printable token to build a suffix of")
        self.head, self.tail = torch.tensor(prompt_ids), torch.tensor(tail_ids, dtype=torch.long)
        self.span = slice(len(prompt_ids), len(prompt_ids) + settings.suffix_tokens)
        length = len(prompt_ids) + settings.suffix_tokens + len(tail_ids) + len(target_ids)
        if loaded.context is not None and length > loaded.context:
            raise AttackError(
                f"goal {goal.key} needs {length} tokens, the model's context is {loaded.context}"
            )
        self.disallowed = torch.ones(vocabulary_size, dtype=torch.bool)
        self.disallowed[self.allowed] = False

    def first(self, generator: torch.Generator) -> torch.Tensor:
        """A random suffix that survives being read again as text, in its place; tries up to 256."""
        for _ in range(256):
            indices = torch.randint(len(self.allowed), (self.settings.suffix_tokens,), generator=generator)
            ids = torch.cat([self.head, self.allowed[indices], self.tail])
            if len(self.readable(ids[None])):
                return ids
        raise AttackError("no random suffix reads back as the tokens it was made of")

    def evaluate(self, prompts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of the target after each prompt `(n, tokens)`, and whether it is said; both `(n,)`."""
        prompts = prompts.to(self.loaded.device)
        losses, matches = target_losses(self.loaded, prompts, self.target, row=self.row)
        return losses.cpu(), matches.cpu()

    def promising(self, ids: torch.Tensor) -> torch.Tensor:
        """For each suffix place the ids whose gradient promises the largest fall, `(places, top_k)`."""
        ids = ids.to(self.loaded.device)
        gradient = token_gradient(self.loaded, ids, self.span, target=self.target, row=self.row).cpu()
        gradient[:, self.disallowed] = torch.inf
        return (-gradient).topk(min(self.settings.top_k, len(self.allowed)), 1).indices

    def candidates(
        self, ids: torch.Tensor, choices: torch.Tensor | None, count: int, *, generator: torch.Generator
    ) -> torch.Tensor:
        """`count` prompts that differ from `ids` in one suffix place; fewer where some do not read back.

        choices: ids to draw from, by place `(places, top_k)`; None draws from all that are allowed.
        """
        places = torch.randint(self.settings.suffix_tokens, (count,), generator=generator)
        if choices is None:
            tokens = self.allowed[torch.randint(len(self.allowed), (count,), generator=generator)]
        else:
            ranks = torch.randint(choices.shape[1], (count,), generator=generator)
            tokens = choices[places, ranks]
        trials = ids.repeat(count, 1)
        trials[torch.arange(count), self.span.start + places] = tokens
        return self.readable(trials)

    def readable(self, prompts: torch.Tensor) -> torch.Tensor:
        """Of prompts `(n, tokens)` those whose text gives the same ids again; others could not be sent."""
        prompt_texts = [self.text(ids) for ids in prompts]
        encoded = encode(self.loaded, prompt_texts)
        return prompts[[i for i, ids in enumerate(encoded) if ids == prompts[i].tolist()]]

    def text(self, ids: torch.Tensor) -> str:
        """The text of a prompt; special tokens that the tokenizer adds by itself are left out."""
        return text_of(self.loaded.tokenizer, ids.tolist())
