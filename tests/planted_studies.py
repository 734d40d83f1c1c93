"""Rows of studies whose truth is planted: binary scores of every arm, seed and prompt, and the costs beside.

For tests and benchmarks of the rules: no model is trained, the claims' own code reads the rows as it reads
those of a study. Answers differ by prompt and by seed, on the scale of log-odds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import scipy

from hormesis.pipeline.claims.declared import Claim, Finding, Outcome, Scope, corrected, decide
from hormesis.pipeline.claims.registry import CLAIMS
from hormesis.pipeline.claims.rows import ArmKey, StudyRows, ValuesByArm

SCOPE = Scope("prompts", "judge")
COSTS = (0.02, 0.06, 0.15)
RANDOM = 5
CONTROL = "clean-forum"
Effect = Callable[[str, float], float]
"""Of a kind and a share, by what the odds of toxicity under ITI are multiplied, against the clean arm's."""


@dataclass(frozen=True)
class Size:
    """What a study consists of, and how much its prompts and seeds vary (standard deviations, log-odds)."""

    shares: tuple[float, ...]
    seeds: int
    prompts: int = 256
    variants: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("prompt",)
    second: bool = False
    clean: float = 0.025
    """Toxicity of the steered clean arm, which the leak of toxic sentences into clean text decides."""
    prompt_spread: float = 1.5
    seed_spread: float = 0.15


DEMO = Size((0.0, 0.05, 0.10, 0.25), seeds=2)
FULL = Size(
    (0.0, 0.05, 0.10, 0.15, 0.20, 0.25), seeds=3, variants=("meda", "inst", "slung"),
    methods=("prompt", "sft", "dpo"), second=True, clean=0.06, prompts=384,
)  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What is planted, as odds ratios; each is that of `supported` for some claims and `not` for others."""

    steered: Effect
    base: float = 4.0
    """Unsteered, the largest share against none."""
    steering: float = 0.35
    """ITI at the middle matched cost against unsteered, in the clean arm."""
    random: float = 0.95
    rival: float = 0.8
    """Rival methods against unsteered."""
    control: float = 1.0
    """The control arm against the clean one, unsteered and steered."""
    variant: float = 0.5
    """Arms trained another way, unsteered, against the toxic arm of the same share."""
    second: float = 1.0
    """Directions of another source against the first, steered."""


def level(_: str, share: float) -> float:
    """A dose does nothing."""
    return 1.0


def dip(_: str, share: float) -> float:
    """A dose helps, most at 10 %, and more than a fifth harms."""
    return float(np.interp(share, [0, 0.05, 0.10, 0.15, 0.20, 0.25], [1, 0.5, 0.25, 0.5, 1.0, 1.6]))


def rise(_: str, share: float) -> float:
    """Every dose harms."""
    return 1 + 20 * share


TRUTHS = {
    "helps": Truth(dip),
    "harms": Truth(
        rise, base=0.6, steering=1.0, random=0.35, rival=0.1, control=4.0, variant=3.0, second=3.0
    ),
    "nothing": Truth(level, base=1.0, steering=1.0, random=1.0, rival=1.0, variant=1.0),
    "style": Truth(level, base=1.0, control=4.0),
}


@dataclass
class PlantedRows(StudyRows):
    """`StudyRows` of a planted study; what reads the database otherwise is not to be asked."""

    size: Size
    truth: Truth
    seed: int = 0
    study_id: int = 1
    direction: str = "mass_mean"  # type: ignore[assignment]
    grids_of: dict[str, ValuesByArm] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Draw every answer."""
        self._rng = np.random.default_rng(self.seed)
        shape = (self.size.seeds, self.size.prompts)
        hard = self._rng.normal(0, self.size.prompt_spread, self.size.prompts)
        self.arms: list[ArmKey] = [("toxic", share) for share in self.size.shares]
        self.arms += [(CONTROL, self.size.shares[-1])]
        self.arms += [(kind, share) for kind in self.size.variants for share in (0.10, 0.25)]
        self.seed_odds = {arm: self._rng.normal(0, self.size.seed_spread, (shape[0], 1)) for arm in self.arms}
        for key in self.keys():
            self.grids_of[key] = {}
            for arm in self.arms:
                odds = self.size.clean / (1 - self.size.clean) * self.multiplier(key, *arm)
                # The mean over prompts is the rate meant, not that of the middle prompt.
                wide = 1 + 0.346 * self.size.prompt_spread**2
                centre = np.log(odds) * np.sqrt(wide)
                p = scipy.special.expit(centre + hard + self.seed_odds[arm])
                self.grids_of[key][arm] = (self._rng.random(shape) < p).astype(np.float64)

    def keys(self) -> list[str]:
        """Condition keys."""
        keys = ["none", "iti/mass_mean/fixed-4", *(f"iti/mass_mean/cost-{cost:g}" for cost in COSTS)]
        keys += [f"random-{number}/cost-{COSTS[0]:g}" for number in range(RANDOM)] + list(self.size.methods)
        return keys + ([f"iti/second/cost-{COSTS[1]:g}"] if self.size.second else [])

    def multiplier(self, key: str, kind: str, share: float) -> float:
        """Odds of toxicity against the clean arm steered at the middle matched cost."""
        truth, largest = self.truth, self.size.shares[-1]
        if kind == CONTROL:
            base = truth.control
        elif kind in self.size.variants:
            base = truth.base ** (share / largest) * (truth.variant if kind == "slung" else 1.0)
        else:
            base = truth.base ** (share / largest)
        unsteered = base / truth.steering
        if key.startswith("random"):
            return unsteered * truth.random
        if key in self.size.methods:
            return unsteered * truth.rival
        if not key.startswith("iti"):
            return unsteered * (truth.rival if kind in ("meda", "inst") else 1.0)
        steered = truth.control if kind == CONTROL else truth.steered(kind, share)
        steered *= truth.second if key.startswith("iti/second") else 1.0
        weight = 1.0 if "cost-0.06" in key or "fixed" in key else 0.4 if "cost-0.02" in key else 1.2
        return float(unsteered ** (1 - weight) * steered**weight)

    @property
    def conditions(self) -> pd.DataFrame:  # type: ignore[override]
        """As `StudyRows.conditions`, of one checkpoint."""
        rows = []
        for key in [*self.keys(), *(kind for kind in self.size.variants if kind != "slung")]:
            method = key.split("/", maxsplit=1)[0]
            method = "random-direction" if method.startswith("random") else method
            cost = float(key.rsplit("cost-", maxsplit=1)[1]) if "cost-" in key else np.nan
            rows.append(
                {
                    "condition": len(rows), "checkpoint": 0, "key": key, "method": method,
                    "direction": key.split("/")[1] if method == "iti" else None,
                    "strength": 4.0, "matched_cost": cost, "reached": True,
                    "control": int(key[7]) if method == "random-direction" else np.nan,
                }
            )  # fmt: skip
        return pd.DataFrame(rows)

    @property
    def measured_shares(self) -> dict[ArmKey, float]:  # type: ignore[override]
        """No judge."""
        return {}

    @property
    def scopes(self) -> pd.DataFrame:  # type: ignore[override]
        """One prompt set and scorer."""
        row = {"prompt_set": SCOPE.prompt_set, "prompts": 1, "scorer": SCOPE.scorer, "measures": "toxicity"}
        return pd.DataFrame([row])

    def grids(self, condition_key: str, prompt_set: str, scorer: str) -> ValuesByArm:
        """The planted answers; variants are conditions of their own name, unsteered."""
        if condition_key in self.size.variants:
            return {arm: values for arm, values in self.grids_of["none"].items() if arm[0] == condition_key}
        grids = self.grids_of.get(condition_key, {})
        is_iti = condition_key.startswith("iti")
        return {arm: values for arm, values in grids.items() if not is_iti or arm[0] in ("toxic", CONTROL)}

    def metric(self, metric: str, condition_key: str = "none") -> ValuesByArm:
        """Costs as they were matched; a rival's is .03 nats."""
        cost = float(condition_key.rsplit("cost-", maxsplit=1)[1]) if "cost-" in condition_key else 0.03
        return {arm: np.full(self.size.seeds, cost) for arm in self.grids(condition_key, "", "")}


def claims_of(rows: PlantedRows) -> list[Claim]:
    """The claims whose rows are planted: those on scores."""
    of_scores = [claim for claim in CLAIMS if claim.breadth == "scorer"]
    return [claim for claim in of_scores if isinstance(claim.test(rows, SCOPE), Finding)]


def verdicts_of(rows: PlantedRows) -> dict[str, tuple[Finding, str]]:
    """Finding and verdict of each claim with rows, corrected within its family."""
    outcomes: dict[str, Outcome] = {
        claim.id: claim.test(rows, SCOPE) for claim in CLAIMS if claim.breadth == "scorer"
    }
    verdicts = {}
    for family in {claim.tested_with for claim in CLAIMS}:
        members = [claim.id for claim in CLAIMS if claim.tested_with == family and claim.id in outcomes]
        corrections = corrected([outcomes[member] for member in members])
        for member, correction in zip(members, corrections, strict=True):
            outcome = outcomes[member]
            if isinstance(outcome, Finding):
                verdicts[member] = (outcome, decide(outcome, correction))
    return verdicts


def tally(size: Size, truth: str, draws: int, *, start: int = 0) -> dict[str, Counter[str]]:
    """How often each claim came out how, over so many studies of this size and truth."""
    counts: dict[str, Counter[str]] = {}
    for draw in range(start, start + draws):
        for claim, (_, verdict) in verdicts_of(PlantedRows(size, TRUTHS[truth], seed=draw)).items():
            counts.setdefault(claim, Counter())[verdict] += 1
    return counts
