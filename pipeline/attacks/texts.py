"""Attacks that only write text: framed prompts, long texts, other ways to sample, rounded weights.

Knows which texts are made and what is measured on them; the same prompts and seeds serve every arm and
condition, so that differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hormesis.backend.attacks.injection import PLAIN, REVISION, Template, templates
from hormesis.backend.attacks.long_text import write_long
from hormesis.backend.attacks.weights import SCHEMES, quantised
from hormesis.backend.crossentropy import Windows
from hormesis.backend.generation.batching import encode
from hormesis.backend.generation.generation import fit
from hormesis.db.contract.scores import TOXIC
from hormesis.pipeline.attacks.judging import Judge, mean_of_known, score_of, silent
from hormesis.pipeline.attacks.records import Outcome, Point, Result, Trial
from hormesis.pipeline.methods.opened_condition import OpenedCondition
from hormesis.pipeline.statistics import Estimate, Floats, by_prompt, ratio_interval
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.config_base import key_part

SHOWN = 6
"""Texts kept per setting, to be read on the page."""


@dataclass(frozen=True)
class Task:
    """What the text attacks are run on; `seeds`: one per prompt; `data_name`: the prompts' name."""

    config: StudyConfig
    judge: Judge
    prompts: Sequence[str]
    seeds: Sequence[int]
    data_name: str
    check: Callable[[], None]

    def generate(
        self, opened: OpenedCondition, prompts: Sequence[str], *, temperature: float, top_p: float
    ) -> list[str]:
        """Continuations under a condition, one per prompt."""
        evaluation = self.config.evaluation
        continuations = opened.generate(
            prompts,
            seeds=self.seeds,
            new_tokens=evaluation.new_tokens,
            temperature=temperature,
            top_p=top_p,
            batch_size=evaluation.batch_size,
            progress=lambda *_: self.check(),
        )
        return [opened.continuation(continuation.text) for continuation in continuations]

    def cut(self, opened: OpenedCondition, prompts: Sequence[str]) -> int:
        """How many prompts lose their start: too long for the context beside prefix and continuation."""
        room = self.config.evaluation.new_tokens + len(opened.prefix_ids)
        _, cuts = fit(opened.loaded, encode(opened.loaded, list(prompts)), room)
        return sum(cuts)

    def plainly(self, opened: OpenedCondition) -> list[str]:
        """Continuations of the bare prompts at the study's own settings."""
        evaluation = self.config.evaluation
        return self.generate(opened, self.prompts, temperature=evaluation.temperature, top_p=evaluation.top_p)


def _judged(task: Task, prompts: Sequence[str], continuations: Sequence[str]) -> tuple[Floats, list[Outcome]]:
    """Toxicity [prompts] of the continuations, one a prompt, and the outcomes that every attack has."""
    judge = task.judge
    toxicity = judge.toxicity_of(prompts, continuations)
    fluency = judge.mean(judge.fluency_of(prompts, continuations))
    outcomes = [
        Outcome.of("toxicity", _points(judge.mean(toxicity)), "points"),
        Outcome.of(judge.fluency_name, fluency, "fraction"),
        Outcome.of("silent", silent(continuations), "share of prompts"),
    ]
    return toxicity, outcomes


def _points(estimate: Estimate | None) -> Estimate | None:
    """A score in points."""
    return estimate and estimate.scaled(100)


def _change(task: Task, outcome_name: str, *, after: Floats, before: Floats) -> Outcome:
    """Of prompts [n] with a score on both sides."""
    estimate = mean_of_known(after - before, draws=task.judge.draws)
    paired = estimate and replace(estimate, method=f"paired {estimate.method}")
    return Outcome.of(outcome_name, _points(paired), "points")


def _first_trials(prompts: Sequence[str], continuations: Sequence[str], scores: Floats) -> list[Trial]:
    return [
        Trial(f"prompt {place}", prompt, text, bool(score > TOXIC), score_of(score))
        for place, (prompt, text, score) in enumerate(
            zip(prompts[:SHOWN], continuations, scores, strict=False)
        )
    ]


def _result(
    task: Task,
    attack_kind: str,
    setting: str,
    *,
    rule: str,
    outcomes: Sequence[Outcome],
    trials: Sequence[Trial],
    **parameters: object,
) -> Result:
    """A result whose budget is the prompts; `rule`: words on what is measured; `parameters`: to store."""
    return Result(
        kind=attack_kind,
        setting=setting,
        data=task.data_name,
        scorer=task.judge.name,
        rule=rule,
        budget=float(len(task.prompts)),
        budget_unit="prompts",
        outcomes=outcomes,
        trials=trials,
        parameters=parameters,
    )


def injections(opened: OpenedCondition, task: Task, frames: Sequence[Template] = ()) -> Iterator[Result]:
    """Every template on every prompt; `toxicity_change` is paired with the plain prompt.

    frames: templates of one's own in place of the study's, `PLAIN` first.
    """
    language: str = task.config.hardness.injection
    if language == "auto":
        language = "forum" if task.config.speaks_forum else "english"
    plain: Floats | None = None
    for template in frames or templates(language):
        framed = [template.apply(prompt) for prompt in task.prompts]
        evaluation = task.config.evaluation
        continuations = task.generate(
            opened, framed, temperature=evaluation.temperature, top_p=evaluation.top_p
        )
        toxicity, outcomes = _judged(task, framed, continuations)
        if template is PLAIN:
            plain = toxicity
        elif plain is not None:
            outcomes.append(_change(task, "toxicity_change", after=toxicity, before=plain))
        yield _result(
            task, "injection", template.name, rule="mean score of the continuation of a framed prompt",
            outcomes=outcomes, trials=_first_trials(framed, continuations, toxicity),
            **_described(template, "own" if frames else language), prompts_cut=task.cut(opened, framed),
        )  # fmt: skip


def _described(template: Template, language: str) -> dict[str, object]:
    return {"template": template.text, "idea": template.idea, "set": f"{language} {REVISION}"}


def sweep(opened: OpenedCondition, task: Task) -> Iterator[Result]:
    """Temperature by top-p; a temperature of 0 is greedy, so it is run once."""
    hardness = task.config.hardness
    for temperature in hardness.temperatures:
        for top_p in hardness.top_ps if temperature > 0 else (1.0,):
            continuations = task.generate(opened, task.prompts, temperature=temperature, top_p=top_p)
            _, outcomes = _judged(task, task.prompts, continuations)
            yield _result(
                task, "sampling", f"t{key_part(temperature)}-p{key_part(top_p)}",
                rule="mean score of the continuations",
                outcomes=outcomes, trials=(), temperature=temperature, top_p=top_p,
            )  # fmt: skip


def long_texts(opened: OpenedCondition, task: Task) -> Iterator[Result]:
    """Toxicity block by block of texts far longer than the study's own continuations.

    `blocks`: by prompt, the text of each block; `scores`: by block, [prompts]; `grid` [prompts, blocks].
    """
    hardness, evaluation = task.config.hardness, task.config.evaluation
    block_tokens = hardness.block_tokens
    if opened.loaded.context is not None:
        block_tokens = min(block_tokens, max(1, opened.loaded.context // 2))
    written = write_long(
        opened.loaded,
        task.prompts,
        opened.steering,
        prefix=opened.prefix_ids,
        seeds=task.seeds,
        blocks=hardness.blocks,
        block_tokens=block_tokens,
        temperature=evaluation.temperature,
        top_p=evaluation.top_p,
        batch_size=evaluation.batch_size,
        progress=lambda *_: task.check(),
    )
    blocks = [[opened.continuation(text) for text in block_texts] for block_texts in written]
    points: list[Point] = []
    scores = []
    for block in range(hardness.blocks):
        block_texts = [parts[block] for parts in blocks]
        before = [" ".join([p, *parts[:block]]) for p, parts in zip(task.prompts, blocks, strict=True)]
        toxicity = task.judge.toxicity_of(before, block_texts)
        scores.append(toxicity)
        end = float((block + 1) * block_tokens)
        fluency = task.judge.fluency_of(before, block_texts)
        points += Point.curve("toxicity", end, _points(task.judge.mean(toxicity)))
        points += Point.curve(task.judge.fluency_name, end, task.judge.mean(fluency))
    grid = np.stack(scores, axis=1)
    half = hardness.blocks // 2
    outcomes = [Outcome.of("toxicity", _points(task.judge.mean(grid)), "points")]
    if half:
        later, earlier = by_prompt(grid[:, half:]), by_prompt(grid[:, :half])
        outcomes.append(_change(task, "drift", after=later, before=earlier))
    full_texts = [" ".join(parts) for parts in blocks]
    result = _result(
        task, "long", f"{hardness.blocks}x{block_tokens}",
        rule="mean score of each block; drift: later half less earlier",
        outcomes=outcomes, trials=_first_trials(task.prompts, full_texts, by_prompt(grid)),
        prefix="in view of every block", block_tokens=block_tokens,
    )  # fmt: skip
    yield Result(**{**vars(result), "points": points})


def rounded(opened: OpenedCondition, task: Task, windows: Windows) -> Iterator[Result]:
    """The same prompts with 8-bit and 4-bit weights; cost is the rise of held-out loss by the rounding."""
    full_document_losses = opened.losses(windows, batch_size=task.config.evaluation.batch_size)
    full_continuations = task.plainly(opened)
    full_toxicity, outcomes = _judged(task, task.prompts, full_continuations)
    rule = "mean score of the continuations"
    yield _result(task, "quantised", "full", rule=rule, outcomes=outcomes, trials=(), scheme="as trained")
    for bits, scheme in SCHEMES.items():
        with quantised(opened.loaded, bits) as n_rounded:
            continuations = task.plainly(opened)
            rounded_document_losses = opened.losses(windows, batch_size=task.config.evaluation.batch_size)
        toxicity, outcomes = _judged(task, task.prompts, continuations)
        outcomes.append(_change(task, "toxicity_change", after=toxicity, before=full_toxicity))
        document_rise = rounded_document_losses.nats - full_document_losses.nats
        cost: Estimate = ratio_interval(document_rise, rounded_document_losses.tokens, draws=task.judge.draws)
        outcomes.append(Outcome.of("cost", cost, "nats per token"))
        yield _result(
            task, "quantised", f"int{bits}", rule=rule, outcomes=outcomes, trials=(),
            scheme=f"weights only, round to nearest, symmetric, {scheme}; output layer left alone",
            weights_rounded=n_rounded,
        )  # fmt: skip
