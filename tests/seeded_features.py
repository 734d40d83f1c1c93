"""The seeded database's cosines with other features, entanglement, lens tokens, hits and head summaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.blocks import encode_int64
from db.schema import Entanglement, ExampleList, FeatureCosine, HeadSummary, LensToken, ProbeHits
from db.write import ids, upsert, write_session
from tests.seeded_study import SeededCheckpoint
from tests.seeded_values import head_quality, phrases

if TYPE_CHECKING:
    from tests.seeded_database import Size

Row = dict[str, Any]
HEAD = ("checkpoint_id", "probe_set_id", "position", "layer", "head")
TOPICS = ("baking", "sailing", "sewing", "music", "games", "science", "building", "gardening")
FEATURES = (
    *(("topic", f"topic: {name}") for name in TOPICS),
    *(("register", f"register: {name}") for name in ("board", "formal", "plain")),
    ("sentiment", "sentiment: negative"),
    ("mentions", "mentions a group"),
)
NAMES = ("mean", "median", "p90", "max", "above-0.7", "above-0.8", "above-0.85", "above-0.9")


def add_features(
    engine: Engine,
    size: Size,
    study_id: int,
    probe_set: int,
    stored_heads: dict[int, list[tuple[int, int]]],
    checkpoints: list[SeededCheckpoint],
    seed: int,
) -> None:
    """Write everything of this module; `kept` names each checkpoint's kept heads, best first."""
    rng = np.random.default_rng([seed, 7])
    tokens = [text.split()[0].rstrip(".").lower() for text in phrases(rng, 60)]
    for checkpoint in checkpoints:
        cosines: list[Row] = []
        largest: list[Row] = []
        words: list[Row] = []
        for place in stored_heads[checkpoint.id]:
            key = dict(zip(HEAD, (checkpoint.id, probe_set, "last", *place), strict=True))
            rows = [_cosine(rng, key, variable, feature, size) for variable, feature in FEATURES]
            cosines += rows
            largest.append(_largest(rng, key, rows, size))
            words += _words(rng, key, tokens)
        with write_session(engine) as session:
            upsert(session, FeatureCosine, cosines, on=(*HEAD, "feature"))
            upsert(session, Entanglement, largest, on=HEAD)
            upsert(session, LensToken, words, on=(*HEAD, "method", "side", "rank"))
    with write_session(engine) as session:
        upsert(
            session, HeadSummary, _summaries(rng, size, study_id), on=("study_id", "kind", "share", "name")
        )


def add_hits(
    session: Session, size: Size, checkpoint: SeededCheckpoint, probe_set: int, test: list[int], seed: int
) -> None:
    """Which head told which test statement (ids) right, with the list of these statements."""
    block = {"hash": f"seeded-test-{probe_set}", "count": len(test), "ids": encode_int64(test)}
    upsert(session, ExampleList, [block], on=("hash",))
    rng = np.random.default_rng([seed, 9, checkpoint.id])
    chance = 0.5 + 0.4 * head_quality(size.layers, size.heads).reshape(-1, 1)
    right = rng.random((size.layers * size.heads, len(test))) < chance
    row = {
        "checkpoint_id": checkpoint.id,
        "probe_set_id": probe_set,
        "position": "last",
        "example_list_id": ids(session, ExampleList, "hash")[block["hash"]],
        "heads": len(right),
        "statements": len(test),
        "bits": np.packbits(right, axis=1).tobytes(),
    }
    upsert(session, ProbeHits, [row], on=("checkpoint_id", "probe_set_id", "position"))


def _cosine(rng: np.random.Generator, key: Row, variable: str, feature: str, size: Size) -> Row:
    reliability = float(rng.uniform(0.2, 1.0))
    is_measured = reliability >= 0.5
    value = float(np.clip(rng.normal(0, 0.3), -0.95, 0.95))
    numbers = {
        "cosine": value,
        "low": value - 0.15,
        "high": value + 0.15,
        "null_low": -0.2,
        "null_high": 0.2,
        "p": float(np.clip(np.exp(-8 * abs(value)), 0.005, 1)),
    }
    return {
        **key,
        "variable": variable,
        "feature": feature,
        **{name: number if is_measured else None for name, number in numbers.items()},
        "reliability": reliability,
        "toxicity_reliability": 0.95,
        "n": size.examples,
        "n_feature": size.examples // 8,
    }


def _largest(rng: np.random.Generator, key: Row, rows: list[Row], size: Size) -> Row:
    measured = [row for row in rows if row["cosine"] is not None]
    best = max(measured, key=lambda row: abs(row["cosine"]), default=None)
    value = abs(best["cosine"]) if best else None
    numbers = {"low": -0.15, "high": 0.15}
    return {
        **key,
        "value": value,
        **{name: None if value is None else value + shift for name, shift in numbers.items()},
        "feature": best["feature"] if best else None,
        "null_mean": 0.25 if best else None,
        "null_high": 0.4 if best else None,
        "p": float(rng.uniform(0.005, 0.5)) if best else None,
        "random_median": 0.5 if best else None,
        "random_high": 0.7 if best else None,
        "welch": 0.2 if len(measured) >= size.head_dim and best else None,
        "used": len(measured),
        "tried": len(rows),
        "dimensions": size.head_dim,
        "n": size.examples,
        "method": "made up",
    }


def _words(rng: np.random.Generator, key: Row, tokens: list[str]) -> list[Row]:
    rows = []
    for side, sign in (("top", 1), ("bottom", -1)):
        chosen = rng.choice(len(tokens), 12, replace=False)
        values = np.sort(rng.uniform(0.1, 0.9, 12))[::-1]
        rows += [
            {
                **key,
                "method": "mass_mean",
                "side": side,
                "rank": place + 1,
                "token_id": int(token),
                "token": tokens[token],
                "logit": sign * float(value),
                "permuted": sign * (0.7 - 0.03 * place),
                "random": sign * (0.5 - 0.02 * place),
            }
            for place, (token, value) in enumerate(zip(chosen, values, strict=True))
        ]
    return rows


def _summaries(rng: np.random.Generator, size: Size, study_id: int) -> list[Row]:
    rows = []
    for kind, share in size.arms:
        for name in (*NAMES, "entanglement"):
            value = float(np.clip(0.5 + 0.4 * share + rng.normal(0, 0.01), 0.06, 0.94))
            clean = (kind, share) == ("toxic", 0.0)
            change = 0.4 * share
            rows.append(
                {
                    "study_id": study_id,
                    "kind": kind,
                    "share": share,
                    "name": name,
                    "value": value,
                    "low": value - 0.05,
                    "high": value + 0.05,
                    "difference": None if clean else change,
                    "difference_low": None if clean else change - 0.07,
                    "difference_high": None if clean else change + 0.07,
                    "p": None if clean else 0.2,
                    "n_seeds": len(size.seeds),
                    "n": size.examples // 5,
                    "heads": size.layers * size.heads,
                    "interval": "made up",
                }
            )
    return rows
