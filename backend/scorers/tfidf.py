"""Scorer that the study trains itself: TF-IDF of words and character n-grams with logistic regression.

Stored as JSON and NPZ, never as a pickle, and read back to exactly the same scores. That no probe and no
prompt saw its training text is the caller's business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
_FORMAT = 1
HELD_OUT = 0.2


def _vectorizer(view: dict[str, Any], **extra: Any) -> TfidfVectorizer:
    options = {**view, "ngram_range": tuple(view["ngram_range"])}
    return TfidfVectorizer(dtype=np.float64, **options, **extra)


@dataclass(frozen=True, eq=False)
class TfidfScorer:
    """A trained scorer. `auroc` was measured on held-out text that the weights never saw."""

    vocabularies: tuple[tuple[str, ...], ...]
    idf: tuple[NDArray[np.float64], ...]
    weights: NDArray[np.float64]
    """One per feature, words before characters."""
    intercept: float
    auroc: float
    n_train: int
    n_heldout: int
    name: str = "tfidf"
    measures: str = "toxicity"
    revision: str = field(init=False, default="")
    _vectorizers: tuple[TfidfVectorizer, ...] = field(init=False, default=(), repr=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(json.dumps([_VIEWS, self.vocabularies]).encode())
        for array in (*self.idf, self.weights, np.array([self.intercept])):
            digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        object.__setattr__(self, "revision", f"tfidf-{digest.hexdigest()[:16]}")
        vectorizers = []
        for view, vocabulary, idf in zip(_VIEWS, self.vocabularies, self.idf, strict=True):
            vectorizer = _vectorizer(view, vocabulary={term: place for place, term in enumerate(vocabulary)})
            vectorizer.idf_ = idf
            vectorizers.append(vectorizer)
        object.__setattr__(self, "_vectorizers", tuple(vectorizers))

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
                "vocabularies": self.vocabularies,
                "auroc": self.auroc,
                "n_train": self.n_train,
                "n_heldout": self.n_heldout,
                "revision": self.revision,
            }
            (temporary / "scorer.json").write_text(json.dumps(about), encoding="utf-8")
            words, characters = self.idf
            np.savez(
                temporary / "weights.npz",
                words=words,
                characters=characters,
                weights=self.weights,
                intercept=np.array(self.intercept),
            )


def load_tfidf(folder: Path) -> TfidfScorer:
    """Read what `save` wrote. Raises ScorerError where it is absent, damaged or of another version."""
    try:
        about = json.loads((require_intact(folder) / "scorer.json").read_text(encoding="utf-8"))
        if about["format"] != _FORMAT or about["views"] != json.loads(json.dumps(_VIEWS)):
            raise ScorerError(f"{folder}: the tfidf scorer is of another version: train it again")
        with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
            scorer = TfidfScorer(
                vocabularies=tuple(tuple(vocabulary) for vocabulary in about["vocabularies"]),
                idf=(arrays["words"], arrays["characters"]),
                weights=arrays["weights"],
                intercept=float(arrays["intercept"]),
                **{name: about[name] for name in ("auroc", "n_train", "n_heldout")},
            )
    except FileNotFoundError:
        raise ScorerError(f"{folder}: no tfidf scorer here: train it first") from None
    except ScorerError:
        raise
    except Exception as error:
        raise ScorerError(f"{folder}: the tfidf scorer cannot be read ({error}): train it again") from error
    if scorer.revision != about["revision"]:
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
    train_features, vocabularies, idf = [], [], []
    for view, max_features in zip(_VIEWS, _MAX_FEATURES, strict=True):
        vectorizer = _vectorizer(view, min_df=2, max_features=max_features)
        try:
            train_features.append(vectorizer.fit_transform(train_texts))
        except ValueError as error:
            raise ScorerError(f"the tfidf scorer's text has too few repeated terms ({error})") from None
        vocabularies.append(tuple(str(term) for term in vectorizer.get_feature_names_out()))
        idf.append(np.asarray(vectorizer.idf_, dtype=np.float64))
    model = LogisticRegression(C=4.0, class_weight="balanced", max_iter=2000, random_state=seed)
    model.fit(sparse.hstack(train_features, format="csr"), is_toxic[~is_heldout])
    scorer = TfidfScorer(
        vocabularies=tuple(vocabularies),
        idf=tuple(idf),
        weights=model.coef_[0].astype(np.float64),
        intercept=float(model.intercept_[0]),
        auroc=0.0,
        n_train=len(train_texts),
        n_heldout=len(texts) - len(train_texts),
    )
    heldout_scores = scorer.score([text for text, is_out in zip(texts, is_heldout, strict=True) if is_out])
    return replace(scorer, auroc=float(roc_auc_score(is_toxic[is_heldout], heldout_scores)))
