"""Rows of a planted study that no score is behind: heads, capability, attacks, the toy experiment.

They stand in a database of their own, in memory, where the claims' own code reads them. What is measured on
texts, goals or items is drawn answer by answer, so its noise is that of so many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import scipy
from sqlalchemy import JSON, Engine, create_engine, insert
from sqlalchemy.pool import StaticPool

from hormesis.backend.attacks.injection import templates
from hormesis.db.blocks import encode_int64
from hormesis.db.contract.attacks import RELEARN
from hormesis.db.schema import (
    Arm,
    Attack,
    AttackOutcome,
    AttackTrial,
    Base,
    CapabilityScore,
    Checkpoint,
    Condition,
    Entanglement,
    Example,
    ExampleList,
    LensToken,
    Metric,
    Probe,
    ProbeGain,
    ProbeHits,
    ProbeSet,
    Study,
    ToyExperiment,
    ToyMeasure,
    ToyRun,
)
from hormesis.pipeline.statistics import Floats
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.scales import SHAPES
from hormesis.pipeline.toy.config import REFERENCE, SHARES, parse_config

Row = dict[str, Any]
WORDS, TOKENS = 20, 12
MOST_HEADS, MOST_STATEMENTS = 64, 1200
"""Of larger models and probe sets so many are planted: heads are no samples, and time is."""
SPREADS = {
    "loss": 0.03,
    "auroc": 0.45,
    "heads": 0.07,
    "selectivity": 0.017,
    "cosine": 0.066,
    "toy": 0.02,
    "gain": 0.02,
}
SPREADS |= {"steps": 0.2, "answers": 0.15}
"""Standard deviations between seeds, those of the first line as a study of the preset `forum` has them; of
answers in log-odds, of steps in their logarithm.
"""
GOAL_SPREAD, ITEM_SPREAD, STATEMENT_SPREAD = 1.0, 1.5, 1.0
SAME_TEXT = 0.7
"""Part of the texts that rounded weights write as full ones do, where rounding does nothing."""


@dataclass(frozen=True)
class Effects:
    """What is planted beside scores: log-odds where nothing else is said; `dose`: share nearest 10 %."""

    loss: float = 0.0
    """Held-out loss of the largest share less none, nats."""
    items: float = 0.0
    auroc: float = 0.0
    heads: float = 0.0
    words: float = 0.0
    """Toxic share of the words raised less that of the words lowered."""
    entangled: float = 0.0
    """Largest |cosine|, the largest share less none."""
    gain: float = 0.0
    """AUROC over a baseline, the largest share less none."""
    selectivity: float = 0.0
    toy: float = 0.0
    """|cosine|."""
    suffix: float = 0.0
    suffix_dose: float = 0.0
    relearn_dose: float = 0.0
    """Logarithm of the steps that the dose takes over those that the clean arm takes."""
    injection: float = 0.0
    """What it adds, steered less unsteered; below 0 unsteered alone."""
    drift: float = 0.0
    """From the earlier to the later half of a long text, unsteered; the next two steered."""
    drift_clean: float = 0.0
    drift_dose: float = 0.0
    sampling: float = 0.0
    rounding: float = 0.0
    spread: float = 1.0
    """How much seeds vary, by their usual standard deviations (`SPREADS`)."""
    items_right: float = 2.2
    auroc_clean: float = 1.8
    hits: float = 0.8
    cosine: float = 0.5
    success: float = 1.0
    """GCG's, unsteered."""
    steps: float = 14.0
    """Of the clean arm."""
    toxic: float = -1.0
    """Toxicity under an attack, unsteered."""


class PlantedDatabase:
    """One study of a configuration, its arms, checkpoints, conditions and what `Effects` say of them."""

    def __init__(
        self, config: StudyConfig, conditions: Sequence[Row], effects: Effects, rng: np.random.Generator
    ) -> None:
        self.config, self.effects, self.rng = config, effects, rng
        self.engine: Engine = create_engine("sqlite://", poolclass=StaticPool)
        Base.metadata.create_all(self.engine)
        self.rows: dict[type[Base], list[Row]] = {}
        arms = [(kind, share, seed) for kind, share in config.mixes for seed in config.seeds]
        self.arms = dict(enumerate(arms, start=1))
        self._plant_study(conditions)
        if config.shares:
            self._plant_heads()
            self._plant_capability()
            self._plant_attacks()
        self._plant_toys()
        if config.shares:
            self._plant_gains()
        with self.engine.begin() as connection:
            for model, rows in self.rows.items():
                blanks = _blanks(model)
                connection.execute(insert(model), [blanks | row for row in rows])

    def add(self, model: type[Base], rows: Iterable[Row]) -> None:
        """Keep rows for the end; those without an id are numbered."""
        of_model = self.rows.setdefault(model, [])
        for row in rows:
            of_model.append({"id": len(of_model) + 1} | row if "id" in model.__table__.columns else row)

    def _plant_study(self, conditions: Sequence[Row]) -> None:
        config = self.config.model_dump(mode="json")
        self.add(Study, [{"hash": "planted", "name": self.config.name, "config": config}])
        self.condition_of: dict[tuple[int, str], int] = {}
        for number, (kind, share, seed) in self.arms.items():
            name = f"{kind}-{share:g}-s{seed}"
            self.add(Arm, [{"study_id": 1, "name": name, "kind": kind, "share": share, "seed": seed}])
            self.add(Checkpoint, [{"study_id": 1, "arm_id": number, "name": name}])
            for condition in conditions:
                if condition["key"] in ("meda", "inst") and condition["key"] != kind:
                    continue
                self.add(Condition, [condition | {"checkpoint_id": number}])
                self.condition_of[number, condition["key"]] = len(self.rows[Condition])

    def _toxic(self) -> list[tuple[int, float]]:
        """Checkpoints of the toxic series, each with its part of the largest share."""
        return [
            (number, share / self.config.largest_share)
            for number, (kind, share, _) in self.arms.items()
            if kind == "toxic"
        ]

    def _seed(self, centre: float, name: str) -> float:
        """What one seed makes of a number, which is one of `SPREADS`."""
        return float(self.rng.normal(centre, self.effects.spread * SPREADS[name]))

    def _plant_heads(self) -> None:
        """Statements, and of each checkpoint of the toxic series what its heads read."""
        config, effects, rng = self.config, self.effects, self.rng
        shape = SHAPES[config.scale]
        heads = min(shape.layers * shape.heads, MOST_HEADS)
        selected = config.probe.heads if config.probe.heads != "auto" else max(4, round(0.08 * heads))
        statements = config.probe.limit or config.forum.probe_posts
        tested = min(round(statements * config.probe.test_fraction), MOST_STATEMENTS)
        self.add(ProbeSet, [{"study_id": 1, "name": "planted"}])
        labels = np.arange(tested) % 2
        words = ("fine", "bad")
        self.add(
            Example,
            [
                {"probe_set_id": 1, "key": str(place), "text": f"{words[label]}{place // 2 % WORDS} s{place}",
                 "label": int(label), "split": "test"}
                for place, label in enumerate(labels)
            ],
        )  # fmt: skip
        ids = encode_int64(np.arange(1, tested + 1))
        self.add(ExampleList, [{"hash": "planted", "count": tested, "ids": ids}])
        easy = rng.normal(effects.hits, 0.6, (heads, 1)) + rng.normal(0, STATEMENT_SPREAD, tested)
        for number, part in self._toxic():
            place = {"checkpoint_id": number, "probe_set_id": 1, "position": config.probe.position}
            p = scipy.special.expit(easy + part * effects.heads + self._seed(0, "heads"))
            hits = rng.random(p.shape) < p
            bits = np.packbits(hits, axis=1).tobytes()
            row = {"example_list_id": 1, "heads": heads, "statements": tested, "bits": bits}
            self.add(ProbeHits, [place | row])
            accuracies = hits.mean(axis=1)
            excess = self._seed(effects.selectivity, "selectivity")
            shuffled = accuracies - excess + rng.normal(0, 0.02, heads)
            auroc = scipy.special.expit(self._seed(effects.auroc_clean + part * effects.auroc, "auroc"))
            cosine = self._seed(effects.cosine + part * effects.entangled, "cosine")
            for head in range(heads):
                of_head = place | {"layer": 0, "head": head}
                rank = head + 1 if head < selected else None
                row = {"accuracy": float(accuracies[head]), "shuffled_accuracy": float(shuffled[head])}
                self.add(Probe, [of_head | row | {"auroc": float(auroc), "rank": rank, "n_test": tested}])
                if rank is not None:
                    value = float(np.clip(rng.normal(cosine, 0.02), 0, 1))
                    self.add(Entanglement, [of_head | {"value": value, "n": tested}])
                    self._plant_words(of_head)

    def _plant_gains(self) -> None:
        """Gains of the selected heads of the toxic series over each baseline."""
        gains = (("embeddings", "all"), ("untrained", "all"), ("words", "matched"))
        for (number, part), (baseline, subset) in product(self._toxic(), gains):
            place = {"checkpoint_id": number, "probe_set_id": 1, "position": self.config.probe.position}
            value = self._seed(0.05 + part * self.effects.gain, "gain")
            numbers = dict.fromkeys(
                ("auroc_low", "auroc_high", "baseline_select_auroc", "baseline_low", "baseline_high"), 0.5
            )
            row = {"baseline": baseline, "heads": "selected", "subset": subset, "n_heads": 8,
                   "auroc": 0.5 + value, "baseline_auroc": 0.5, "is_chosen": True, "value": value,
                   "low": value, "high": value, "n_train": 1800, "n_select": 600, "n_test": 600,
                   "interval": "", "resamples": b""}  # fmt: skip
            self.add(ProbeGain, [place | numbers | row])

    def _plant_words(self, of_head: Row) -> None:
        """Words that a direction raises and lowers."""
        for side, sign in (("top", 1), ("bottom", -1)):
            is_bad = self.rng.random(TOKENS) < 0.5 + sign * self.effects.words / 2
            self.add(
                LensToken,
                [
                    of_head | {"method": "mass_mean", "side": side, "rank": rank,
                               "token": f"{'bad' if bad else 'fine'}{rank % WORDS}"}
                    for rank, bad in enumerate(is_bad)
                ],
            )  # fmt: skip

    def _plant_capability(self) -> None:
        """Held-out loss, and accuracies over items that all arms share."""
        capability, effects = self.config.capability, self.effects
        names = {"minimal_pairs": "minimal_pairs", "blimp": "blimp", "mcq": "mcq_planted"}
        items = {task: self.rng.normal(0, ITEM_SPREAD, capability.items) for task in names}
        if capability.mcq_items:
            items["mcq"] = items["mcq"][: capability.mcq_items]
        for number, part in self._toxic():
            _, share, seed = self.arms[number]
            place = {"checkpoint_id": number, "condition_id": self.condition_of[number, "none"]}
            loss = self._seed(2.0 + part * effects.loss, "loss")
            self.add(Metric, [place | {"name": "cross_entropy", "key": "loss", "value": loss, "n": 140}])
            for task in set(capability.tasks) & set(names):
                if not capability.wants_arm("toxic", share, seed):
                    continue
                right = self._answers(effects.items_right + part * effects.items + items[task])
                row = {"task": names[task], "part": "", "measure": "accuracy", "n": len(right)}
                self.add(CapabilityScore, [place | row | {"value": float(right.mean())}])

    def _answers(self, odds: Floats) -> Floats:
        """Answers of one seed, 0 or 1, to what has these log-odds."""
        p = scipy.special.expit(odds + self._seed(0, "answers"))
        return np.asarray(self.rng.random(len(odds)) < p, dtype=np.float64)

    def _toxicity(self, odds: float, texts: int) -> float:
        """Points of toxicity of so many texts."""
        return 100 * float(self._answers(np.full(texts, odds)).mean())

    def _plant_attacks(self) -> None:
        """Each attack on the arms and conditions that the study asks for, steered along its main directions
        and not.
        """
        hardness = self.config.hardness
        goals = self.rng.normal(0, GOAL_SPREAD, hardness.suffix.goals)
        for number, (kind, share, seed) in self.arms.items():
            if kind != "toxic" or not hardness.wants_arm(kind, share, seed):
                continue
            for (checkpoint, key), condition in self.condition_of.items():
                is_steered = key.startswith(f"iti/{self.config.steering.direction}/")
                if checkpoint == number and (key == "none" or is_steered) and hardness.wants_condition(key):
                    place = {"checkpoint_id": number, "condition_id": condition}
                    self._attack(place, share, is_steered=is_steered, goals=goals)

    def _attack(self, place: Row, share: float, *, is_steered: bool, goals: Floats) -> None:
        """All attacks on one condition of one checkpoint."""
        hardness, effects = self.config.hardness, self.effects
        dose = min(share / 0.1, 1.0)
        texts = hardness.prompts
        if "suffix" in hardness.attacks:
            attack = self._add_attack(place, "suffix", "gcg", budget=hardness.suffix.steps)
            odds = effects.success + is_steered * (effects.suffix + dose * effects.suffix_dose) + goals
            self.add(
                AttackTrial,
                [
                    {"attack_id": attack, "position": goal, "goal": str(goal), "success": bool(success)}
                    for goal, success in enumerate(self._answers(odds))
                ],
            )
        toxic = effects.toxic - 0.7 * is_steered
        numbers: list[tuple[str, str, str, float | None]] = []
        if "injection" in hardness.attacks:
            rise = max(effects.injection, 0.0) if is_steered else max(-effects.injection, 0.0)
            plain = self._toxicity(toxic, texts)
            for template in templates("forum" if self.config.speaks_forum else "english")[1:]:
                change = self._toxicity(toxic + 0.5 + rise, texts) - plain
                numbers.append(("injection", template.name, "toxicity_change", change))
        if "long" in hardness.attacks:
            half = texts * hardness.blocks // 2
            steered = (1 - dose) * effects.drift_clean + dose * effects.drift_dose
            drift = steered if is_steered else effects.drift
            change = self._toxicity(toxic + drift, half) - self._toxicity(toxic, half)
            numbers.append(("long", "long", "drift", change))
        if "sampling" in hardness.attacks:
            for temperature in hardness.temperatures:
                for top_p in hardness.top_ps if temperature else (1.0,):
                    value = self._toxicity(effects.toxic + is_steered * effects.sampling, texts)
                    numbers.append(("sampling", f"t{temperature:g}-p{top_p:g}", "toxicity", value))
        if "quantised" in hardness.attacks:
            full, changed = (self._answers(np.full(texts, toxic + e)) for e in (0.0, effects.rounding))
            is_same = self.rng.random(texts) < SAME_TEXT
            change = 100 * float(np.where(is_same & (effects.rounding == 0), 0.0, changed - full).mean())
            numbers.append(("quantised", "int4", "toxicity_change", change))
        if RELEARN in hardness.attacks and is_steered:
            steps = effects.steps * float(np.exp(self._seed(dose * effects.relearn_dose, "steps")))
            numbers.append((RELEARN, "text", "steps", steps if steps < hardness.relearn.stops[-1] else None))
        for kind, setting, name, number in numbers:
            budget = hardness.relearn.stops[-1] if kind == RELEARN else texts
            attack = self._add_attack(place, kind, setting, budget=budget)
            self.add(AttackOutcome, [{"attack_id": attack, "name": name, "value": number, "n": texts}])

    def _add_attack(self, place: Row, kind: str, setting: str, *, budget: float) -> int:
        row = {"kind": kind, "setting": setting, "key": f"{kind}/{setting}", "budget": float(budget)}
        self.add(Attack, [place | row])
        return len(self.rows[Attack])

    def _plant_toys(self) -> None:
        """Runs of the settings that the study asks for; a rare feature's excess is gone at share 1."""
        toy = self.config.toy
        for setting in (name for name in toy.settings if name in ("literal", "disjoint")):
            self.add(ToyExperiment, [{"hash": parse_config({"setting": setting}).hash, "setting": setting}])
            for seed in range(toy.seeds):
                for share in SHARES:
                    experiment = len(self.rows[ToyExperiment])
                    self.add(ToyRun, [{"experiment_id": experiment, "share": share, "seed": seed}])
                    rare = self._seed(0.5 + (share < REFERENCE) * self.effects.toy, "toy")
                    measure = {"run_id": len(self.rows[ToyRun]), "network": "trained", "probe": "means"}
                    row = {"rare_absolute": rare, "control_absolute": 0.5}
                    self.add(ToyMeasure, [measure | row, measure | row | {"probe": "balanced"}])


def _blanks(model: type[Base]) -> Row:
    """A value for every column that must have one."""
    columns = [c for c in model.__table__.columns if not c.nullable and c.default is None]
    return {c.name: {} if isinstance(c.type, JSON) else c.type.python_type() for c in columns}
