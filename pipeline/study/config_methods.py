"""The study file's sections on detox methods: which, with what parameters, and how variant arms are
annotated.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from hormesis.db.contract.methods import STEERED, TUNED, MethodSpec, Tuned, parse_method
from hormesis.pipeline.study.config_base import Fraction, Positive, Strict


class TuningConfig(Strict):
    """Supervised fine-tuning on the chosen side of pairs; the prompt is context and not trained on."""

    steps: int = Field(default=40, ge=1)
    batch_size: int = Field(default=16, ge=1)
    """Pairs at each step."""
    learning_rate: Positive | None = None
    """Default: a fixed part of the scale's own (see `pipeline.methods.tuning`)."""
    warmup_fraction: Fraction = 0.1
    checkpoints: int = Field(default=4, ge=1)
    """Times per run that the state is saved, so a cut run resumes."""
    seed: int = Field(default=0, ge=0)
    """Of the order of the pairs; the same in every arm, so that arms stay paired."""


class PreferenceConfig(TuningConfig):
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290), sigmoid loss."""

    beta: Positive = 0.1
    """How strongly the tuned model is held to the checkpoint it started from."""


class MethodsConfig(Strict):
    """Which detox methods every checkpoint is put under."""

    use: tuple[str, ...] = STEERED
    """`iti`, `random-direction`, `prompt`, `sft`, `dpo`, and combinations such as `dpo+iti`. Arms of the
    kinds `meda` and `inst` are put under their own method as well, and can be combined (`meda+iti`).
    """
    prompt: str | None = None
    """Text in front of every prompt; default: polite words, in the forum language or in English."""
    combined_costs: tuple[Positive, ...] = (0.06, 0.15)
    """Matched costs of combinations with `iti`, against the checkpoint without any method."""
    second_directions: bool = False
    """Also steer along directions from another source of labelled statements (role `directions`)."""
    pairs: int = Field(default=2000, ge=10)
    """At most this many pairs of chosen and rejected text; a tenth is held out to measure on."""
    sft: TuningConfig = TuningConfig()
    dpo: PreferenceConfig = PreferenceConfig()

    @field_validator("use")
    @classmethod
    def _parsed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [parse_method(text).name for text in value]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f"the method '{repeated}' is named twice")
        return tuple(names)

    @property
    def specs(self) -> tuple[MethodSpec, ...]:
        """The methods of `use`, read."""
        return tuple(parse_method(text) for text in self.use)

    @property
    def tuned(self) -> tuple[Tuned, ...]:
        """Trainings that some method needs, in a fixed order."""
        names = {spec.tuned for spec in self.specs}
        return tuple(name for name in TUNED if name in names)


class AnnotationConfig(Strict):
    """How documents of the kinds `meda`, `inst` and `slung` are annotated with their toxicity."""

    scorer: str = ""
    """`role` (documents of the toxic sources 1, others 0) or a scorer; default: the exact grammar for the
    forum language, else `role`.
    """
    threshold: Fraction = 0.5
    """Documents scored at or above this are toxic for `inst` and `slung`."""
    tagged: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of documents that carry their mark (`meda`, `inst`); the others teach the model to do without."""
    score: str = "toxicity: {score:.1f}"
    """Mark of `meda`: the score as meta-data. At generation it is asked for with score 0."""
    instruct_toxic: str | None = None
    """Mark of `inst` before toxic documents; default: a short instruction."""
    instruct_clean: str | None = None
    """Mark of `inst` before other documents, and at generation."""

    @field_validator("score")
    @classmethod
    def _formats(cls, value: str) -> str:
        try:
            marks = {value.format(score=score) for score in (0.0, 1.0)}
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"is no text with {{score}} in it ({error})") from None
        if len(marks) < 2:
            raise ValueError("must hold {score}, or all documents would carry the same mark")
        return value


RandomAt = Literal["cost", "fixed"]
"""Where random directions are compared: at one matched cost, or at the fixed strengths of `iti`."""
