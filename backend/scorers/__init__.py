"""Scorers by the name a study file gives them; each lives in its own file."""

from __future__ import annotations

from pathlib import Path

from hormesis.backend.scorers.base import Scorer, ScorerError, score_continuations

__all__ = ["KINDS", "Scorer", "ScorerError", "make_scorer", "score_continuations"]

KINDS = ("forum", "forum-fluency", "profanity", "tfidf", "perspective", "classifier:FOLDER_OR_NAME")


def make_scorer(spec: str, folder: Path | None = None) -> Scorer:
    """The scorer that a study file names.

    `folder` holds the study's trained tfidf scorer; relative classifier folders are looked for under the
    working directory. Raises ScorerError for an unknown name, or a scorer that cannot be used here.
    """
    # Imported on demand: torch, scikit-learn and httpx are each slow to load and rarely all needed.
    if spec in ("forum", "forum-fluency"):
        from hormesis.backend.scorers.forum import ForumFluency, ForumToxicity

        return ForumToxicity() if spec == "forum" else ForumFluency()
    if spec == "profanity":
        from hormesis.backend.scorers.profanity import Profanity

        return Profanity()
    if spec == "tfidf":
        from hormesis.backend.scorers.tfidf import load_tfidf

        if folder is None:
            raise ScorerError("scorer 'tfidf' is trained by a study: name the folder it was saved in")
        return load_tfidf(folder)
    if spec == "perspective":
        from hormesis.backend.scorers.perspective import Perspective

        return Perspective()
    kind, _, source = spec.partition(":")
    if kind == "classifier" and source:
        from hormesis.backend.scorers.classifier import Classifier

        return Classifier(source)
    raise ScorerError(f"unknown scorer '{spec}' (known: {', '.join(KINDS)})")
