"""Scorer that the study trains itself: TF-IDF of words and character n-grams with logistic regression.

Stored as JSON and NPZ, never as a pickle, and read back to exactly the same scores. Of a term only a hash is
kept: there is no text to read in the files, though whether a word occurs can be tested. That no probe and no
prompt saw its training text is the caller's business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from hormesis.backend.scorers.base import ScorerError, clipped
from hormesis.db.contract.scorer_training import Training
from hormesis.db.manifest import require_intact, sealed_folder

_VIEWS: tuple[dict[str, Any], ...] = (
    {"analyzer": "word", "ngram_range": [1, 2], "sublinear_tf": True, "token_pattern": r"(?u)\b\w+\b"},
    {"analyzer": "char_wb", "ngram_range": [2, 4], "sublinear_tf": True},
)
_MAX_FEATURES = (50_000, 50_000)
_FORMAT = 2
_TERMS, _IDF = ("word_terms", "character_terms"), ("words", "characters")
"""Names of what is stored of each view."""
_WITH_TERMS = 1
"""The format that kept terms as they are; still read."""
HELD_OUT = 0.2


def _vectorizer(view: dict[str, Any], **extra: Any) -> TfidfVectorizer:
    options = {**view, "ngram_range": tuple(view["ngram_range"])}
    return TfidfVectorizer(dtype=np.float64, **options, **extra)


@lru_cache(maxsize=200_000)
def _term_hash(term: str) -> int:
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little")


def _term_hashes(terms: Iterable[str]) -> NDArray[np.uint64]:
    return np.array([_term_hash(term) for term in terms], dtype=np.uint64)


def _hashed_terms(view: dict[str, Any]) -> Callable[[str], list[int]]:
    """What splits a text into the hashes of its terms."""
    terms_of = _vectorizer(view).build_analyzer()
    return lambda text: [_term_hash(term) for term in terms_of(text)]


@dataclass(frozen=True, eq=False)
class TfidfScorer:
    """A trained scorer. `auroc` was measured on held-out text that the weights never saw."""

    terms: tuple[NDArray[np.uint64], ...]
    """Hashes of the terms of each view, in the order of its features."""
    idf: tuple[NDArray[np.float64], ...]
    weights: NDArray[np.float64]
    """One per feature, words before characters."""
    intercept: float
    auroc: float
    n_train: int
    n_heldout: int
    name: str = "tfidf"
    measures: str = "toxicity"
    revision: str = ""
    """A hash of all that scores follow from, unless one is given."""
    _vectorizers: tuple[TfidfVectorizer, ...] = field(init=False, default=(), repr=False)

    def __post_init__(self) -> None:
        if not self.revision:
            object.__setattr__(self, "revision", self._content_revision())
        vectorizers = []
        for view, hashes, idf in zip(_VIEWS, self.terms, self.idf, strict=True):
            places = {term: place for place, term in enumerate(hashes.tolist())}
            vectorizer = TfidfVectorizer(
                dtype=np.float64,
                analyzer=_hashed_terms(view),
                sublinear_tf=view["sublinear_tf"],
                vocabulary=places,
            )
            vectorizer.idf_ = idf
            vectorizers.append(vectorizer)
        object.__setattr__(self, "_vectorizers", tuple(vectorizers))

    def _content_revision(self) -> str:
        digest = hashlib.sha256(json.dumps(_VIEWS).encode())
        for hashes in self.terms:
            digest.update(hashes.astype("<u8").tobytes())
        for array in (*self.idf, self.weights, np.array([self.intercept])):
            digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return f"tfidf-{digest.hexdigest()[:16]}"

    @property
    def trained_on(self) -> Training:
        """The study's own labelled text; which sources that is stands in the study."""
        return Training(
            text=f"This study's sources of role scorer: {self.n_train:,} texts, without those of the probe "
            f"set; AUROC {self.auroc:.3f} on {self.n_heldout:,} held out.",
            is_of_study=True,
        )

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probability of the toxic label, float64 [n]; a text without known terms gets the intercept's."""
        if not texts:
            return np.zeros(0)
        features = sparse.hstack([part.transform(texts) for part in self._vectorizers], format="csr")
        odds = np.clip(features @ self.weights + self.intercept, -700, 700)
        return clipped(1 / (1 + np.exp(-odds)))

    def save(self, folder: Path) -> None:
        """Write the scorer to a folder; the folder appears whole or not at all."""
        with sealed_folder(folder) as temporary:
            about = {
                "format": _FORMAT,
                "views": _VIEWS,
                "auroc": self.auroc,
                "n_train": self.n_train,
                "n_heldout": self.n_heldout,
                "revision": self._content_revision(),
            }
            (temporary / "scorer.json").write_text(json.dumps(about), encoding="utf-8")
            arrays: dict[str, Any] = dict(zip(_TERMS + _IDF, self.terms + self.idf, strict=True))
            arrays |= {"weights": self.weights, "intercept": np.array(self.intercept)}
            np.savez_compressed(temporary / "weights.npz", **arrays)


def load_tfidf(folder: Path) -> TfidfScorer:
    """Read what `save` wrote. Raises ScorerError where it is absent, damaged or of another version."""
    try:
        about = json.loads((require_intact(folder) / "scorer.json").read_text(encoding="utf-8"))
        has_terms = about["format"] == _WITH_TERMS
        if about["format"] not in (_FORMAT, _WITH_TERMS) or about["views"] != json.loads(json.dumps(_VIEWS)):
            raise ScorerError(f"{folder}: the tfidf scorer is of another version: train it again")
        with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
            scorer = TfidfScorer(
                terms=tuple(map(_term_hashes, about["vocabularies"]))
                if has_terms
                else tuple(arrays[name] for name in _TERMS),
                idf=tuple(arrays[name] for name in _IDF),
                weights=arrays["weights"],
                intercept=float(arrays["intercept"]),
                **{name: about[name] for name in ("auroc", "n_train", "n_heldout")},
                # The same scorer under another name would be another scorer's rows in a study half done.
                revision=about["revision"] if has_terms else "",
            )
    except FileNotFoundError:
        raise ScorerError(f"{folder}: no tfidf scorer here: train it first") from None
    except ScorerError:
        raise
    except Exception as error:
        raise ScorerError(f"{folder}: the tfidf scorer cannot be read ({error}): train it again") from error
    if not has_terms and scorer.revision != about["revision"]:
        raise ScorerError(f"{folder}: the tfidf scorer does not match its revision: train it again")
    return scorer


def _held_out(texts: Sequence[str], seed: int) -> NDArray[np.bool_]:
    """Whether each text is held out: by its hash, so that equal texts are never on both sides."""
    digests = (hashlib.blake2b(f"{seed}\x1f{text}".encode(), digest_size=8).digest() for text in texts)
    return np.array([int.from_bytes(digest, "big") / 2**64 < HELD_OUT for digest in digests])


def train_tfidf(texts: Sequence[str], labels: ArrayLike, seed: int = 0) -> TfidfScorer:
    """Train on labelled text (1 toxic, 0 not); a fifth, chosen by hash, is held out for the AUROC.

    Raises ScorerError where either part lacks a class, or no term occurs twice.
    """
    is_toxic = np.asarray(labels).astype(bool)
    if len(texts) != len(is_toxic):
        raise ScorerError(f"{len(texts)} texts but {len(is_toxic)} labels for the tfidf scorer")
    is_heldout = _held_out(texts, seed)
    for in_part, name in ((~is_heldout, "training"), (is_heldout, "held-out")):
        if not is_toxic[in_part].any() or is_toxic[in_part].all():
            raise ScorerError(
                f"the {name} part of the tfidf scorer's text lacks a class: give it more labelled text"
            )
    train_texts = [text for text, is_out in zip(texts, is_heldout, strict=True) if not is_out]
    train_features, terms, idf = [], [], []
    for view, max_features in zip(_VIEWS, _MAX_FEATURES, strict=True):
        vectorizer = _vectorizer(view, min_df=2, max_features=max_features)
        try:
            train_features.append(vectorizer.fit_transform(train_texts))
        except ValueError as error:
            raise ScorerError(f"the tfidf scorer's text has too few repeated terms ({error})") from None
        terms.append(_term_hashes(map(str, vectorizer.get_feature_names_out())))
        idf.append(np.asarray(vectorizer.idf_, dtype=np.float64))
    model = LogisticRegression(C=4.0, class_weight="balanced", max_iter=2000, random_state=seed)
    model.fit(sparse.hstack(train_features, format="csr"), is_toxic[~is_heldout])
    scorer = TfidfScorer(
        terms=tuple(terms),
        idf=tuple(idf),
        weights=model.coef_[0].astype(np.float64),
        intercept=float(model.intercept_[0]),
        auroc=0.0,
        n_train=len(train_texts),
        n_heldout=len(texts) - len(train_texts),
    )
    heldout_scores = scorer.score([text for text, is_out in zip(texts, is_heldout, strict=True) if is_out])
    return replace(scorer, auroc=float(roc_auc_score(is_toxic[is_heldout], heldout_scores)))
