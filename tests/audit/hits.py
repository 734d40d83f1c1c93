"""Heads' accuracy on test statements, twins of a minimal pair drawn together."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from tests.audit.effects import Effect
from tests.audit.intervals import SIGMAS
from tests.audit.raw import Arm, Floats, Raw

OWN_DRAWS = 2000
STORED_DRAWS = 500
NAMES = ("mean", "median", "p90", "max", "above-0.7", "above-0.8", "above-0.85", "above-0.9")


def _sentences(text: str) -> set[str]:
    return {part for part in re.split(r"(?<=[.!?])\s+|\n+", text) if part.strip()}


def statistics(raw: Raw, *, unseen: bool = False) -> tuple[dict[Arm, list[dict[str, Floats]]], int, int]:
    """Of each arm and seed, each statistic [1 + draws], as observed first; statements and heads.

    `unseen`: of the statements without a sentence that stands in the train split.
    """
    position = str((raw.config.get("probe") or {}).get("position", "last"))
    joins = "JOIN example_list l ON l.id = t.example_list_id"
    rows = raw.of_checkpoints("probe_hits", "t.*, l.ids", f"AND t.position = '{position}'", joins)
    rows = rows.dropna(subset=["arm"])
    if rows.empty:
        return {}, 0, 0
    common = rows["ids"].map(bytes).mode().iloc[0]
    examples = raw.frame("SELECT e.id, e.label, e.text, e.split FROM example e").set_index("id")
    sentences = set().union(*examples["text"][examples["split"] == "train"].map(_sentences))
    examples = examples.loc[np.frombuffer(common, dtype="<i8")]
    mask = np.array([not unseen or sentences.isdisjoint(_sentences(text)) for text in examples["text"]])
    examples = examples[mask]
    toxic = examples["label"].to_numpy() == 1
    bags = examples["text"].map(lambda text: " ".join(sorted(text.lower().split())))
    twins = pd.Series(range(len(bags))).groupby(pd.factorize(bags)[0]).agg(list)
    # Clusters of like composition are drawn among each other, so that classes keep their size.
    rng, times = np.random.default_rng(5), np.ones((1 + OWN_DRAWS, len(bags)))
    for members in twins.groupby(twins.map(lambda places: (len(places), int(toxic[places].sum())))):
        places = np.array(members[1].tolist())
        counts = rng.multinomial(len(places), np.full(len(places), 1 / len(places)), OWN_DRAWS)
        for column in places.T:
            times[1:, column] = counts
    times = [times * of_class / (times * of_class).sum(axis=1, keepdims=True) for of_class in (toxic, ~toxic)]
    by_arm: dict[Arm, list[dict[str, Floats]]] = {}
    for row in rows[rows["ids"].map(bytes) == common].itertuples():
        bits = np.unpackbits(np.frombuffer(row.bits, dtype=np.uint8).reshape(row.heads, -1), axis=1)
        accuracy = sum(weights @ bits[:, : row.statements][:, mask].T.astype(float) for weights in times) / 2
        numbers = [accuracy.mean(axis=1), *np.percentile(accuracy, [50, 90], axis=1), accuracy.max(axis=1)]
        numbers += [(accuracy > float(name[6:])).mean(axis=1) for name in NAMES[4:]]
        by_arm.setdefault((row.kind, row.share), []).append(dict(zip(NAMES, numbers, strict=True)))
    return by_arm, len(toxic), len(bits)


def accuracy_effect(raw: Raw, name: str) -> tuple[Effect, int, float, list[Effect], bool, float] | None:
    """The largest share less none, as the parts of a test."""
    by_arm, n, _ = statistics(raw)
    shares = sorted(share for kind, share in by_arm if kind == "toxic")
    if not shares or shares[0] != 0 or len(shares) < 2:
        return None
    arms = {arm: np.stack([seed[name] for seed in seeds]) for arm, seeds in by_arm.items()}
    squares = sum(((a[:, 0] - a[:, 0].mean()) ** 2).sum() for a in arms.values())
    df = sum(len(a) - 1 for a in arms.values())
    first, clean = arms["toxic", shares[-1]], arms["toxic", 0.0]
    if not df:
        return None
    difference = first.mean(axis=0) - clean.mean(axis=0)
    uncertain = SIGMAS * float(np.sqrt(2 / STORED_DRAWS + 2 / OWN_DRAWS))
    few = squares / df * (1 / len(first) + 1 / len(clean))
    mean, best = (
        Effect(float(v), float(few), df, float(difference[1:].var(ddof=1)), n - 1,
               min(len(first), len(clean)), uncertain)
        for v in (difference[0], 1 - clean[:, 0].mean())
    )  # fmt: skip
    return mean, +1, 0.5, [best], False, 100.0
