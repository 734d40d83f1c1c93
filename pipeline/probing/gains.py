"""Rows of what a checkpoint's heads gain over baselines; what checkpoints share of these is computed once.

Scores of readers of the text alone, and of an untrained model, lie in files named by the hash of what they
depend on (statements, labels and splits; configuration, initialisation and tokens), which other checkpoints
and studies find. Files hold scores on the test statements, no text and no vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hormesis.backend.capture import HeadActivations, capture, mean_embeddings
from hormesis.backend.generation.batching import encode
from hormesis.backend.model.models import LoadedModel, untrained
from hormesis.db.blocks import encode_float32
from hormesis.db.manifest import is_intact, write_sealed_json
from hormesis.db.schema import ProbeGain
from hormesis.db.write import replace_rows, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.inputs import PROBE_VERSION
from hormesis.pipeline.execution.lock import taking_turns
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.provenance import digest
from hormesis.pipeline.probing.baselines import (
    EMBEDDINGS,
    FEWEST,
    PARAPHRASES,
    UNTRAINED,
    WORDS,
    Gain,
    Reading,
    best_reading,
    embedding_reading,
    gains,
    statement_subsets,
    text_readings,
)
from hormesis.pipeline.probing.probes import ProbeRun, probe_heads, select_heads
from hormesis.pipeline.text.probe_splits import SPLITS, TEST, Codes, split_codes
from hormesis.pipeline.text.text_pairs import paraphrases

LEVEL = 0.95
Readings = dict[str, Reading]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Statements with labels int64 [n], 1 toxic, and codes int8 [n], places in SPLITS."""

    texts: Sequence[str]
    labels: Any
    codes: Codes

    @classmethod
    def of(cls, examples: Sequence[Mapping[str, Any]]) -> Labelled:
        """From rows of text, label and split."""
        return cls(
            [row["text"] for row in examples],
            np.array([row["label"] for row in examples], dtype=np.int64),
            split_codes([row["split"] for row in examples]),
        )

    def with_pairs(self, pairs: Sequence[tuple[str, str]]) -> Labelled:
        """The same, and both sides of (harmless, toxic) pairs behind them as test statements."""
        texts = [*self.texts, *(side for pair in pairs for side in pair)]
        labels = np.concatenate([self.labels, np.tile([0, 1], len(pairs))])
        return Labelled(texts, labels, np.concatenate([self.codes, np.full(2 * len(pairs), TEST, np.int8)]))

    @property
    def test_texts(self) -> list[str]:
        """Texts of the test split."""
        return [text for text, code in zip(self.texts, self.codes, strict=True) if code == TEST]

    @property
    def parts(self) -> list[Any]:
        """What a hash of them is made of."""
        return [list(self.texts), self.labels.tolist(), self.codes.tolist()]


def write_gains(
    context: StudyContext,
    keys: Mapping[str, Any],
    run: ProbeRun,
    *,
    n_heads: int,
    loaded: LoadedModel,
    statements: Labelled,
    seed: int,
    reporter: Reporter,
) -> None:
    """Write the gains of a checkpoint's `n_heads` selected heads of `run`, and drop its others.

    `keys`: values of checkpoint_id, probe_set_id and position; `seed`: of the initialisation. Raises
    ProbeError as `probe_heads` does.
    """
    config = context.config.probe
    reporter.say("reading without a trained head")
    pairs = paraphrases(context.config, statements.texts)
    n_statements = len(statements.test_texts)
    heads, statements = best_reading(run, n_heads), statements.with_pairs(pairs)
    if pairs:
        of_pairs = _along(
            run, n_heads, capture(loaded, statements.texts[-2 * len(pairs) :], position=config.position)
        )
        heads = Reading(np.hstack([heads.scores, of_pairs]), heads.select_auroc)
    text_hash = digest("text-baselines", PROBE_VERSION, statements.parts)
    baselines = _stored(
        context, text_hash, reporter,
        compute=lambda: text_readings(statements.texts, statements.labels, statements.codes),
    )  # fmt: skip
    embeddings = mean_embeddings(loaded, statements.texts)
    embedded = embedding_reading(embeddings, statements.labels, statements.codes, config)
    step0 = _stored(
        context, _untrained_hash(context, loaded, statements, n_heads, seed=seed), reporter,
        compute=lambda: {UNTRAINED: _untrained(context, loaded, statements, n_heads, seed=seed)},
    )  # fmt: skip
    of_test = statements.labels[statements.codes == TEST]
    sizes = {f"n_{split}": int((statements.codes == code).sum()) for code, split in enumerate(SPLITS)}
    readings, rows = baselines | {EMBEDDINGS: embedded} | step0, []
    of_set = np.arange(len(of_test)) < n_statements
    subsets = {
        name: np.concatenate([places, of_set[n_statements:]])
        for name, places in statement_subsets(
            statements.test_texts[:n_statements], of_test[of_set], baselines[WORDS].of(of_set)
        ).items()
    }
    if len(pairs) >= FEWEST:
        subsets[PARAPHRASES] = ~of_set
    for name, places in subsets.items():
        readings_there = {baseline: reading.of(places) for baseline, reading in readings.items()}
        computed = gains(heads.of(places), readings_there, of_test[places], draws=config.bootstrap)
        columns = {"subset": name, "n_test": int(places.sum())}
        rows += [{**keys, **sizes, **columns, **_columns(gain, config.bootstrap)} for gain in computed]
    within = [getattr(ProbeGain, name) == keys[name] for name in ("checkpoint_id", "probe_set_id")]
    with write_session(context.engine) as session:
        replace_rows(session, ProbeGain, rows, on=(*keys, "baseline", "heads", "subset"), within=within)


def _along(run: ProbeRun, count: int, activations: HeadActivations) -> NDArray[np.float64]:
    """Other texts along the probes of the `count` selected heads, best first: [count, texts]."""
    directions = run.directions("probe", select_heads(run.results, count))
    columns = [
        np.asarray(activations[axis.layer][:, axis.head], dtype=np.float64) @ axis.vector
        for axis in directions
    ]
    return np.stack(columns)


def _columns(gain: Gain, draws: int) -> dict[str, Any]:
    """The columns of a row, its keys and sizes aside."""
    of_heads, of_baseline, of_gain = (
        (
            float(values[0]),
            *(float(end) for end in np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])),
        )
        for values in (gain.auroc, gain.baseline_auroc, gain.gain)
    )
    names = ("auroc", "auroc_low", "auroc_high", "baseline_auroc", "baseline_low", "baseline_high", "value",
             "low", "high")  # fmt: skip
    return {
        "baseline": gain.baseline,
        "heads": gain.heads,
        "n_heads": gain.n_heads,
        "baseline_select_auroc": gain.baseline_select_auroc,
        "is_chosen": gain.is_chosen,
        **dict(zip(names, (*of_heads, *of_baseline, *of_gain), strict=True)),
        "interval": f"paired stratified bootstrap over statements, {draws} draws, {LEVEL:.0%}",
        "resamples": encode_float32(gain.gain[1:]),
    }


def _stored(
    context: StudyContext, input_hash: str, reporter: Reporter, *, compute: Callable[[], Readings]
) -> Readings:
    """Readings by name from the file of this hash; the first process that needs them computes them."""
    path = context.folder("baselines", input_hash) / "readings.json"
    with taking_turns(context.home, f"baselines-{input_hash}", reporter.check):
        if not is_intact(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_sealed_json(path, {name: reading.as_json() for name, reading in compute().items()})
        values = json.loads(path.read_text(encoding="utf-8"))
    return {name: Reading.from_json(value) for name, value in values.items()}


def _untrained_hash(
    context: StudyContext, loaded: LoadedModel, statements: Labelled, count: int, *, seed: int
) -> str:
    """Hash of what the heads of the untrained model depend on."""
    architecture = {
        key: value for key, value in loaded.model.config.to_dict().items() if key != "_name_or_path"
    }
    settings = context.inputs.settings("probe")
    tokens = encode(loaded, statements.texts)
    return digest(
        "untrained", PROBE_VERSION, settings, architecture, seed, count, tokens, statements.parts[1:]
    )


def _untrained(
    context: StudyContext, loaded: LoadedModel, statements: Labelled, count: int, *, seed: int
) -> Reading:
    """The `count` heads of the untrained model that its own select split chooses."""
    config = context.config.probe.model_copy(update={"bootstrap": 1})
    activations = capture(untrained(loaded, seed), statements.texts, position=config.position)
    with threadpool_limits(1, "blas"):  # as for the trained heads
        run = probe_heads(activations, statements.labels, statements.codes, settings=config)
    return best_reading(run, count)
