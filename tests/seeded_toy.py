"""The seeded database's toy experiment: made-up directions with their true angles, curves and effects.

Rare features lie closer to their neighbours the rarer they are, and only where the chains share their states.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from db.blocks import encode_float32
from db.schema import ToyEffect, ToyExperiment, ToyMeasure, ToyPoint, ToyRun
from db.write import ids, upsert, write_session
from pipeline.toy.chains import FEATURES, RARE
from pipeline.toy.config import PROBES, REFERENCE, SPLITS, parse_config
from pipeline.toy.effects import RunValues, effect
from pipeline.toy.geometry import entanglement, random_null, welch_bound
from tests.seeded_study import CREATED

Row = dict[str, Any]
Floats = NDArray[np.float64]
CROWDING = {"literal": 0.6, "disjoint": 0.0}
"""Setting to how far the rarest features are pulled towards others, 0 to 1."""
SHARES = (0.01, 0.1, REFERENCE)
SEEDS = (0, 1, 2)
STEPS = (0, 150, 300, 450, 600)


def add_toy(engine: Engine, seed: int) -> None:
    """Write everything of this module. Toy runs belong to no study."""
    rng = np.random.default_rng([seed, 8])
    for setting, crowding in CROWDING.items():
        with write_session(engine) as session:
            row = _experiment(setting)
            upsert(session, ToyExperiment, [row], on=("hash",))
            experiment = ids(session, ToyExperiment, "hash")[row["hash"]]
            plans = [(share, number) for number in SEEDS for share in SHARES]
            curves = {plan: _curve(plan[0], crowding) for plan in plans}
            runs = [
                {"experiment_id": experiment, "share": share, "seed": number} | curves[share, number][-1]
                for share, number in plans
            ]
            upsert(session, ToyRun, runs, on=("experiment_id", "share", "seed"))
            run_ids = ids(session, ToyRun, "share", "seed", where=[ToyRun.experiment_id == experiment])
            points = [
                {"run_id": run_ids[plan], "step": step} | values
                for plan in plans
                for step, values in zip(STEPS, curves[plan], strict=True)
            ]
            upsert(session, ToyPoint, points, on=("run_id", "step"))
            measures = {plan: _measures(rng, plan[0], crowding) for plan in plans}
            rows = [{"run_id": run_ids[plan]} | measure for plan in plans for measure in measures[plan]]
            upsert(session, ToyMeasure, rows, on=("run_id", "network", "probe"))
            effects = [
                {"experiment_id": experiment} | effect_row for effect_row in _effects(measures, curves)
            ]
            keys = ("experiment_id", "network", "probe", "cosine", "split")
            upsert(session, ToyEffect, effects, on=keys)


def _experiment(setting: str) -> Row:
    config = parse_config({"setting": setting})
    return {
        "hash": config.hash,
        "setting": setting,
        "config": config.model_dump(mode="json"),
        "created": CREATED,
        "features": FEATURES,
        "dimensions": config.width,
        "welch": welch_bound(FEATURES, config.width),
        "null_absolute": random_null(FEATURES, config.width, signed=False),
        "null_signed": random_null(FEATURES, config.width, signed=True),
        "status": "done",
        "done": 1.0,
        "total": 1.0,
        "heartbeat": CREATED,
        "seconds": 60.0,
        "host": "seeded",
        "packages": {"python": "3.11", "torch": "2.13.0"},
    }


def _curve(share: float, crowding: float) -> list[Row]:
    """Losses fall and accuracies rise; the rare chain stays behind where it is rare and crowded."""
    reach = 1 - crowding * (1 - share)
    rows = []
    for step in STEPS:
        part = 1 - np.exp(-4 * step / STEPS[-1])
        rows.append(
            {
                "rare_loss": float(2.5 - 2.4 * part * reach),
                "control_loss": float(2.5 - 2.4 * part),
                "rare_accuracy": float(0.08 + 0.92 * part * reach),
                "control_accuracy": float(0.08 + 0.92 * part),
            }
        )
    return rows


def _measures(rng: np.random.Generator, share: float, crowding: float) -> list[Row]:
    """Both networks under every probe; a frozen network is that of r = 1, so its features do not crowd."""
    rows = []
    for network, pull in (("trained", crowding * (1 - share)), ("frozen", 0.0)):
        vectors = rng.normal(size=(FEATURES, 4))
        towards = rng.permutation(vectors[~RARE])[: int(RARE.sum())]
        vectors[RARE] = (1 - pull) * vectors[RARE] + pull * towards
        for probe in PROBES:
            noisy = vectors + rng.normal(0, 0.02, vectors.shape)
            rows.append({"network": network, "probe": probe} | _angles(noisy))
    return rows


def _angles(vectors: Floats) -> Row:
    row: Row = {"vectors": encode_float32(vectors.astype(np.float32))}
    parts = {
        "absolute": entanglement(vectors, signed=False),
        "signed": entanglement(vectors, signed=True),
        "norm": np.linalg.norm(vectors, axis=-1),
    }
    for name, values in parts.items():
        row |= {f"rare_{name}": float(values[RARE].mean()), f"control_{name}": float(values[~RARE].mean())}
    return row


def _effects(
    measures: dict[tuple[float, int], list[Row]], curves: dict[tuple[float, int], list[Row]]
) -> list[Row]:
    """DiDs over the runs, by the experiment's own rule."""
    effects = []
    for place, measure in enumerate(measures[SHARES[0], SEEDS[0]]):
        for cosine in ("absolute", "signed"):
            values = [
                RunValues(
                    share=share,
                    seed=number,
                    accuracy=curves[share, number][-1]["rare_accuracy"],
                    rare=rows[place][f"rare_{cosine}"],
                    control=rows[place][f"control_{cosine}"],
                )
                for (share, number), rows in measures.items()
            ]
            for split in SPLITS if measure["network"] == "trained" else SPLITS[:1]:
                estimate = effect(values, split)
                effects.append(
                    {
                        "network": measure["network"],
                        "probe": measure["probe"],
                        "cosine": cosine,
                        "split": split,
                    }
                    | {
                        "value": estimate.value,
                        "low": estimate.low,
                        "high": estimate.high,
                        "n_seeds": estimate.seeds,
                    }
                    | {
                        "n_runs": estimate.runs,
                        "n_positive": estimate.positive,
                        "interval": estimate.interval,
                    }
                )
    return effects
