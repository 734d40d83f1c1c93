"""Putting a study, its arms and its stages on the books, and the hashes that chain one stage to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select

from db.schema import Arm, Study
from db.write import read_session, write_session
from pipeline.config import StudyConfig
from pipeline.context import ArmPlan
from pipeline.provenance import digest
from pipeline.stage import Stage

TEXT_VERSION = 1
"""Raised whenever the making of text, mixes or weights changes, so that old files are not taken for new."""
PROBE_VERSION = 1
EVALUATION_VERSION = 1


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
        names = ("tokenizer", "clean_tokens", "shares", "controls", "control_share")
        kept = self._dump(*names, "allow_repetition", "holdout_documents")
        heldout = self.config.evaluation.heldout_tokens
        return digest("corpus", TEXT_VERSION, kept, heldout, self._roles(*roles))

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
        return digest("mix", self.corpus, arm.added_role, arm.share, arm.seed)

    def train(self, arm: ArmPlan) -> str:
        """Of one arm's weights."""
        return digest("train", self.mix(arm), arm.seed, self._dump("scale", "training"))

    def probe(self, weights: str) -> str:
        """Of the probes and directions of the checkpoint with these weights."""
        return digest("probe", PROBE_VERSION, self.text, weights, self._dump("probe"))

    def condition(self, weights: str) -> str:
        """Of the strengths found for a checkpoint and their costs."""
        evaluation = self.config.evaluation
        rest = (evaluation.heldout_tokens, evaluation.bootstrap)
        return digest("condition", EVALUATION_VERSION, self.probe(weights), self._dump("steering"), rest)

    def generate(self, weights: str) -> str:
        """Of a checkpoint's generations."""
        evaluation = self._dump("evaluation")["evaluation"]
        kept = {k: v for k, v in evaluation.items() if k not in ("scorers", "bootstrap")}
        return digest("generate", self.condition(weights), kept)

    def score(self, weights: str) -> str:
        """Of a checkpoint's scores and metrics."""
        return digest("score", EVALUATION_VERSION, self.generate(weights), self._dump("evaluation"))

    def project(self, done: list[str]) -> str:
        """Of the study's projections, over the checkpoints probed; `done` are their stages' hashes."""
        return digest("project", PROBE_VERSION, sorted(done), self._dump("projection"))


def arm_stages(inputs: Inputs, arm: ArmPlan) -> list[Stage]:
    """The stages of one arm, in order."""
    weights = inputs.train(arm)
    made = [Stage("mix", arm.name, inputs.mix(arm)), Stage("train", arm.name, weights)]
    return made + checkpoint_stages(inputs, arm.name, weights)


def checkpoint_stages(inputs: Inputs, name: str, weights: str) -> list[Stage]:
    """The stages of a checkpoint once its weights exist, in order."""
    hashes = {
        "probe": inputs.probe(weights),
        "condition": inputs.condition(weights),
        "generate": inputs.generate(weights),
        "score": inputs.score(weights),
    }
    return [Stage(stage, name, key) for stage, key in hashes.items()]
