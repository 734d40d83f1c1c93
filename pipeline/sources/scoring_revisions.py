"""Revisions of the study's scorers as far as they are known before scoring, so that a new one means scoring
again.

Opens no model. The study's own tfidf scorer follows from the text it is trained on and has no entry; a
service or a hub model can change without saying so, so their entries are their names.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

from hormesis.pipeline.sources.files import content_hash
from hormesis.pipeline.study.config import StudyConfig

WEIGHTS = ("*.safetensors", "config.json", "tokenizer*.json", "vocab.txt")


def scorer_revisions(config: StudyConfig) -> dict[str, str]:
    """`scoring/NAME` to what is known of its revision."""
    return {f"scoring/{name}": _revision(name) for name in config.evaluation.scorers if name != "tfidf"}


def _revision(name: str) -> str:
    if name == "forum":
        from hormesis.backend.forum import REVISION

        return REVISION
    if name == "profanity":
        try:
            return importlib.metadata.version("alt-profanity-check")
        except importlib.metadata.PackageNotFoundError:
            return "not installed"  # the stage that scores says what to do
    kind, _, source = name.partition(":")
    if kind == "classifier" and Path(source).is_dir():
        paths = sorted({path for pattern in WEIGHTS for path in Path(source).glob(pattern)})
        listing = "\n".join(f"{path.name} {content_hash(path)}" for path in paths)
        return hashlib.sha256(listing.encode()).hexdigest()[:16]
    return name
