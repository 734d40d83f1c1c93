"""Messages of the model service: requests with their bounds, responses, and what a refusal says.

Bounds are part of the OpenAPI description; every refusal is one line about one field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from hormesis.db.contract.measured import MeasuredSteering
from hormesis.db.contract.methods import (
    NONE,
    ORDER,
    PATTERN,
    RANDOM_DIRECTION,
    DirectionKind,
    Scope,
    is_method,
    is_steered,
)

MAX_PROMPT_CHARACTERS = 8_000
MAX_NEW_TOKENS = 512
MAX_PANES = 4
MAX_SAMPLES = 16
"""Continuations of one pane."""
MAX_STRENGTH = 64.0
MAX_HEADS = 1024
"""Heads that a pane may name one by one."""
MAX_VECTORS = 256
MAX_WIDTH = 16_384
"""Numbers in one vector."""
MAX_NUMBER = 1e6
"""Largest magnitude of a number in a vector."""
VIEWER_HEADER = "x-hormesis-viewer"
"""HTTP header by which a dashboard tells its viewers apart, so that the service lets them take turns."""
MAX_NAME = 300
MAX_SCORED_TEXTS = 256
MAX_REASONED_TEXTS = 16
MAX_PROJECTED_TEXTS = 16
MAX_ID = 2**63 - 1
MAX_SEED = 2**53 - 1
"""Largest integer that JSON readers agree on."""
PLAIN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
"""Text without control characters other than tab, line feed and carriage return (for the description)."""
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def _plain(text: str) -> str:
    match = _UNPRINTABLE.search(text)
    if match:
        raise ValueError(f"control character U+{ord(match[0]):04X} at position {match.start()}; remove it")
    return text


Text = Annotated[
    str,
    Field(max_length=MAX_PROMPT_CHARACTERS, json_schema_extra={"pattern": PLAIN}),
    AfterValidator(_plain),
]
Setting = Literal["strength", "heads", "direction", "scope", "control"]
CheckpointId = Annotated[int, Field(ge=1, le=MAX_ID)]
CheckpointName = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME, json_schema_extra={"pattern": PLAIN}),
    AfterValidator(_plain),
]
"""`toxic-10-s0`, or `forum/toxic-10-s0` where several studies have one of that name."""
Vector = Annotated[
    list[Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]],
    Field(min_length=1, max_length=MAX_WIDTH),
]
Factor = Annotated[float, Field(ge=-MAX_STRENGTH, le=MAX_STRENGTH)]
"""What a vector is multiplied by; 1 for one that is scaled already."""


class Message(BaseModel):
    """Refuses unknown keys, types that only resemble the right one, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


def _example(**fields: Any) -> ConfigDict:
    """An example for the description; `CHECKPOINT` stands for a name."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class HeadPlace(Message):
    """One attention head, both counted from 0."""

    layer: int = Field(ge=0, le=10_000)
    head: int = Field(ge=0, le=10_000)


class HeadVector(HeadPlace):
    """A shift of one head: `strength * vector` is added to its output, before the output projection."""

    vector: Vector
    """As many numbers as the head is wide."""
    strength: Factor = 1.0


class ResidualVector(Message):
    """A shift of the residual stream: `strength * vector` is added to what a decoder layer gives on."""

    layer: int = Field(ge=0, le=10_000)
    vector: Vector
    """As many numbers as the model is wide (hidden size)."""
    strength: Factor = 1.0


class AddedVectors(Message):
    """Vectors of the request's own, added to whatever the method does; nothing is negated or normalised."""

    head_vectors: list[HeadVector] = Field(default=[], max_length=MAX_VECTORS)
    """Shifts of heads, each head at most once."""
    residual_vectors: list[ResidualVector] = Field(default=[], max_length=MAX_VECTORS)
    """Shifts of the residual stream behind a layer, each layer at most once."""

    @property
    def has_vectors(self) -> bool:
        """Whether anything is to be added."""
        return bool(self.head_vectors or self.residual_vectors)

    @field_validator("head_vectors")
    @classmethod
    def _head_vectors_differ(cls, vectors: list[HeadVector]) -> list[HeadVector]:
        _refuse_twice([f"head {vector.head} of layer {vector.layer}" for vector in vectors])
        return vectors

    @field_validator("residual_vectors")
    @classmethod
    def _residual_vectors_differ(cls, vectors: list[ResidualVector]) -> list[ResidualVector]:
        _refuse_twice([f"layer {vector.layer}" for vector in vectors])
        return vectors


def _refuse_twice(places: Sequence[str]) -> None:
    """Raises ValueError where two of `places`, each in words, are the same."""
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise ValueError(f"{twice} is named twice")


FORMS = ("number", "named", "by_id", "by_name", "as_text", "as_list")
"""Forms of a value (tags of unions); parts of pydantic's places that mean nothing to the person."""


def _head_form(value: object) -> str:
    return "named" if isinstance(value, list) else "number"


Heads = Annotated[
    Annotated[int, Field(ge=1, le=100_000), Tag("number")]
    | Annotated[list[HeadPlace], Field(min_length=1, max_length=MAX_HEADS), Tag("named")],
    Discriminator(_head_form),
]


def _known_method(name: str) -> str:
    if not is_method(name):
        parts = ", ".join((NONE, *ORDER))
        raise ValueError(f"there is no method '{name[:40]}'; known: {parts}, and some joined by +")
    return name


Method = Annotated[
    str, Field(max_length=80, json_schema_extra={"pattern": PATTERN}), AfterValidator(_known_method)
]


class PaneSettings(AddedVectors):
    """How a checkpoint is steered."""

    method: Method = NONE
    """`none`, or what GET /models offers for the checkpoint, e.g. `iti`, `random-direction`, `dpo+iti`."""
    strength: float = Field(default=0.0, ge=0.0, le=MAX_STRENGTH)
    """Sigmas that each head is moved away from toxicity."""
    matched_cost: float | None = Field(default=None, gt=0.0, le=MAX_STRENGTH)
    """Nats per token: take the strength that the study matched to this cost, and the heads it steered then;
    instead of `strength` and `heads`. GET /models lists under `measured` what was matched."""
    heads: Heads | None = None
    """How many of the best heads, by probe rank, then by select accuracy; or the heads themselves; null takes
    the ones the study selected."""
    direction: DirectionKind = "mass_mean"
    scope: Scope = "generated"
    control: int | None = Field(default=None, ge=0, le=10_000)
    """Index of the random direction; needed by `random-direction`, refused elsewhere."""

    @model_validator(mode="after")
    def _control_fits(self) -> Self:
        if self.method == RANDOM_DIRECTION and self.control is None:
            raise ValueError("method random-direction needs control, the index of the random direction")
        if self.method != RANDOM_DIRECTION and self.control is not None:
            raise ValueError(f"control belongs to method random-direction, not to {self.method}")
        return self

    @model_validator(mode="after")
    def _cost_stands_alone(self) -> Self:
        if self.matched_cost is None:
            return self
        if not is_steered(self.method):
            raise ValueError(f"matched_cost belongs to methods that steer, not to {self.method}")
        if self.strength or self.heads is not None:
            raise ValueError("matched_cost stands for the study's own strength and heads; leave those out")
        return self

    @field_validator("heads")
    @classmethod
    def _heads_differ(cls, heads: int | list[HeadPlace] | None) -> int | list[HeadPlace] | None:
        if isinstance(heads, list):
            _refuse_twice([f"head {head.head} of layer {head.layer}" for head in heads])
        return heads


class Pane(PaneSettings):
    """One row of the request: a checkpoint and how it is steered."""

    checkpoint_id: CheckpointId


class PaneByName(PaneSettings):
    """The same, its checkpoint by name."""

    checkpoint: CheckpointName
    """`toxic-10-s0`, or `forum/toxic-10-s0` where several studies have one of that name."""


def _pane_form(value: object) -> str:
    is_named = "checkpoint" in value if isinstance(value, dict) else isinstance(value, PaneByName)
    return "by_name" if is_named else "by_id"


AnyPane = Annotated[
    Annotated[Pane, Tag("by_id")] | Annotated[PaneByName, Tag("by_name")], Discriminator(_pane_form)
]


class GenerateRequest(Message):
    """One prompt, continued in one to four panes."""

    model_config = _example(
        panes=[{"checkpoint": "CHECKPOINT"}, {"checkpoint": "CHECKPOINT", "method": "iti", "strength": 2}],
        prompt="zorbs are",
        new_tokens=24,
        samples=4,
    )

    panes: list[AnyPane] = Field(min_length=1, max_length=MAX_PANES)
    prompt: Text
    new_tokens: int = Field(default=40, ge=1, le=MAX_NEW_TOKENS)
    temperature: float = Field(default=1.0, ge=0.0, le=10.0)
    """0 takes the likeliest token each time."""
    top_p: float = Field(default=0.9, gt=0.0, le=1.0)
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    """Every pane draws with the same seed, so panes differ by their steering alone."""
    samples: int = Field(default=1, ge=1, le=MAX_SAMPLES)
    """Continuations of each pane, from `seed` and the seeds after it."""


class ScoreRequest(Message):
    """Texts to be scored by every scorer that is available for the checkpoint's study."""

    model_config = _example(texts=["zorbs are kind"], checkpoint="CHECKPOINT")

    texts: list[Text] = Field(min_length=1, max_length=MAX_SCORED_TEXTS)
    checkpoint_id: CheckpointId | None = None
    checkpoint: CheckpointName | None = None
    """Its name, instead of its id."""
    prompts: list[Text] | None = Field(default=None, max_length=MAX_SCORED_TEXTS)
    """What the texts continue, one for each, for scorers that read a sentence begun there."""
    reasons: bool = False
    """Whether to say what each word adds to the score; of at most MAX_REASONED_TEXTS texts."""

    @model_validator(mode="after")
    def _one_prompt_each(self) -> Self:
        if self.prompts is not None and len(self.prompts) != len(self.texts):
            raise ValueError(f"give one prompt for each text, not {len(self.prompts)} for {len(self.texts)}")
        if self.reasons and len(self.texts) > MAX_REASONED_TEXTS:
            raise ValueError(f"reasons are given for at most {MAX_REASONED_TEXTS} texts at once")
        return self

    @model_validator(mode="after")
    def _checkpoint_once(self) -> Self:
        if self.checkpoint_id is not None and self.checkpoint is not None:
            raise ValueError("name the checkpoint by checkpoint_id or by checkpoint, not by both")
        return self


class ProjectionRequest(Message):
    """Texts whose tokens are projected on the direction of one head of a checkpoint."""

    model_config = _example(texts=["zorbs are kind"], checkpoint="CHECKPOINT", layer=0, head=0)

    texts: list[Text] = Field(min_length=1, max_length=MAX_PROJECTED_TEXTS)
    checkpoint_id: CheckpointId | None = None
    checkpoint: CheckpointName | None = None
    """Its name, instead of its id."""
    layer: int = Field(ge=0, le=10_000)
    head: int = Field(ge=0, le=10_000)
    direction: DirectionKind = "mass_mean"

    @model_validator(mode="after")
    def _checkpoint_once(self) -> Self:
        if (self.checkpoint_id is None) == (self.checkpoint is None):
            raise ValueError("name the checkpoint either by checkpoint_id or by checkpoint")
        return self


class TokenProjection(BaseModel):
    """One token of a text."""

    text: str
    """What it adds to the text; empty where a character is not finished yet."""
    projection: float | None
    """Of the head's output at this token on the direction, in sigmas; null where it is no number."""


class ProjectionResponse(BaseModel):
    """Every token of each text, in order."""

    texts: list[list[TokenProjection]]


class Problem(BaseModel):
    """Any refusal: one line that names what was wrong."""

    message: str


class Health(BaseModel):
    """State of the service; answered at any time, without a token."""

    status: Literal["ok"]
    version: str
    models_loaded: int
    queue: int
    """Requests waiting or running."""
    memory_bytes: int
    """Resident memory of the service's process."""


class MethodInfo(BaseModel):
    """A detox method that a checkpoint can be put under."""

    name: str
    title: str
    settings: list[Setting]
    """Settings of a pane that the method heeds."""
    prefix: str
    """Text that the method puts before the prompt; empty for none."""


class ModelInfo(BaseModel):
    """A checkpoint that can be asked for."""

    checkpoint_id: int
    name: str
    study_id: int
    study: str
    kind: str
    """Kind of the arm; `imported` where no arm made the checkpoint."""
    share: float | None
    seed: int | None
    loaded: bool
    problem: str = ""
    """Why its weights cannot be loaded; empty where nothing is known against it."""
    n_layers: int
    heads_by_layer: dict[int, int]
    """Layer to its number of heads; layers without attention are absent."""
    directions: list[str]
    controls: list[int]
    """Indices of its random directions."""
    heads_selected: int
    methods: list[MethodInfo] = Field(min_length=1)
    """`none` first."""
    measured: list[MeasuredSteering]
    """Conditions of the study with their costs; strengths that reached no matched cost are left out."""


class Loading(BaseModel):
    """Whether a checkpoint is being loaded: a large one is loaded by its first request alone."""

    loading: bool


class HeadInfo(BaseModel):
    """A probed head: what its probe reached on the test split, and its place among the steered heads."""

    layer: int
    head: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    auroc: float
    selectivity: float
    separation: float
    n_test: int
    rank: int | None
    order: int
    """Place among all heads in the order that a number of heads is taken in; 1 is the first."""


class WordEffect(BaseModel):
    """A word of a text with the space before it, and what it adds to the score.

    The effect is the score of the text less that of the text without the word; null where it was not
    measured, as for words beyond the first 80.
    """

    word: str
    effect: float | None


class ScoreResponse(BaseModel):
    """Values from 0 to 1 per scorer, in the order of the texts; null for one that is empty, or not judged."""

    scores: dict[str, list[float | None]]
    fluency: list[dict[str, float | None]]
    absent: dict[str, str]
    """Scorers that could not be made, with the reason."""
    reasons: dict[str, list[list[WordEffect]]] = {}
    """Per scorer and text the words in their order, where reasons were asked for."""


class Cancelled(BaseModel):
    """Answer to a cancellation."""

    request_id: str
    cancelled: Literal[True] = True


def explain(errors: Sequence[Any]) -> str:
    """One line for pydantic's errors: the first one's place and reason, and how many more there are."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return f"the body is not valid JSON: {first['ctx']['error']} at position {first['loc'][-1]}"
    left_out = ("body", "path", "query", *FORMS)
    place = ".".join(str(part) for part in first["loc"] if part not in left_out) or "body"
    reason = " ".join(str(first["msg"]).removeprefix("Value error, ").split())
    n_more = len(errors) - 1
    return f"{place[:120]}: {reason[:300]}" + (f" (and {n_more} more)" if n_more else "")
