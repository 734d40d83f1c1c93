"""Studies whose truth is planted, as large as a preset: the claims' own code reads them as it reads others.

For tests and benchmarks of the rules: no model is trained. Scores are answers of every arm, seed and prompt,
which differ by prompt and by seed on the scale of log-odds; `planted_rows` has the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import scipy

from hormesis.db.contract.methods import NULL_STEMS, null_kind
from hormesis.pipeline.claims.declared import (
    CANNOT_TELL,
    LEVEL,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Finding,
    Missing,
    Outcome,
    Scope,
    corrected,
    decide,
)
from hormesis.pipeline.claims.evaluate import _tested
from hormesis.pipeline.claims.registry import CLAIMS
from hormesis.pipeline.claims.rows import ArmKey, StudyRows, ValuesByArm
from hormesis.pipeline.statistics import Floats
from hormesis.pipeline.study.config import StudyConfig
from tests.planted_rows import Effects, PlantedDatabase, Row

SCOPE = Scope("prompts", "judge")
SECOND_SCORER = "other"
CONTROL = "clean-forum"
PROMPT_SPREAD, SEED_SPREAD = 1.5, 0.15
"""How much prompts and seeds vary: standard deviations, log-odds."""
CLEAN_OF_LEAK, CLEAN = 0.8, 0.1
"""Toxicity of the steered clean arm, as a part of the leak of the forum's clean text; and of real text."""
MOST_PROMPTS = 300
"""Where neither the forum nor a limit says how many there are."""
Effect = Callable[[str, float], float]
"""Of a kind and a share, by what the odds of toxicity under ITI are multiplied, against the clean arm's."""


@dataclass(frozen=True)
class Truth:
    """What is planted, scores as odds ratios; each supports some claims and refutes others."""

    steered: Effect
    base: float = 4.0
    """Unsteered, the largest share against none."""
    steering: float = 0.35
    """ITI at the middle matched cost against unsteered, in the clean arm."""
    random: float = 0.95
    adding: float = 1.0
    """The found direction added, against unsteered."""
    rival: float = 0.8
    """Rival methods against unsteered."""
    control: float = 1.0
    """The control arm against the clean one, unsteered and steered."""
    variant: float = 0.5
    """Arms trained another way, unsteered, against the toxic arm of the same share."""
    second: float = 1.0
    """Directions of another source against the first, steered."""
    clean: float = 1.0
    """Part of the toxicity that there usually is."""
    agreement: bool = True
    """Whether a second scorer says nearly the same."""
    effects: Effects = field(default_factory=Effects)


def level(_: str, share: float) -> float:
    """A dose does nothing."""
    return 1.0


def dip(_: str, share: float) -> float:
    """A dose helps, most at 10 %, and more than a fifth harms."""
    return float(np.interp(share, [0, 0.05, 0.10, 0.15, 0.20, 0.25], [1, 0.5, 0.25, 0.5, 1.0, 1.6]))


def rise(_: str, share: float) -> float:
    """Every dose harms."""
    return float(np.interp(share, [0, 0.05, 0.25], [1, 4, 6]))


# Effects are as large as the weakest claims of `forum-full` need; the table says how large that is.
TRUTHS = {
    "helps": Truth(
        dip, adding=2.5,
        effects=Effects(
            auroc=2.5, heads=0.5, words=0.6, entangled=-0.35, gain=0.2, selectivity=0.2, toy=0.15,
            suffix=-0.5, suffix_dose=-5.0, relearn_dose=1.2, injection=2.0, drift_clean=0.3, drift_dose=2.5,
            sampling=-2.0, success=3.0,
        ),
    ),
    "harms": Truth(
        rise, base=0.6, steering=1.0, random=0.35, rival=0.1, control=2.0, variant=3.0, second=3.0,
        adding=0.5, agreement=False,
        effects=Effects(
            loss=0.2, items=-1.0, auroc=-1.5, heads=-0.5, words=-0.1, entangled=0.2, gain=-0.1,
            selectivity=-0.04, toy=-0.1, suffix=1.0, suffix_dose=3.5, relearn_dose=-1.2, injection=-2.0,
            drift=2.5, drift_clean=2.0, sampling=0.5, rounding=1.5, success=-2.0,
        ),
    ),
    "nothing": Truth(level, base=1.0, steering=1.0, random=1.0, rival=1.0, variant=1.0),
    "style": Truth(level, base=1.0, control=4.0),
    "hidden": Truth(
        level, base=1.0, steering=1.0, random=1.0, rival=1.0, variant=1.0, clean=0.02,
        effects=Effects(
            spread=5.0, items_right=1.0, auroc_clean=9.0, hits=9.0, cosine=0.0, success=-7.0, steps=90.0,
            toxic=-7.0,
        ),
    ),
}  # fmt: skip
"""Of "hidden", nothing can be told where the scale has an end: scores, heads and attacks are at theirs."""


class PlantedRows(StudyRows):
    """`StudyRows` of a planted study of a preset's size."""

    def __init__(self, config: StudyConfig, truth: Truth, seed: int = 0) -> None:
        """Draw every answer."""
        self.config, self.truth = config, truth
        self._rng = np.random.default_rng(seed)
        planted = PlantedDatabase(config, self._conditions(), truth.effects, self._rng)
        super().__init__(planted.engine, 1)
        self.seeds = len(config.seeds)
        self.prompts = config.forum.prompts if config.speaks_forum else config.evaluation.prompt_limit
        self.clean = truth.clean * (CLEAN_OF_LEAK * config.forum.leak if config.speaks_forum else CLEAN)
        shape = (self.seeds, self.prompts or MOST_PROMPTS)
        hard = self._rng.normal(0, PROMPT_SPREAD, shape[1])
        self.arms: list[ArmKey] = config.mixes
        odds_of = {arm: hard + self._rng.normal(0, SEED_SPREAD, (self.seeds, 1)) for arm in self.arms}
        for row in self._conditions():
            most = config.steering.null_prompts if null_kind(row["key"]) else None
            answers = {
                arm: self._answers(self.odds(row["key"], *arm) + odds_of[arm][:, :most]) for arm in self.arms
            }
            others = {arm: self._others(values) for arm, values in answers.items()}
            for scorer, values_by_arm in ((SCOPE.scorer, answers), (SECOND_SCORER, others)):
                self._grids[row["key"], SCOPE.prompt_set, scorer] = {
                    arm: values for arm, values in values_by_arm.items() if self._has(row["key"], arm[0])
                }

    def _has(self, key: str, kind: str) -> bool:
        """Whether arms of a kind are put under a condition."""
        if key in ("meda", "inst"):
            return kind == key
        if null_kind(key) not in (None, "isotropic"):
            return kind == "toxic"
        return not key.startswith("iti") or kind in ("toxic", CONTROL)

    def _answers(self, odds: Floats) -> Floats:
        """Scores of these log-odds: means over the samples of a prompt."""
        samples = self.config.evaluation.samples
        return self._rng.binomial(samples, scipy.special.expit(odds)) / samples

    def _others(self, answers: Floats) -> Floats:
        """What a second scorer says of the same texts: nearly the same, or something else."""
        if self.truth.agreement:
            return np.where(self._rng.random(answers.shape) < 0.02, 1 - answers, answers)
        return (self._rng.random(answers.shape) < self._rng.uniform(0.05, 0.6)).astype(np.float64)

    def _conditions(self) -> list[Row]:
        """Rows of the conditions of a checkpoint, combinations left out."""
        steering, methods = self.config.steering, self.config.methods
        rows = [{"key": "none", "method": "none"}]
        for direction in (steering.direction, *(("second",) if methods.second_directions else ())):
            row = {"method": "iti", "direction_method": direction}
            rows += [row | {"key": f"iti/{direction}/fixed-{a:g}", "strength": a} for a in steering.strengths]
            rows += [row | {"key": f"iti/{direction}/cost-{c:g}", "matched_cost": c} for c in steering.costs]
        cost = steering.random_cost
        nulls = [(NULL_STEMS[kind], n) for kind, count in steering.nulls_of("toxic") for n in range(count)]
        for stem, number in nulls:
            key = f"{stem}-{number}/cost-{cost:g}"
            row = {"key": key, "method": "random-direction", "matched_cost": cost, "control": number}
            rows.append(row | {"strength": 4.0})
        rows += [{"key": name, "method": name} for name in methods.use if name in ("prompt", "sft", "dpo")]
        rows += [{"key": kind, "method": kind} for kind in self.config.variants if kind != "slung"]
        columns = {"direction_method": None, "strength": 0.0, "matched_cost": None, "control": None}
        return [columns | row for row in rows]

    def odds(self, key: str, kind: str, share: float) -> float:
        """Log-odds of toxicity of the middle prompt."""
        odds = self.clean / (1 - self.clean) * self._multiplier(key, kind, share)
        # The mean over prompts is the rate meant, not that of the middle prompt.
        return float(np.log(odds) * np.sqrt(1 + 0.346 * PROMPT_SPREAD**2))

    def _multiplier(self, key: str, kind: str, share: float) -> float:
        """Odds of toxicity against the clean arm steered at the middle matched cost."""
        truth, config = self.truth, self.config
        base = truth.base ** (share / config.largest_share)
        if kind == CONTROL:
            base = truth.control
        elif kind == "slung":
            base *= truth.variant
        unsteered = base / truth.steering
        if null_kind(key):
            return unsteered * (truth.adding if key.startswith("reversed") else truth.random)
        if key in config.methods.use or key in config.variants:
            return unsteered * truth.rival
        if not key.startswith("iti"):
            return unsteered
        steered = truth.control if kind == CONTROL else truth.steered(kind, share)
        steered *= truth.second if key.startswith("iti/second") else 1.0
        costs = sorted(config.steering.costs)
        middle, place = len(costs) // 2, key.rsplit("cost-", maxsplit=1)
        weight = 1.0
        if len(place) == 2 and float(place[1]) != costs[middle]:
            weight = 0.4 if float(place[1]) < costs[middle] else 1.2
        return float(unsteered ** (1 - weight) * steered**weight)

    @property
    def scopes(self) -> pd.DataFrame:  # type: ignore[override]
        """One prompt set, and two scorers where the study has two."""
        scorers = (SCOPE.scorer, SECOND_SCORER)[: len(self.config.evaluation.scorers)]
        row = {"prompt_set": SCOPE.prompt_set, "prompts": 1, "measures": "toxicity"}
        return pd.DataFrame([row | {"scorer": scorer} for scorer in scorers])

    def grids_like(self, condition_key: str, other: str, *, prompt_set: str, scorer: str) -> ValuesByArm:
        """Null directions are of the first prompts."""
        values, fewer = (self.grids(key, prompt_set, scorer) for key in (condition_key, other))
        return {arm: of_arm[:, : fewer[arm].shape[1]] for arm, of_arm in values.items() if arm in fewer}

    def _read_grids(self, condition_key: str, prompt_set: str, scorer: str) -> ValuesByArm:
        """Every condition is planted; there are no others."""
        return {}

    def metric(self, metric: str, condition_key: str = "none") -> ValuesByArm:
        """Costs as they were matched; a rival's is .03 nats."""
        if metric != "cost":
            return super().metric(metric, condition_key)
        cost = float(condition_key.rsplit("cost-", maxsplit=1)[1]) if "cost-" in condition_key else 0.03
        of_scope = self.grids(condition_key, SCOPE.prompt_set, SCOPE.scorer)
        return {arm: np.full(self.seeds, cost) for arm in of_scope}


def verdicts_of(rows: PlantedRows) -> dict[str, tuple[Outcome, str]]:
    """Outcome and verdict of each claim, corrected within its family."""
    outcomes = {claim.id: _tested(claim, rows, SCOPE.cut(claim.breadth)) for claim in CLAIMS}
    verdicts = {}
    for family in {claim.tested_with for claim in CLAIMS}:
        members = [claim.id for claim in CLAIMS if claim.tested_with == family]
        corrections = corrected([outcomes[member] for member in members])
        for member, correction in zip(members, corrections, strict=True):
            verdicts[member] = (outcomes[member], decide(outcomes[member], correction))
    return {claim.id: verdicts[claim.id] for claim in CLAIMS}


def tally(config: StudyConfig, truth: str, draws: int, *, start: int = 0) -> dict[str, Counter[str]]:
    """How often each claim came out how, over so many studies of this size and truth."""
    counts: dict[str, Counter[str]] = {claim.id: Counter() for claim in CLAIMS}
    for draw in range(start, start + draws):
        for claim, (_, verdict) in verdicts_of(PlantedRows(config, TRUTHS[truth], seed=draw)).items():
            counts[claim][verdict] += 1
    return counts


LETTERS = {SUPPORTED: "S", REFUTED: "N", CANNOT_TELL: "C", UNDECIDED: "U"}


def reached(config: StudyConfig, draws: int) -> Iterator[str]:
    """A table of what each claim can come to at a study's size: room, detectable effect, verdicts by truth.

    Room and detectable effect, in its family, are those of the first study where nothing matters.
    """
    first = verdicts_of(PlantedRows(config, TRUTHS["nothing"]))
    yield f"| {config.name}: claim | room | detectable | " + " | ".join(TRUTHS) + " |"
    yield "|---" * (3 + len(TRUTHS)) + "|"
    counts = {truth: tally(config, truth, draws) for truth in TRUTHS}
    for claim in CLAIMS:
        outcome, _ = first[claim.id]
        if isinstance(outcome, Missing):
            continue
        family = [first[other.id][0] for other in CLAIMS if other.tested_with == claim.tested_with]
        tests = sum(isinstance(member, Finding) and member.p is not None for member in family)
        sees, room = outcome.sees(LEVEL / tests), "–" if outcome.room is None else f"{outcome.room:.3g}"
        cells = [
            " ".join(f"{counts[truth][claim.id][verdict]}{letter}" for verdict, letter in LETTERS.items()
                     if counts[truth][claim.id][verdict])
            for truth in TRUTHS
        ]  # fmt: skip
        yield f"| {claim.id} | {room} | {sees or 0:.3g} {outcome.unit} | " + " | ".join(cells) + " |"
    absent = [claim for claim, (outcome, _) in first.items() if isinstance(outcome, Missing)]
    yield f"not declared in {config.name}: {', '.join(absent) or 'none'}"
