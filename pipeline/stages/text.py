"""Stage `text`: everything read from the sources once, shared by all arms.

Writes held-out documents, the probe set and the prompt sets, trains the study's own scorer, and has the
tokenizer and the token pools made (`pipeline.stages.tokens`). What became of each source's rows is written at
the end. Knows roles and limits; how a source is read is known elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select

from hormesis.db.manifest import is_intact, require_intact, write_sealed_json
from hormesis.db.schema import Example, ProbeSet, Prompt, PromptSet, Study
from hormesis.db.write import read_session, replace_rows, upsert, write_session
from hormesis.pipeline.checks.sizes import check_size, own_size
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.stages.tokens import corpus_folder, corpus_roles, pool, tokenise
from hormesis.pipeline.study.scales import train_settings
from hormesis.pipeline.study.source_config import ROLES, Role
from hormesis.pipeline.text.overlap import RunCount, RunIndex
from hormesis.pipeline.text.prefixes import PROMPT_TOKENS, check_heldout
from hormesis.pipeline.text.reading import (
    LeaveOut,
    RoleRecords,
    chosen_prompts,
    group_in_rows,
    heldout_records,
    open_role,
)
from hormesis.pipeline.text.source_rows import (
    RoleTexts,
    hashes_path,
    record_role,
    record_runs,
    record_training,
    run_index,
)
from hormesis.pipeline.text.statements import probe_statements, scorer_statements
from hormesis.pipeline.text.study_folder import text_folder
from hormesis.pipeline.text.text_keys import key_of
from hormesis.pipeline.text.tokenization import load_tokenizer, token_ids
from hormesis.pipeline.text.toxic_sentences import toxic_sentences

__all__ = ["heldout_documents", "prepare", "text_folder"]

HELDOUT = "heldout_clean.json"


def prepare(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write everything the arms share.

    Raises SourceError, MixError, TokenizerError, ScorerError, and ConfigError for texts that are too long.
    """
    config, folder = context.config, text_folder(context)
    folder.mkdir(parents=True, exist_ok=True)
    reporter.say("reading probe and prompt sets")
    reporter.report(0, 1)
    read = [_write_probe_set(context), _write_prompt_sets(context)]
    if "tfidf" in config.evaluation.scorers:
        scorer = scorer_statements(config, _labelled_keys(context))
        if not is_intact(folder / "tfidf"):
            reporter.say("training the study's own scorer")
            reporter.report(0, 1)
            _train_scorer(scorer, folder)
        read.append(scorer)
    reporter.say("setting held-out text aside")
    heldout = heldout_records(config, toxic_sentences(config, folder / "tfidf"))
    write_sealed_json(folder / HELDOUT, heldout.texts)
    read.append(heldout)
    trains = bool(corpus_roles(config))
    index = run_index(context)
    leave_out = index.holds_any_of if config.decontaminate else None
    if trains:
        tokenise(context, reporter, folder / "tfidf", leave_out=leave_out)
        tokenizer = load_tokenizer(corpus_folder(context) / "tokenizer")
        check_size(config, own_size(config), lambda text: len(next(token_ids(tokenizer, [text]))))
        check_heldout(len(ids) - PROMPT_TOKENS for ids in token_ids(tokenizer, heldout.texts))
    reporter.say("counting what became of each row")
    for records in read:
        record_role(context, RoleTexts.of(records), cut=_cut(context, records) if trains else None)
    # Held-out text is not trained on: what it shares by chance is what training text is to be read against.
    runs = RunCount(index)
    for text in heldout.texts:
        runs.add(text)
    record_runs(context, "heldout_clean", runs)
    if trains:
        _record_pools(context, index, leave_out, reporter=reporter)
    with write_session(context.engine) as session:
        study = session.get_one(Study, context.study_id)
        study.data_revisions = dict(context.inputs.revisions)


def _room(context: StudyContext) -> int:
    """Tokens that the study's own models read at a time."""
    return train_settings(context.config.scale, context.config.training, seed=0).sequence_length


def _cut(context: StudyContext, records: RoleRecords) -> list[int] | None:
    """By source, how many statements or prompts are longer than the models' context; None for other roles."""
    new_tokens = {"probe": 0, "prompts": context.config.evaluation.new_tokens}
    if records.role not in new_tokens:
        return None
    tokenizer = load_tokenizer(corpus_folder(context) / "tokenizer")
    lengths = map(len, token_ids(tokenizer, records.texts))
    return RoleTexts.of(records).cut(lengths, _room(context) - new_tokens[records.role])


def _record_pools(
    context: StudyContext, index: RunIndex, leave_out: LeaveOut | None, *, reporter: Reporter
) -> None:
    """Write what became of the rows of every pool, and which of its documents hold runs of `index`."""
    roles: tuple[Role, ...] = ("clean", "toxic", "informal", "heldout_toxic")
    for role in roles:
        role_pool = pool(context, role)
        if role_pool is not None:
            reporter.say(f"counting the rows of the {role} text")
            record_training(
                context,
                role_pool,
                role,
                index=index,
                leave_out=leave_out if role != "heldout_toxic" else None,
                room=_room(context),
                progress=reporter.counting("documents"),
            )


def heldout_documents(context: StudyContext) -> list[str]:
    """Held-out clean documents that every condition's cost is measured on."""
    path = text_folder(context) / HELDOUT
    documents = json.loads(require_intact(path).read_text(encoding="utf-8"))
    assert isinstance(documents, list)
    return documents


def _labelled_keys(context: StudyContext) -> set[str]:
    with read_session(context.engine) as session:
        query = select(Example.key).join(ProbeSet, Example.probe_set_id == ProbeSet.id)
        return set(session.scalars(query.where(ProbeSet.study_id == context.study_id)))


def _train_scorer(scorer: RoleRecords, folder: Path) -> None:
    from hormesis.backend.scorers.tfidf import train_tfidf

    train_tfidf(scorer.texts, scorer.labels, seed=0).save(folder / "tfidf")


def _write_probe_set(context: StudyContext) -> RoleRecords:
    """Write the probe set's row and one per statement; statements of equal text count once.

    Raises SourceError and ProbeError as `probe_statements` does.
    """
    config = context.config
    probe, split = probe_statements(config)
    records = [record for record, _ in probe.used]
    keys = [key_of(record.text) for record in records]
    name = "+".join(dict.fromkeys(source.title for source in config.with_role("probe")))
    with write_session(context.engine) as session:
        set_row = {
            "study_id": context.study_id,
            "name": name,
            "revision": key_of("".join(keys)),
            "source": f"split by {split.by}",
        }
        upsert(session, ProbeSet, [set_row], on=("study_id", "name"))
        set_id = session.query(ProbeSet.id).filter_by(study_id=context.study_id, name=name).scalar()
        rows = [
            {
                "probe_set_id": set_id,
                "key": key,
                "text": record.text,
                "label": int(record.label or 0),
                "group": group_in_rows(record, source.settings, config),
                "source": record.source,
                "score": record.score,
                "split": split_name,
            }
            for key, (record, source), split_name in zip(keys, probe.used, split.names, strict=True)
        ]
        # Examples of an earlier state of the data would be captured and probed along with the present ones.
        within = [Example.probe_set_id == set_id]
        replace_rows(session, Example, rows, on=("probe_set_id", "key"), within=within)
    return probe


def _write_prompt_sets(context: StudyContext) -> RoleRecords:
    """Write a row per prompt set (one a source) and a row per prompt."""
    prompts = RoleRecords("prompts", open_role(context.config, "prompts"))
    for source in prompts.sources:
        chosen = chosen_prompts(source, context.config)
        records = [record for record, _ in chosen.used]
        title = source.source.title
        with write_session(context.engine) as session:
            set_row = {
                "study_id": context.study_id,
                "name": title,
                "revision": key_of("".join(chosen.texts)),
                "source": source.settings.kind,
            }
            upsert(session, PromptSet, [set_row], on=("study_id", "name"))
            set_id = session.query(PromptSet.id).filter_by(study_id=context.study_id, name=title).scalar()
            rows = [
                {
                    "prompt_set_id": set_id,
                    "position": position,
                    "text": record.text,
                    "kind": record.kind,
                    "group": group_in_rows(record, source.settings, context.config),
                }
                for position, record in enumerate(records)
            ]
            within = [Prompt.prompt_set_id == set_id]
            replace_rows(session, Prompt, rows, on=("prompt_set_id", "position"), within=within)
        prompts.used += chosen.used
    return prompts


def text_files(context: StudyContext, subject: Subject) -> Iterator[Path]:
    """Held-out text, the study's own scorer, tokenizer and pools, and hashes of the texts of each role."""
    folder, config = text_folder(context), context.config
    yield folder / HELDOUT
    has_scorer = "tfidf" in config.evaluation.scorers
    if has_scorer:
        yield folder / "tfidf"
    trained_roles = corpus_roles(config)
    if trained_roles:
        yield corpus_folder(context) / "tokenizer"
        yield from (corpus_folder(context) / "pools" / role for role in trained_roles)
    roles = {*trained_roles, "probe", "prompts", "heldout_clean", *(["scorer"] if has_scorer else [])}
    yield from (hashes_path(context, role) for role in ROLES if role in roles)
