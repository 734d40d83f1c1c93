"""Every scorer a study file can name, one entry each; its code lies in its own file, loaded on demand."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from hormesis.backend.hub import is_cached, is_hub_name, split_revision
from hormesis.backend.scorers.base import Scorer, ScorerError
from hormesis.db.contract.scorer_training import training_of
from hormesis.db.files import content_hash

CLASSIFIER_FILES: Final = ("*.safetensors", "config.json", "tokenizer*.json", "vocab.txt")


def _grammar_revision(source: str) -> str:
    from hormesis.backend.forum import REVISION

    return REVISION


def _package_revision(source: str) -> str:
    try:
        return importlib.metadata.version("alt-profanity-check")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"  # the stage that scores says what to do


def _classifier_revision(source: str) -> str:
    if not Path(source).is_dir():
        return f"classifier:{source}"
    files = sorted({path for pattern in CLASSIFIER_FILES for path in Path(source).glob(pattern)})
    names_and_hashes = "\n".join(f"{path.name} {content_hash(path)}" for path in files)
    return hashlib.sha256(names_and_hashes.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ScorerEntry:
    """A scorer as study files name it, how it is made, and what is known of its revision before that."""

    name: str
    loader: str
    """`module:callable` in this package, imported when the scorer is made: torch and others are slow."""
    argument: Literal["", "source", "folder"] = ""
    """What the loader is given: what stands behind `name:`, or the folder of the study's trained scorer."""
    check: str = ""
    """`module:callable` that raises ScorerError where the scorer cannot be had here; given what `loader` is.
    Loads nothing, so that a study is refused before it has begun."""
    revision: Callable[[str], str] | None = None
    """By the part behind `name:`; a study scores again when it changes. None: nothing is known of it."""
    fluency: str = ""
    """The scorer of fluency that comes with it."""
    live: Literal["forum", "real", "study", "never"] = "study"
    """Which live texts it scores: the forum language's, all others, or those of studies that name it."""
    is_service: bool = False
    """Whether another company's server scores: it may be gone, and then scores that are stored count."""

    @property
    def usage(self) -> str:
        """How a study file writes it, and what to know before choosing it."""
        if self.argument == "source":
            return f"{self.name}:FOLDER or {self.name}:NAME@REVISION"
        note = training_of(self.name).note
        return f"{self.name} ({note.partition(';')[0]})" if note else self.name


SCORERS: Final = (
    ScorerEntry(
        "forum", "forum:ForumToxicity", revision=_grammar_revision, fluency="forum-fluency", live="forum"
    ),
    ScorerEntry("forum-fluency", "forum:ForumFluency", live="forum"),
    ScorerEntry(
        "profanity",
        "profanity:Profanity",
        check="profanity:Profanity",
        revision=_package_revision,
        live="real",
    ),
    ScorerEntry("tfidf", "tfidf:load_tfidf", argument="folder"),
    # Never live: it would send what a person writes there to another company's server.
    ScorerEntry(
        "perspective",
        "perspective:Perspective",
        check="perspective:check_perspective",
        live="never",
        is_service=True,
    ),
    ScorerEntry(
        "classifier",
        "classifier:Classifier",
        argument="source",
        check="classifier_files:check_classifier",
        revision=_classifier_revision,
    ),
)


def scorer_entry(spec: str) -> ScorerEntry:
    """The entry of a scorer that a study file names. Raises ScorerError where there is none."""
    name, _, source = spec.partition(":")
    for entry in SCORERS:
        if entry.name == name and (bool(source) if entry.argument == "source" else spec == name):
            return entry
    usages = ", ".join(entry.usage for entry in SCORERS)
    raise ScorerError(f"unknown scorer '{spec}' (known: {usages})")


def scorer_revisions(specs: Iterable[str]) -> dict[str, str]:
    """`scoring/NAME` to what is known of a scorer's revision before it scores; opens no model.

    The study's own scorer follows from the text it is trained on and has no revision here; a service or a hub
    model can change without saying so, so their revisions are their names.
    """
    entries = {spec: scorer_entry(spec) for spec in specs}
    return {
        f"scoring/{spec}": entry.revision(spec.partition(":")[2]) if entry.revision else spec
        for spec, entry in entries.items()
        if entry.argument != "folder"
    }


def make_scorer(spec: str, folder: Path | None = None) -> Scorer:
    """The scorer that a study file names.

    `folder` holds the study's trained scorer; relative classifier folders are looked for under the working
    directory. Raises ScorerError for an unknown name, or a scorer that cannot be used here.
    """
    entry = scorer_entry(spec)
    if entry.argument == "folder" and folder is None:
        raise ScorerError(f"scorer '{spec}' is trained by a study: name the folder it was saved in")
    arguments = {"": (), "source": (spec.partition(":")[2],), "folder": (folder,)}[entry.argument]
    scorer = _callable(entry.loader)(*arguments)
    assert isinstance(scorer, Scorer)
    return scorer


def require_scorers(specs: Iterable[str], *, ask: bool = True) -> None:
    """Raise ScorerError for the first of a study's scorers that cannot be had here.

    `ask`: whether a classifier's files may be downloaded where they are not in the cache; without, such a one
    is passed over. Loads no model.
    """
    for spec in specs:
        entry, source = scorer_entry(spec), spec.partition(":")[2]
        if entry.check and (ask or not _is_remote(entry, source)):
            _callable(entry.check)(*([source] if entry.argument == "source" else []))


def open_scorers(specs: Iterable[str]) -> None:
    """Load each scorer that is a model of its own, and let it go. Raises ScorerError."""
    for spec in specs:
        if scorer_entry(spec).argument == "source":
            make_scorer(spec)


def unreached_scorers(specs: Iterable[str]) -> list[str]:
    """What cannot be known of scorers without a network, each in a few words."""
    entries = [(scorer_entry(spec), spec) for spec in specs]
    return [
        f"scorer {spec}, {'a service of another company' if entry.is_service else 'not here yet'}"
        for entry, spec in entries
        if entry.is_service or _is_remote(entry, spec.partition(":")[2])
    ]


def _is_remote(entry: ScorerEntry, source: str) -> bool:
    """Whether a scorer's files lie on the hub and not here."""
    if entry.argument != "source" or Path(source).is_dir():
        return False
    name, revision = split_revision(source)
    return is_hub_name(name) and not is_cached(name, revision)


def _callable(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    imported: Callable[..., Any] = getattr(importlib.import_module(f"{__package__}.{module}"), name)
    return imported
