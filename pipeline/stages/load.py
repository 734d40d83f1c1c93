"""Stage `load`: a checkpoint that was not trained here is fetched, proven and registered.

In place of `mix` and `train`; everything that follows is the same as on the study's own arms.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import transformers
from sqlalchemy import select

from hormesis.backend.encoding import encode_texts
from hormesis.backend.generation.batching import encode
from hormesis.backend.model.export import save_plain
from hormesis.backend.model.loaded import name_of
from hormesis.backend.model.models import LoadedModel, ModelError, load_model
from hormesis.db.manifest import is_intact, remove_unit
from hormesis.db.schema import Checkpoint
from hormesis.db.write import read_session
from hormesis.pipeline.checks.sizes import CountTokens, ModelSize, check_size
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.lock import taking_turns
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import arm_row
from hormesis.pipeline.probing.loading import checkpoint_facts, intact_weights
from hormesis.pipeline.stages.text import heldout_documents
from hormesis.pipeline.stages.train import register_checkpoint

COMPARED = 200
"""Held-out documents by which two tokenizers are told apart."""


def load_checkpoint(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Fetch, check and register. Raises ModelError for what cannot be loaded or compared with other arms."""
    reporter.say("reading the model" if Path(subject.model).exists() else "fetching the model")
    reporter.report(0, 1)
    loaded = load_model(subject.model)
    if loaded.has_chat_template:
        reporter.note(
            f"{subject.name} has a chat template, which is not used: texts are read and continued as they are"
        )
    reporter.say("checking the checkpoint")
    check_size(context.config, *size_of(loaded))
    path = _stored(context, loaded, subject)
    # One after another, so that of two arms one sees the other.
    with taking_turns(context.home, f"load-{context.config.hash}", reporter.check):
        if subject.arm is not None:
            _require_comparable(context, subject, loaded)
        register_checkpoint(
            context,
            loaded,
            subject.name,
            path=path,
            arm_id=None if subject.arm is None else arm_row(context, subject.arm),
            tokens_seen=None,
            weights_hash=subject.weights_hash,
            details={"imported": subject.model, "chat_template": loaded.has_chat_template},
        )
    reporter.report(1, 1)


def size_of(loaded: LoadedModel) -> tuple[ModelSize, CountTokens]:
    """What limits a study on a loaded model, and its tokenizer's count of tokens."""
    size = ModelSize(name_of(loaded.source), loaded.context, len(loaded.heads))
    return size, lambda text: len(encode(loaded, [text])[0])


def _require_comparable(context: StudyContext, subject: Subject, loaded: LoadedModel) -> None:
    """Raise ModelError where another arm's tokenizer cuts the held-out text into other tokens.

    Costs are nats per token, and strengths are matched by them: across tokenizers neither compares.
    """
    query = (
        select(Checkpoint.id)
        .where(Checkpoint.study_id == context.study_id, Checkpoint.arm_id.is_not(None))
        .where(Checkpoint.name != subject.name)
        .order_by(Checkpoint.id)
        .limit(1)
    )
    with read_session(context.engine) as session:
        other_id = session.scalar(query)
    if other_id is None:
        return
    other = checkpoint_facts(context, other_id)
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        intact_weights(context, other.path), trust_remote_code=False, local_files_only=True
    )
    documents = heldout_documents(context)[:COMPARED]
    lengths = [list(map(len, encode_texts(either, documents))) for either in (loaded.tokenizer, tokenizer)]
    if lengths[0] != lengths[1]:
        raise ModelError(
            f"{subject.model} cuts the held-out text into other tokens than the arm {other.name}, so that "
            "neither nats per token nor matched costs compare: give it a study of its own, or import it "
            "without a share"
        )


def _stored(context: StudyContext, loaded: LoadedModel, subject: Subject) -> Path:
    """A folder that later stages load from: the model's own, or a copy of a GGUF file or hub model.

    A copy, because a GGUF file takes many times longer to read and a hub cache may be swept.
    """
    if Path(subject.model).is_dir():
        return Path(subject.model)
    folder = context.folder("imported", subject.weights_hash)
    if not is_intact(folder):
        remove_unit(folder)
        save_plain(loaded, folder)
    return folder


def load_files(context: StudyContext, subject: Subject) -> Iterator[Path]:
    """The model's own folder, or the copy of a GGUF file or hub model."""
    is_folder = Path(subject.model).is_dir()
    yield Path(subject.model) if is_folder else context.folder("imported", subject.weights_hash)
