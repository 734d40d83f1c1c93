"""What a probe gains over readers that need no trained head: words, length, embeddings, an untrained model.

Knows arrays and texts, nothing of models and the database. A control task tells what a probe can memorise
(Hewitt and Liang 2019, the shuffled labels of `probes`); a baseline, what could be read without the
representation. Gains are differences of AUROC on the same test statements, their intervals a paired bootstrap
over these, stratified by label as those of probes are. No vocabulary leaves this module.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hormesis.pipeline.probing.probes import Floats, ProbeRun, probe_heads
from hormesis.pipeline.statistics.discrimination import auroc, auroc_resamples
from hormesis.pipeline.study.config_sections import ProbeConfig
from hormesis.pipeline.text.probe_splits import SELECT, TEST, TRAIN, Codes, require_both_classes
from hormesis.pipeline.text.text_keys import word_bag

WORDS, LENGTH, EMBEDDINGS, UNTRAINED = "words", "length", "embeddings", "untrained"
TEXT_ONLY = (WORDS, LENGTH)
BEST, SELECTED = "best", "selected"
ALL, MATCHED, UNSURE, PARAPHRASES = "all", "matched", "unsure", "paraphrases"
"""Test statements that a gain is over, see `statement_subsets`; PARAPHRASES: toxic and harmless texts of one
meaning, which are no statements of the probe set."""
FEWEST = 10
"""Statements of each label that a subset needs."""
STRENGTHS = (0.1, 1.0, 10.0)
"""scikit-learn's C of the words' regression, chosen on select as heads are: a weak baseline flatters them."""


@dataclass(frozen=True, eq=False)
class Reading:
    """Scores of one or several readers, best on the select split first.

    `scores` [readers, n_test], larger is more toxic; `select_auroc` [readers].
    """

    scores: Floats
    select_auroc: Floats

    def of(self, statements: NDArray[np.bool_]) -> Reading:
        """The scores of some of the test statements; select is as it was."""
        return Reading(self.scores[:, statements], self.select_auroc)

    def as_json(self) -> dict[str, Any]:
        """As a file keeps it; numbers come back as they are."""
        return {"scores": self.scores.tolist(), "select_auroc": self.select_auroc.tolist()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Reading:
        """The inverse of `as_json`."""
        return cls(np.array(value["scores"]), np.array(value["select_auroc"]))


@dataclass(frozen=True, eq=False)
class Gain:
    """AUROC of heads less that of a baseline; each [1 + draws], observed first, under equal resamples.

    `heads`: BEST, the one head that is best on select, or SELECTED, the mean over those that are steered; of
    an untrained model as many of its own. `is_chosen`: False for the worse text-only baseline on select.
    """

    baseline: str
    heads: str
    n_heads: int
    auroc: Floats
    baseline_auroc: Floats
    baseline_select_auroc: float
    is_chosen: bool

    @property
    def gain(self) -> Floats:
        """The difference, observed first, [1 + draws]."""
        return np.asarray(self.auroc - self.baseline_auroc)


def text_readings(texts: Sequence[str], labels: ArrayLike, codes: Codes) -> dict[str, Reading]:
    """Readers of the text alone, by name: TF-IDF of single words; length and punctuation. Logistic fits.

    `texts` and `labels` [n], 1 toxic; `codes` int8 [n], places in SPLITS. Raises ProbeError for a split
    without both classes.
    """
    toxic = np.asarray(labels).astype(bool)
    require_both_classes(toxic, codes)
    parts: dict[int, list[Any]] = {
        code: [text for text, place in zip(texts, codes, strict=True) if place == code]
        for code in (TRAIN, SELECT, TEST)
    }

    def reading(transformer: Any, strength: float) -> Reading:
        classifier = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
        pipeline = make_pipeline(transformer, classifier).fit(parts[TRAIN], toxic[codes == TRAIN])
        on_select = auroc(pipeline.decision_function(parts[SELECT]), toxic[codes == SELECT])
        return Reading(pipeline.decision_function(parts[TEST])[None], on_select)

    words = [
        reading(TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]"), strength)
        for strength in STRENGTHS
    ]
    parts = {code: [_shape(text) for text in part] for code, part in parts.items()}
    return {
        WORDS: max(words, key=lambda of_strength: float(of_strength.select_auroc[0])),
        LENGTH: reading(StandardScaler(), 1.0),
    }


def _shape(text: str) -> list[float]:
    """Of a text: characters, words, characters to a word, capitals, digits, and each punctuation mark."""
    n_words = len(text.split())
    counts = [
        len(text),
        n_words,
        len(text) / max(n_words, 1),
        sum(map(str.isupper, text)),
        sum(map(str.isdigit, text)),
    ]
    return [*map(float, counts), *(float(text.count(mark)) for mark in string.punctuation)]


def statement_subsets(
    texts: Sequence[str], labels: ArrayLike, words: Reading
) -> dict[str, NDArray[np.bool_]]:
    """Test statements on which words help less, bool [n_test] by name; those with a class below FEWEST go.

    `texts` and `labels` of the test statements, `words` their reader. MATCHED: statements whose words, in any
    order, also make one of the other label (minimal pairs), so that a reader of words has an AUROC of 0.5.
    UNSURE: the third with the smallest log odds of `words`, either sign. Not those that it gets wrong: a
    choice by label takes the reader's luck for its lack of skill, and would flatter every other one.
    """
    toxic = np.asarray(labels).astype(bool)
    bags = [word_bag(text) for text in texts]
    shared = {bag for bag, label in zip(bags, toxic, strict=True) if label} & {
        bag for bag, label in zip(bags, toxic, strict=True) if not label
    }
    least_sure = np.argsort(np.abs(words.scores[0]), kind="stable")[: len(bags) // 3]
    subsets = {
        ALL: np.ones(len(bags), dtype=bool),
        MATCHED: np.array([bag in shared for bag in bags]),
        UNSURE: np.isin(np.arange(len(bags)), least_sure),
    }
    return {
        name: places
        for name, places in subsets.items()
        if name == ALL or min(toxic[places].sum(), (~toxic)[places].sum()) >= FEWEST
    }


def embedding_reading(
    embeddings: NDArray[np.float32], labels: ArrayLike, codes: Codes, settings: ProbeConfig
) -> Reading:
    """Mean input embeddings [n, width], fitted as heads are. Raises ProbeError as `probe_heads` does."""
    unresampled = settings.model_copy(update={"bootstrap": 1})
    return best_reading(probe_heads({0: embeddings[:, None]}, labels, codes, settings=unresampled), 1)


def best_reading(run: ProbeRun, count: int) -> Reading:
    """The `count` heads of a run that the select split chooses, as `select_heads` has it."""
    table = run.table(count)
    places = table["rank"].dropna().sort_values().index.to_list()
    scores = np.stack([run.scores[place] for place in places]).astype(np.float64)
    return Reading(scores, table["select_auroc"].to_numpy(np.float64)[places])


def gains(
    heads: Reading, baselines: dict[str, Reading], labels: ArrayLike, *, draws: int, seed: int = 0
) -> list[Gain]:
    """What the selected `heads`, and the best of them, gain over each baseline; `labels` [n_test], 1 toxic.

    Raises StatisticsError where a class is absent.
    """
    resamples = {
        name: auroc_resamples(reading.scores, labels, draws=draws, seed=seed)
        for name, reading in baselines.items()
    }
    of_heads = auroc_resamples(heads.scores, labels, draws=draws, seed=seed)
    text_only = [name for name in TEXT_ONLY if name in baselines]
    best_text = max(text_only, key=lambda name: float(baselines[name].select_auroc[0]), default="")
    return [
        Gain(
            baseline=name,
            heads=which,
            n_heads=count,
            auroc=of_heads[:count].mean(axis=0),
            baseline_auroc=resamples[name][:count].mean(axis=0),
            baseline_select_auroc=float(reading.select_auroc[:count].mean()),
            is_chosen=name not in text_only or name == best_text,
        )
        for name, reading in baselines.items()
        for which, count in ((BEST, 1), (SELECTED, len(of_heads)))
    ]
