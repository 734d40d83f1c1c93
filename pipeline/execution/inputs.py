"""Hash chain of a study: what its text, mixes, weights, probes and conditions depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hormesis.pipeline.execution.arms import ArmPlan
from hormesis.pipeline.execution.provenance import digest
from hormesis.pipeline.study.config import StudyConfig

CHECKPOINT_REVISIONS = "checkpoint"
"""Begins the names of revisions of checkpoints that were trained elsewhere."""
TUNING_VERSION = 1
TEXT_VERSION = 1
"""Raised whenever the making of text, mixes or weights changes, so that old files are not taken for new."""
HELDOUT_VERSION = 1
"""Raised whenever the choice of the held-out text that costs are measured on changes."""
PROBE_VERSION = 4
EVALUATION_VERSION = 4
HARDNESS_VERSION = 2
GEOMETRY_VERSION = 3
ATTACK_VERSION = 3
ITEMS_VERSION = 3
"""Raised whenever what is kept of the harness's tasks changes."""
SUMMARY_VERSION = 5
"""Raised whenever rows over seeds change, of studies or of toy experiments, or those of scorers by group."""


@dataclass(frozen=True)
class Inputs:
    """Hashes of everything each stage depends on. Equal hash, equal result; files are named by them."""

    config: StudyConfig
    revisions: Mapping[str, str]

    def settings(self, *section_names: str) -> dict[str, Any]:
        """These sections of the configuration, to be read only."""
        if section_names not in self._sections:
            dumped = self.config.model_dump(mode="json", include=set(section_names))
            self._sections[section_names] = dumped
        return self._sections[section_names]

    @cached_property
    def _sections(self) -> dict[tuple[str, ...], dict[str, Any]]:
        return {}

    def roles(self, *roles: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Source settings and data revisions of these roles."""
        settings = [s.model_dump(mode="json") for s in self.config.sources if s.role in roles]
        return settings, self.revisions_of(*roles)

    def revisions_of(self, *roles: str) -> dict[str, str]:
        """Data revisions of the sources of these roles."""
        return {k: v for k, v in sorted(self.revisions.items()) if k.partition("/")[0] in roles}

    @cached_property
    def corpus(self) -> str:
        """Hash of the tokenizer and the token pools: what arms are trained on, and the held-out windows."""
        roles = ("clean", "toxic", "informal", "heldout_clean", "heldout_toxic")
        section_names: tuple[str, ...] = ("tokenizer", "clean_tokens", "shares", "controls", "control_share")
        section_names += ("variants", "variant_shares", "annotation") if self.config.variants else ()
        settings = self.settings(*section_names, "allow_repetition", "holdout_documents")
        heldout_tokens = self.config.evaluation.heldout_tokens
        parts: list[Any] = [settings, heldout_tokens, self.roles(*roles)]
        if self.config.variants and self.config.annotation.scorer:
            parts.append(self.roles("scorer", "scoring"))
        if self.config.decontaminate:
            limits = (self.config.probe.limit, self.config.evaluation.prompt_limit)
            parts.append(["decontaminate", limits, self.roles("probe", "prompts")])
        if self.config.sample_text:
            parts.append(["sample_text", self.config.seeds])
        return digest("corpus", TEXT_VERSION, *parts)

    @cached_property
    def text(self) -> str:
        """Hash of all that the study reads: corpus, held-out documents, probe set, prompts and scorer."""
        evaluation, probe = self.config.evaluation, self.config.probe
        limits = (evaluation.prompt_limit, evaluation.heldout_tokens, "tfidf" in evaluation.scorers)
        splits = (probe.limit, probe.select_fraction, probe.test_fraction)
        roles = self.roles("probe", "prompts", "scorer")
        judge = self.config.heldout_scorer
        heldout = (HELDOUT_VERSION, judge, self.revisions.get(f"scoring/{judge}"))
        return digest("text", TEXT_VERSION, self.corpus, limits, splits, roles, heldout)

    def mix(self, arm: ArmPlan) -> str:
        """Hash of one arm's token bin."""
        if arm.marked:
            return digest("mix", self.corpus, arm.kind, arm.share, arm.seed)
        return digest("mix", self.corpus, arm.added_role, arm.share, arm.seed)

    def model(self, arm: ArmPlan) -> str:
        """Folder, file, or hub name with its commit, of an arm that was trained elsewhere; else empty."""
        if arm.checkpoint is None:
            return ""
        revision = self.revisions[f"{CHECKPOINT_REVISIONS}/{arm.name}"]
        location = arm.checkpoint.location
        return location if Path(location).exists() else f"{location}@{revision}"

    def train(self, arm: ArmPlan) -> str:
        """Hash of one arm's weights."""
        if arm.checkpoint is not None:
            return digest("checkpoint", self.revisions[f"{CHECKPOINT_REVISIONS}/{arm.name}"])
        return digest("train", self.mix(arm), arm.seed, self.settings("scale", "training"))

    def probe(self, weights_hash: str) -> str:
        """Hash of the probes and directions of the checkpoint with these weights."""
        pairs = [self.roles("pairs")] if self.config.has_paraphrases else []
        return digest("probe", PROBE_VERSION, self.text, weights_hash, self.settings("probe"), *pairs)

    def probes_and_nulls(self, weights_hash: str) -> str:
        """Hash of the same and of the null directions, where the study draws others than isotropic ones."""
        steering = self.config.steering
        if steering.null_kinds == ("isotropic",):
            return self.probe(weights_hash)
        nulls = (sorted(steering.null_kinds), steering.random_directions, steering.direction)
        return digest("nulls", self.probe(weights_hash), nulls)

    @cached_property
    def pairs(self) -> str:
        """Hash of the pairs that checkpoints are fine-tuned on."""
        return digest("pairs", TUNING_VERSION, self.roles("pairs", "prompts"), self.config.methods.pairs)

    def tune(self, weights_hash: str, method: str) -> str:
        """Hash of the weights of a checkpoint after `sft` or `dpo`."""
        settings = getattr(self.config.methods, method).model_dump(mode="json")
        return digest("tune", TUNING_VERSION, self.pairs, weights_hash, method, settings)

    def second(self, weights_hash: str) -> str:
        """Hash of the directions of a checkpoint from the second source of labelled statements."""
        return digest("second", PROBE_VERSION, self.roles("directions"), weights_hash, self.settings("probe"))

    def methods(self, weights_hash: str) -> str:
        """Hash of everything that methods need of a checkpoint beside its probes: tuned weights, second
        directions.
        """
        methods = self.config.methods
        second_hash = self.second(weights_hash) if methods.second_directions else None
        tuned_hashes = [self.tune(weights_hash, method) for method in methods.tuned]
        return digest("methods", self.probe(weights_hash), tuned_hashes, second_hash)

    def condition(self, weights_hash: str) -> str:
        """Hash of the strengths found for a checkpoint and their costs."""
        evaluation = self.config.evaluation
        rest = (evaluation.heldout_tokens, evaluation.bootstrap, self.config.variants)
        chosen = (self.settings("steering", "methods"), self.methods(weights_hash))
        precision = () if evaluation.precision == "float32" else (evaluation.precision,)
        return digest("condition", EVALUATION_VERSION, self.probe(weights_hash), chosen, rest, *precision)

    def generate(self, weights_hash: str) -> str:
        """Hash of all of a checkpoint's generations."""
        return digest("generate", self.condition(weights_hash), self._decoding)

    def generation(self, weights_hash: str, condition: list[Any]) -> str:
        """Hash of what a checkpoint says under one condition: a method more in a study leaves the texts of
        the others alone.
        """
        steered = (self.probe(weights_hash), self.second(weights_hash), self.config.steering.scope)
        return digest("generation", self.text, steered, self._decoding, weights_hash, condition)

    @cached_property
    def _decoding(self) -> dict[str, Any]:
        evaluation = self.settings("evaluation")["evaluation"]
        return {k: v for k, v in evaluation.items() if k not in ("scorers", "bootstrap", "precision")}

    def geometry(self, weights_hash: str) -> str:
        """Hash of a checkpoint's probes, of which direction is compared, and of this measure's version."""
        direction = self.config.steering.direction
        other = [] if direction == "mass_mean" else [direction]
        return digest("geometry", GEOMETRY_VERSION, self.probe(weights_hash), *other)

    def score(self, weights_hash: str) -> str:
        """Hash of a checkpoint's generations, the evaluation settings and the revisions of the scorers."""
        generations, scorers = self.generate(weights_hash), self.revisions_of("scoring")
        return digest("score", EVALUATION_VERSION, generations, self.settings("evaluation"), scorers)

    def capability(self, weights_hash: str) -> str:
        """Hash of the conditions of the checkpoint with these weights, the settings, files and sources."""
        settings, files = self.settings("capability"), self.files("capability")
        roles = self.roles("heldout_clean", "heldout_toxic")
        of_harness = (ITEMS_VERSION,) if self.config.capability.harness else ()
        conditions = self.condition(weights_hash)
        return digest("capability", HARDNESS_VERSION, conditions, settings, files, roles, *of_harness)

    def attack(self, weights_hash: str) -> str:
        """Hash of what all attacks depend on, the settings of all but `relearn`, and their files."""
        hardness = self.config.hardness
        settings = hardness.model_dump(mode="json", exclude={"relearn"}) | {"attacks": hardness.texts}
        attacked = self.attacked(weights_hash)
        return digest("attack", ATTACK_VERSION, attacked, settings, self.files("hardness"))

    def relearn(self, weights_hash: str) -> str:
        """Hash of what all attacks depend on, the relearning settings and the sources of toxic text."""
        settings = self.config.hardness.model_dump(mode="json", include={"relearn", "conditions"})
        attacked = self.attacked(weights_hash)
        return digest("relearn", attacked, settings, self.roles("toxic", "heldout_toxic"))

    def attacked(self, weights_hash: str) -> str:
        """Hash of what all attacks share: conditions, how texts are made, and who judges them."""
        evaluation, scorers = self.settings("evaluation"), self.revisions_of("scoring")
        return digest(HARDNESS_VERSION, self.condition(weights_hash), evaluation, self.text, scorers)

    def files(self, section: str) -> dict[str, str]:
        """Hashes of the files that a section names for itself."""
        return {k: v for k, v in sorted(self.revisions.items()) if k.startswith(f"{section}/")}
