"""Putting a study, its arms and its stages on the books, and the hashes that chain one stage to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select

from db.schema import Arm, Study
from db.write import read_session, write_session
from pipeline.config import StudyConfig
from pipeline.config_hardness import Chosen
from pipeline.context import ArmPlan
from pipeline.provenance import digest
from pipeline.stage import Stage

TUNING_VERSION = 1
TEXT_VERSION = 1
"""Raised whenever the making of text, mixes or weights changes, so that old files are not taken for new."""
PROBE_VERSION = 2
GEOMETRY_VERSION = 2
EVALUATION_VERSION = 1
HARDNESS_VERSION = 1
ATTACK_VERSION = 2


def register(engine: Engine, config: StudyConfig) -> int:
    """Id of the study with this configuration; written on first sight, untouched afterwards."""
    query = select(Study.id).where(Study.hash == config.hash)
    with read_session(engine) as session:
        found = session.scalar(query)
    if found is not None:
        return found
    with write_session(engine) as session:
        found = session.scalar(query)
        if found is not None:  # a second process was first
            return found
        study = Study(
            hash=config.hash,
            name=config.name,
            scale=config.scale,
            config=config.model_dump(mode="json"),
            data_revisions={},
        )
        session.add(study)
        session.flush()
        return study.id


def arm_id(engine: Engine, study_id: int, plan: ArmPlan) -> int:
    """Id of an arm; its row is written on first sight."""
    query = select(Arm.id).where(Arm.study_id == study_id, Arm.name == plan.name)
    with read_session(engine) as session:
        found = session.scalar(query)
    if found is not None:
        return found
    with write_session(engine) as session:
        arm = Arm(
            study_id=study_id,
            name=plan.name,
            kind=plan.kind,
            share=plan.share,
            seed=plan.seed,
            composition={},
        )
        session.add(arm)
        session.flush()
        return arm.id


@dataclass(frozen=True)
class Inputs:
    """Hashes of everything each stage depends on. Equal hash, equal result; files are named by them."""

    config: StudyConfig
    revisions: Mapping[str, str]

    def _dump(self, *names: str) -> dict[str, Any]:
        return self.config.model_dump(mode="json", include=set(names))

    def _roles(self, *roles: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Source settings and data revisions of these roles."""
        settings = [s.model_dump(mode="json") for s in self.config.sources if s.role in roles]
        revisions = {k: v for k, v in sorted(self.revisions.items()) if k.split("/")[0] in roles}
        return settings, revisions

    @property
    def corpus(self) -> str:
        """Of the tokenizer and the token pools: what every arm is trained on and its held-out windows."""
        roles = ("clean", "toxic", "informal", "heldout_clean", "heldout_toxic")
        names: tuple[str, ...] = ("tokenizer", "clean_tokens", "shares", "controls", "control_share")
        names += ("variants", "variant_shares", "annotation") if self.config.variants else ()
        kept = self._dump(*names, "allow_repetition", "holdout_documents")
        heldout = self.config.evaluation.heldout_tokens
        parts: list[Any] = [kept, heldout, self._roles(*roles)]
        if self.config.variants and self.config.annotation.scorer:
            parts.append(self._roles("scorer", "scoring"))
        return digest("corpus", TEXT_VERSION, *parts)

    @property
    def text(self) -> str:
        """Of everything the study reads: the corpus, held-out documents, probe set, prompts and scorer."""
        evaluation, probe = self.config.evaluation, self.config.probe
        limits = (evaluation.prompt_limit, evaluation.heldout_tokens, "tfidf" in evaluation.scorers)
        splits = (probe.limit, probe.select_fraction, probe.test_fraction)
        return digest(
            "text", TEXT_VERSION, self.corpus, limits, splits, self._roles("probe", "prompts", "scorer")
        )

    def mix(self, arm: ArmPlan) -> str:
        """Of one arm's token bin."""
        if arm.marked:
            return digest("mix", self.corpus, arm.kind, arm.share, arm.seed)
        return digest("mix", self.corpus, arm.added_role, arm.share, arm.seed)

    def train(self, arm: ArmPlan) -> str:
        """Of one arm's weights."""
        return digest("train", self.mix(arm), arm.seed, self._dump("scale", "training"))

    def probe(self, weights: str) -> str:
        """Of the probes and directions of the checkpoint with these weights."""
        return digest("probe", PROBE_VERSION, self.text, weights, self._dump("probe"))

    @property
    def pairs(self) -> str:
        """Of the pairs that checkpoints are fine-tuned on."""
        return digest("pairs", TUNING_VERSION, self._roles("pairs", "prompts"), self.config.methods.pairs)

    def tune(self, weights: str, name: str) -> str:
        """Of the weights of a checkpoint after `sft` or `dpo`."""
        settings = getattr(self.config.methods, name).model_dump(mode="json")
        return digest("tune", TUNING_VERSION, self.pairs, weights, name, settings)

    def second(self, weights: str) -> str:
        """Of the directions of a checkpoint from the second source of labelled statements."""
        return digest("second", PROBE_VERSION, self._roles("directions"), weights, self._dump("probe"))

    def methods(self, weights: str) -> str:
        """Of everything that methods need of a checkpoint beside its probes: tuned weights, second
        directions.
        """
        methods = self.config.methods
        second = self.second(weights) if methods.second_directions else None
        return digest("methods", self.probe(weights), [self.tune(weights, n) for n in methods.tuned], second)

    def geometry(self, weights: str) -> str:
        """Of how toxicity lies among other features in a checkpoint's heads, and of their words."""
        return digest("geometry", GEOMETRY_VERSION, self.probe(weights))

    def condition(self, weights: str) -> str:
        """Of the strengths found for a checkpoint and their costs."""
        evaluation = self.config.evaluation
        rest = (evaluation.heldout_tokens, evaluation.bootstrap, self.config.variants)
        chosen = (self._dump("steering", "methods"), self.methods(weights))
        return digest("condition", EVALUATION_VERSION, self.probe(weights), chosen, rest)

    def generate(self, weights: str) -> str:
        """Of all of a checkpoint's generations."""
        return digest("generate", self.condition(weights), self._decoding)

    def generation(self, weights: str, condition: list[Any]) -> str:
        """Of what a checkpoint says under one condition: a method more in a study leaves the others' texts
        alone.
        """
        steered = (self.probe(weights), self.second(weights), self.config.steering.scope)
        return digest("generation", self.text, steered, self._decoding, weights, condition)

    @property
    def _decoding(self) -> dict[str, Any]:
        evaluation = self._dump("evaluation")["evaluation"]
        return {k: v for k, v in evaluation.items() if k not in ("scorers", "bootstrap")}

    def score(self, weights: str) -> str:
        """Of a checkpoint's scores and metrics; a new revision of a scorer means scoring again."""
        revisions = self._roles("scoring")[1]
        return digest(
            "score", EVALUATION_VERSION, self.generate(weights), self._dump("evaluation"), revisions
        )

    def attack(self, weights: str) -> str:
        """Of the attacks on a checkpoint that only need it as it is."""
        asked = self.config.hardness.model_dump(mode="json", exclude={"relearn"})
        asked["attacks"] = self.config.hardness.texts
        return digest("attack", ATTACK_VERSION, self._hard(weights), asked, self._files("hardness"))

    def relearn(self, weights: str) -> str:
        """Of how long a checkpoint's detox withstands fine-tuning."""
        asked = self.config.hardness.model_dump(mode="json", include={"relearn", "conditions"})
        return digest("relearn", self._hard(weights), asked, self._roles("toxic", "heldout_toxic"))

    def capability(self, weights: str) -> str:
        """Of what the conditions of a checkpoint can still do."""
        asked, files = self._dump("capability"), self._files("capability")
        roles = self._roles("heldout_clean", "heldout_toxic")
        return digest("capability", HARDNESS_VERSION, self.condition(weights), asked, files, roles)

    def _hard(self, weights: str) -> str:
        """Of what all attacks share: conditions, how texts are made, and who judges them."""
        evaluation, text = self._dump("evaluation"), self.text
        return digest(HARDNESS_VERSION, self.condition(weights), evaluation, text, self._roles("scoring")[1])

    def _files(self, section: str) -> dict[str, str]:
        """Hashes of the files that a section names for itself."""
        return {k: v for k, v in sorted(self.revisions.items()) if k.startswith(f"{section}/")}

    def project(self, done: list[str]) -> str:
        """Of the study's projections, over the checkpoints probed; `done` are their stages' hashes."""
        return digest("project", PROBE_VERSION, sorted(done), self._dump("projection"))


def arm_stages(inputs: Inputs, arm: ArmPlan) -> list[Stage]:
    """The stages of one arm, in order."""
    weights = inputs.train(arm)
    made = [Stage("mix", arm.name, inputs.mix(arm)), Stage("train", arm.name, weights)]
    return made + checkpoint_stages(inputs, arm.name, weights, arm)


def hardness_stages(inputs: Inputs, weights: str, arm: ArmPlan | None) -> dict[str, str]:
    """Hashes of the capability and attack stages that a study asks for, for an arm or an imported model."""
    hardness, capability = inputs.config.hardness, inputs.config.capability

    def chosen(section: Chosen) -> bool:
        return arm is None or section.wants_arm(arm.kind, arm.share, arm.seed)

    made = {"capability": inputs.capability(weights)} if capability.wanted and chosen(capability) else {}
    if chosen(hardness):
        made |= {"attack": inputs.attack(weights)} if hardness.texts else {}
        made |= {"relearn": inputs.relearn(weights)} if "relearn" in hardness.attacks else {}
    return made


def checkpoint_stages(inputs: Inputs, name: str, weights: str, arm: ArmPlan | None = None) -> list[Stage]:
    """The stages of a checkpoint once its weights exist, in order; `arm` is None for an imported one."""
    methods = inputs.config.methods
    needed = {"methods": inputs.methods(weights)} if methods.tuned or methods.second_directions else {}
    hashes = {
        "probe": inputs.probe(weights),
        "geometry": inputs.geometry(weights),
        **needed,
        "condition": inputs.condition(weights),
        "generate": inputs.generate(weights),
        "score": inputs.score(weights),
        **hardness_stages(inputs, weights, arm),
    }
    return [Stage(stage, name, key) for stage, key in hashes.items()]
