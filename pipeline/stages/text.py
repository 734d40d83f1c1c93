"""Stage `text`: everything read from the sources once, shared by all arms.

Writes the tokenizer, the token pools, held-out documents, the probe set and the prompt sets, and trains the
study's own scorer. Knows roles and limits; how a source is read or a pool written is known elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from sqlalchemy import bindparam, delete, select

from db.schema import Example, ProbeSet, Prompt, PromptSet, Study
from db.write import read_session, upsert, write_session
from pipeline.atomic import write_json
from pipeline.config import Role, StudyConfig
from pipeline.context import StudyContext
from pipeline.mixes import added_tokens
from pipeline.pools import Pool, build_pool, open_pool
from pipeline.probe_splits import draw_examples, split_examples
from pipeline.progress import Reporter
from pipeline.registry import Inputs
from pipeline.sources import Record, Source, SourceError, open_source

HELDOUT_ONE_IN = 50
"""Where held-out text must be set aside from a training source: documents whose hash falls in 1 of 50."""
BPE_DOCUMENTS = 40_000
SCORER_DOCUMENTS = 10_000
Texts = Iterator[tuple[str, str]]


def source_revisions(config: StudyConfig) -> dict[str, str]:
    """Role and title of each source, to the revision of its data. Raises SourceError for what is missing."""
    roles: tuple[Role, ...] = (
        "clean", "toxic", "informal", "heldout_clean", "heldout_toxic", "probe", "prompts", "scorer",
    )  # fmt: skip
    found = {}
    for role in roles:
        for number, source in enumerate(config.with_role(role)):
            opened = open_source(source, config.forum)
            found[f"{role}/{number}/{opened.title}"] = opened.revision
    return found


def key_of(text: str) -> str:
    """Content hash of a text; names an example whatever its place."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _words_key(text: str) -> str:
    """Content hash of a text's words in any order: twins of a minimal pair share it, and so a split."""
    return key_of(" ".join(sorted(text.lower().split())))


def _set_aside(text: str) -> bool:
    return int(key_of(text)[:8], 16) % HELDOUT_ONE_IN == 0


def _records(config: StudyConfig, role: Role) -> Iterator[tuple[Record, Source]]:
    for source in config.with_role(role):
        opened = open_source(source, config.forum)
        for record in opened:
            yield record, opened


def _training_texts(config: StudyConfig, role: Role) -> Texts:
    """(text, source name) of a training role, without what is set aside as held-out."""
    heldout: Role = "heldout_toxic" if role == "toxic" else "heldout_clean"
    shares_source = role in ("clean", "toxic") and not config.with_role(heldout)
    for record, source in _records(config, role):
        if not (shares_source and _set_aside(record.text)):
            yield record.text, record.source or source.title


def _heldout_texts(config: StudyConfig, role: Role) -> Texts:
    """(text, source name) of held-out documents, from their own source or set aside from training's."""
    if config.with_role(role):
        for record, source in _records(config, role):
            yield record.text, record.source or source.title
        return
    training: Role = "toxic" if role == "heldout_toxic" else "clean"
    apart = (pair for pair in _records(config, training) if _set_aside(pair[0].text))
    for record, source in islice(apart, config.holdout_documents):
        yield record.text, record.source or source.title


def text_folder(context: StudyContext, inputs: Inputs) -> Path:
    """Where the shared files of a study lie."""
    return context.folder("text", inputs.text)


def corpus_folder(context: StudyContext, inputs: Inputs) -> Path:
    """Where the tokenizer and the token pools lie; studies that train on the same text share it."""
    return context.folder("corpus", inputs.corpus)


def prepare(context: StudyContext, inputs: Inputs, reporter: Reporter) -> None:
    """Write everything the arms share. Raises SourceError, MixError, TokenizerError, ScorerError."""
    config, folder = context.config, text_folder(context, inputs)
    folder.mkdir(parents=True, exist_ok=True)
    reporter.say("reading probe and prompt sets")
    reporter.report(0, 1)
    _write_probe_set(context)
    _write_prompt_sets(context)
    reporter.say("setting held-out text aside")
    heldout = _heldout_documents(config, "heldout_clean")
    write_json(folder / "heldout_clean.json", heldout)
    if "tfidf" in config.evaluation.scorers:
        reporter.say("training the study's own scorer")
        reporter.report(0, 1)
        _train_scorer(config, folder, _labelled_keys(context))
    if config.shares or config.controls:
        _tokenise(context, inputs, reporter)
    with write_session(context.engine) as session:
        study = session.get_one(Study, context.study_id)
        study.data_revisions = dict(inputs.revisions)


def heldout_documents(context: StudyContext, inputs: Inputs) -> list[str]:
    """Held-out clean documents that every condition's cost is measured on."""
    path = text_folder(context, inputs) / "heldout_clean.json"
    documents = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(documents, list)
    return documents


def _heldout_documents(config: StudyConfig, role: Role) -> list[str]:
    # Four characters to a token is a fair guess for any language here; the windows cut to the exact count.
    budget, documents = config.evaluation.heldout_tokens * 6, []
    for text, _ in _heldout_texts(config, role):
        documents.append(text)
        budget -= len(text)
        if budget <= 0:
            break
    if not documents:
        raise SourceError(f"no held-out text: give a source with role '{role}'")
    return documents


def _labelled_keys(context: StudyContext) -> set[str]:
    with read_session(context.engine) as session:
        query = select(Example.key).join(ProbeSet, Example.probe_set_id == ProbeSet.id)
        return set(session.scalars(query.where(ProbeSet.study_id == context.study_id)))


def _train_scorer(config: StudyConfig, folder: Path, probed: set[str]) -> None:
    """Train on labelled text, leaving out texts of the probe set: a scorer must not know what probes saw."""
    from backend.scorers.tfidf import train_tfidf

    texts: list[str] = []
    labels: list[int] = []
    # Sources take turns, so that a limit does not leave one class out.
    streams = [iter(open_source(source, config.forum)) for source in config.with_role("scorer")]
    while streams and len(texts) < SCORER_DOCUMENTS:
        for stream in list(streams):
            record = next(stream, None)
            if record is None:
                streams.remove(stream)
            elif record.label is not None and key_of(record.text) not in probed:
                texts.append(record.text)
                labels.append(record.label)
    train_tfidf(texts, labels, seed=0).save(folder / "tfidf")


def _write_probe_set(context: StudyContext) -> None:
    config = context.config
    unique: dict[str, Record] = {}
    for record, _ in _records(config, "probe"):
        unique.setdefault(key_of(record.text), record)
    keys, records = list(unique), list(unique.values())
    labels = [int(record.label or 0) for record in records]
    chosen = draw_examples(keys, labels, config.probe.limit)
    keys, records = [keys[i] for i in chosen], [records[i] for i in chosen]
    split = split_examples(
        [_words_key(record.text) for record in records],
        [record.group for record in records],
        select_fraction=config.probe.select_fraction,
        test_fraction=config.probe.test_fraction,
    )
    name = "+".join(dict.fromkeys(source.title for source in config.with_role("probe")))
    with write_session(context.engine) as session:
        head = {
            "study_id": context.study_id,
            "name": name,
            "revision": key_of("".join(keys)),
            "source": f"split by {split.by}",
        }
        upsert(session, ProbeSet, [head], on=("study_id", "name"))
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
                "split": part,
            }
            for key, record, part in zip(keys, records, split.names, strict=True)
        ]
        upsert(session, Example, rows, on=("probe_set_id", "key"))
        # Examples of an earlier state of the data would be captured and probed along with the present ones.
        known = session.execute(select(Example.id, Example.key).where(Example.probe_set_id == set_id))
        present = set(keys)
        gone = [{"gone": example} for example, key in known if key not in present]
        if gone:
            statement = delete(Example.__table__).where(Example.__table__.c.id == bindparam("gone"))  # type: ignore[arg-type]
            session.connection().execute(statement, gone)


def _write_prompt_sets(context: StudyContext) -> None:
    config = context.config
    for source in config.with_role("prompts"):
        records = _chosen_prompts(open_source(source, config.forum), config)
        with write_session(context.engine) as session:
            head = {
                "study_id": context.study_id,
                "name": source.title,
                "revision": key_of("".join(record.text for record in records)),
                "source": source.kind,
            }
            upsert(session, PromptSet, [head], on=("study_id", "name"))
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
            upsert(session, Prompt, rows, on=("prompt_set_id", "position"))
            session.execute(
                delete(Prompt).where(Prompt.prompt_set_id == set_id, Prompt.position >= len(rows))
            )


def _chosen_prompts(source: Source, config: StudyConfig) -> list[Record]:
    """Distinct prompts; where there are more than the limit, those with the smallest hashes."""
    unique = {key_of(record.text): record for record in source}
    limit = config.evaluation.prompt_limit
    if limit is None or len(unique) <= limit:
        return list(unique.values())
    return [unique[key] for key in sorted(unique)[:limit]]


def pool_tokens(config: StudyConfig) -> dict[Role, int]:
    """Tokens each training role must hold for the largest of its arms."""
    control = config.control_share or max(config.shares, default=0.0)
    needed: dict[Role, int] = {"clean": config.clean_tokens}
    if max(config.shares, default=0.0) > 0:
        needed["toxic"] = added_tokens(config.clean_tokens, max(config.shares))
    if config.controls:
        needed["informal"] = added_tokens(config.clean_tokens, control)
    return needed


def _tokenise(context: StudyContext, inputs: Inputs, reporter: Reporter) -> None:
    from backend.forum import VOCABULARY
    from pipeline.tokenization import make_tokenizer

    config, folder = context.config, corpus_folder(context, inputs)
    reporter.say("making the tokenizer")
    reporter.report(0, 1)
    tokenizer = make_tokenizer(
        config.tokenizer.kind,
        folder / "tokenizer",
        words=VOCABULARY if config.tokenizer.kind == "word" else None,
        texts=_tokenizer_texts(config) if config.tokenizer.kind == "bpe" else None,
        vocabulary=config.tokenizer.vocabulary,
        path=config.tokenizer.path,
    )
    for role, tokens in pool_tokens(config).items():
        reporter.say(f"tokenising the {role} text")
        build_pool(
            _training_texts(config, role),
            tokenizer,
            folder / "pools" / role,
            role=role,
            tokens=tokens,
            key=inputs.corpus,
            progress=reporter.counting("tokens"),
        )
    losses: tuple[Role, ...] = (
        ("heldout_clean", "heldout_toxic") if _has_toxic(config) else ("heldout_clean",)
    )
    for role in losses:
        build_pool(
            _heldout_texts(config, role),
            tokenizer,
            folder / "pools" / role,
            role=role,
            tokens=config.evaluation.heldout_tokens,
            key=inputs.corpus,
        )


def _has_toxic(config: StudyConfig) -> bool:
    return bool(config.with_role("toxic") or config.with_role("heldout_toxic"))


def _tokenizer_texts(config: StudyConfig) -> Iterable[str]:
    """Clean and added text for a tokenizer that all arms share, so that none has the better one."""
    roles: list[Role] = ["clean"]
    roles += ["toxic"] if max(config.shares, default=0.0) > 0 else []
    roles += ["informal"] if config.controls else []
    for role in roles:
        yield from (text for text, _ in islice(_training_texts(config, role), BPE_DOCUMENTS))


def pool(context: StudyContext, inputs: Inputs, role: Role) -> Pool | None:
    """A pool of the study, or None where the study has no such text."""
    folder = corpus_folder(context, inputs) / "pools" / role
    return open_pool(folder) if folder.is_dir() else None
