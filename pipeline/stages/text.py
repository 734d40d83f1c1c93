"""Stage `text`: everything read from the sources once, shared by all arms.

Writes held-out documents, the probe set and the prompt sets, trains the study's own scorer, and has the
tokenizer and the token pools made (`pipeline.stages.tokens`). Knows roles and limits; how a source is read is
known elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import select

from hormesis.db.files import write_json
from hormesis.db.schema import Example, ProbeSet, Prompt, PromptSet, Study
from hormesis.db.write import read_session, replace_rows, upsert, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Stage, Subject
from hormesis.pipeline.sources import Record, Source, SourceError, open_source
from hormesis.pipeline.stages.tokens import tokenise
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.source_config import Role
from hormesis.pipeline.text.probe_splits import draw_examples, split_examples
from hormesis.pipeline.text.reading import heldout_texts, records_of, source_revisions
from hormesis.pipeline.text.study_folder import text_folder
from hormesis.pipeline.text.text_keys import key_of, words_key

__all__ = ["heldout_documents", "prepare", "source_revisions", "text_folder"]

SCORER_DOCUMENTS = 10_000


def prepare(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write everything the arms share. Raises SourceError, MixError, TokenizerError, ScorerError."""
    config, folder = context.config, text_folder(context)
    folder.mkdir(parents=True, exist_ok=True)
    reporter.say("reading probe and prompt sets")
    reporter.report(0, 1)
    _write_probe_set(context)
    _write_prompt_sets(context)
    reporter.say("setting held-out text aside")
    heldout = _heldout_documents(config, "heldout_clean")
    write_json(folder / "heldout_clean.json", heldout)
    if "tfidf" in config.evaluation.scorers and not (folder / "tfidf").is_dir():
        reporter.say("training the study's own scorer")
        reporter.report(0, 1)
        _train_scorer(config, folder, _labelled_keys(context))
    if config.shares or config.controls or config.variants:
        tokenise(context, reporter, folder / "tfidf")
    with write_session(context.engine) as session:
        study = session.get_one(Study, context.study_id)
        study.data_revisions = dict(context.inputs.revisions)


def heldout_documents(context: StudyContext) -> list[str]:
    """Held-out clean documents that every condition's cost is measured on."""
    path = text_folder(context) / "heldout_clean.json"
    documents = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(documents, list)
    return documents


def _heldout_documents(config: StudyConfig, role: Role) -> list[str]:
    # Four characters to a token is a fair guess for any language here; the windows cut to the exact count.
    characters_left, documents = config.evaluation.heldout_tokens * 6, []
    for text, _ in heldout_texts(config, role):
        documents.append(text)
        characters_left -= len(text)
        if characters_left <= 0:
            break
    if not documents:
        raise SourceError(f"no held-out text: give a source with role '{role}'")
    return documents


def _labelled_keys(context: StudyContext) -> set[str]:
    with read_session(context.engine) as session:
        query = select(Example.key).join(ProbeSet, Example.probe_set_id == ProbeSet.id)
        return set(session.scalars(query.where(ProbeSet.study_id == context.study_id)))


def _train_scorer(config: StudyConfig, folder: Path, probed_keys: set[str]) -> None:
    """Train on labelled text, leaving out texts of the probe set: a scorer must not know what probes saw."""
    from hormesis.backend.scorers.tfidf import train_tfidf

    documents: list[str] = []
    labels: list[int] = []
    # Sources take turns, so that a limit does not leave one class out.
    streams = [iter(open_source(source, config.forum)) for source in config.with_role("scorer")]
    while streams and len(documents) < SCORER_DOCUMENTS:
        for stream in list(streams):
            record = next(stream, None)
            if record is None:
                streams.remove(stream)
            elif record.label is not None and key_of(record.text) not in probed_keys:
                documents.append(record.text)
                labels.append(record.label)
    train_tfidf(documents, labels, seed=0).save(folder / "tfidf")


def _write_probe_set(context: StudyContext) -> None:
    """Write the probe set's row and one per statement; statements of equal text count once."""
    config = context.config
    unique: dict[str, Record] = {}
    for record, _ in records_of(config, "probe"):
        unique.setdefault(key_of(record.text), record)
    keys, records = list(unique), list(unique.values())
    labels = [int(record.label or 0) for record in records]
    indices = draw_examples(keys, labels, config.probe.limit)
    keys, records = [keys[i] for i in indices], [records[i] for i in indices]
    split = split_examples(
        [words_key(record.text) for record in records],
        [record.group for record in records],
        select_fraction=config.probe.select_fraction,
        test_fraction=config.probe.test_fraction,
    )
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
                "group": record.group,
                "source": record.source,
                "score": record.score,
                "split": split_name,
            }
            for key, record, split_name in zip(keys, records, split.names, strict=True)
        ]
        # Examples of an earlier state of the data would be captured and probed along with the present ones.
        within = [Example.probe_set_id == set_id]
        replace_rows(session, Example, rows, on=("probe_set_id", "key"), within=within)


def _write_prompt_sets(context: StudyContext) -> None:
    """Write a row per prompt set (one a source) and a row per prompt."""
    config = context.config
    for source in config.with_role("prompts"):
        records = _chosen_prompts(open_source(source, config.forum), config)
        with write_session(context.engine) as session:
            set_row = {
                "study_id": context.study_id,
                "name": source.title,
                "revision": key_of("".join(record.text for record in records)),
                "source": source.kind,
            }
            upsert(session, PromptSet, [set_row], on=("study_id", "name"))
            set_id = (
                session.query(PromptSet.id).filter_by(study_id=context.study_id, name=source.title).scalar()
            )
            rows = [
                {
                    "prompt_set_id": set_id,
                    "position": position,
                    "text": record.text,
                    "kind": record.kind,
                    "group": record.group,
                }
                for position, record in enumerate(records)
            ]
            within = [Prompt.prompt_set_id == set_id]
            replace_rows(session, Prompt, rows, on=("prompt_set_id", "position"), within=within)


def _chosen_prompts(source: Source, config: StudyConfig) -> list[Record]:
    """Distinct prompts; where there are more than the limit, those with the smallest hashes."""
    unique = {key_of(record.text): record for record in source}
    limit = config.evaluation.prompt_limit
    if limit is None or len(unique) <= limit:
        return list(unique.values())
    return [unique[key] for key in sorted(unique)[:limit]]


def text_key(context: StudyContext, subject: Subject) -> str:
    """Hash of everything the study reads: sources, their revisions, and the settings that choose."""
    return context.inputs.text


STAGE = Stage("text", key=text_key, run=prepare)
