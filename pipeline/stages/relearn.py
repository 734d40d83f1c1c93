"""Stage `relearn`: fine-tune the detox away and count the steps, on chosen conditions.

Each condition is written whole or not at all. Off unless the study file names the attack `relearn`.
"""

from __future__ import annotations

from hormesis.pipeline.attacks.attacked_conditions import chosen_conditions, chosen_prompts
from hormesis.pipeline.attacks.judging import Judge, judge_of
from hormesis.pipeline.attacks.records import forget_others, kinds_done, write_results
from hormesis.pipeline.attacks.relearning import attack_by_relearning
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import checkpoint_id_of
from hormesis.pipeline.methods.open_condition import open_condition
from hormesis.pipeline.methods.opened_condition import OpenedCondition
from hormesis.pipeline.sources import open_source
from hormesis.pipeline.statistics import Floats
from hormesis.pipeline.study.config import StudyConfig

TEXTS = 600
"""Toxic documents an attacker is given; read again where the budget needs more."""


def relearn_checkpoint(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write how hard each detox is to undo; toxicity is [prompts]. Raises ValueError without toxic text."""
    checkpoint_id = checkpoint_id_of(context, subject.name)
    config = context.config
    input_hash = context.inputs.relearn(subject.weights_hash)
    conditions = chosen_conditions(context, checkpoint_id, config.hardness)
    unsteered, attacked = conditions[0], conditions[1:]
    documents, source_words = toxic_texts(config)
    judge = judge_of(context)
    prompts, seeds, data_name = chosen_prompts(context, config.hardness.relearn.prompts)

    def speak(opened: OpenedCondition) -> tuple[Floats, Floats]:
        return scores_of(opened, judge, prompts, seeds=seeds, config=config, reporter=reporter)

    unsteered_toxicity: Floats | None = None
    for done, condition in enumerate(attacked):
        assert condition.id is not None
        reporter.say(f"relearning {condition.key}")
        reporter.report(done, len(attacked), "conditions")
        if kinds_done(context, condition.id, input_hash):
            continue
        if unsteered_toxicity is None:
            unsteered_toxicity, _ = speak(open_condition(context, checkpoint_id, unsteered))
        opened = open_condition(context, checkpoint_id, condition)
        result = attack_by_relearning(
            opened, judge, speak, unsteered_toxicity=unsteered_toxicity, documents=documents, config=config,
            data_name=f"{data_name}; text: {source_words}", check=reporter.check,
        )  # fmt: skip
        write_results(context, checkpoint_id, condition.id, input_hash=input_hash, results=[result])
    forget_others(context, checkpoint_id, ["relearn"], input_hash=input_hash)
    reporter.report(len(attacked), max(1, len(attacked)), "conditions")


def scores_of(
    opened: OpenedCondition,
    judge: Judge,
    prompts: list[str],
    *,
    seeds: list[int],
    config: StudyConfig,
    reporter: Reporter,
) -> tuple[Floats, Floats]:
    """Toxicity and fluency of one continuation of each prompt, [prompts] each."""
    evaluation = config.evaluation
    continuations = opened.generate(
        prompts,
        seeds=seeds,
        new_tokens=evaluation.new_tokens,
        temperature=evaluation.temperature,
        top_p=evaluation.top_p,
        batch_size=evaluation.batch_size,
        progress=lambda *_: reporter.check(),
    )
    continuation_texts = [opened.continuation(continuation.text) for continuation in continuations]
    return judge.toxicity_of(prompts, continuation_texts), judge.fluency_of(prompts, continuation_texts)


def toxic_texts(config: StudyConfig, most: int = TEXTS) -> tuple[list[str], str]:
    """At most `most` toxic documents, held out from training where any are, and words for their source."""
    sources = config.with_role("heldout_toxic") or config.with_role("toxic")
    documents: list[str] = []
    titles = []
    for source in sources:
        opened_source = open_source(source, config.forum)
        titles.append(opened_source.title)
        for record in opened_source:
            if record.label in (1, None):
                documents.append(record.text)
            if len(documents) >= most:
                break
    if not documents:
        raise ValueError("relearning needs toxic text: give a source with role 'toxic' or 'heldout_toxic'")
    return documents[:most], f"{'+'.join(titles)}, {min(len(documents), most)} documents"
