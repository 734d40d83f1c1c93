"""Messages of the OpenAI-style routes: completions and names of models, with their bounds.

The fields are those of OpenAI's legacy completions. What is not known here is ignored, as such servers do,
unless it would change the text that comes back: then it is refused, and never dropped without a word.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic import model_validator as validator_of_model

from hormesis.db.contract.messages import MAX_NAME, MAX_NEW_TOKENS, PLAIN, AddedVectors, CheckpointName, Text

MAX_CHOICES = 32
"""Prompts times `n`: rows of the one pass that serves a request."""
MAX_STOPS = 16
MAX_STOP_CHARACTERS = 100
DEFAULT_TOKENS = 16
"""What OpenAI's completions take where `max_tokens` is left out."""
_OFF: Final = (None, False)
_ZERO: Final = (None, 0)
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})
WITHOUT_EFFECT: Final[dict[str, tuple[Any, ...]]] = {
    "logprobs": _OFF,
    "prompt_logprobs": _OFF,
    "echo": _OFF,
    "suffix": _EMPTY,
    "logit_bias": _EMPTY,
    "frequency_penalty": _ZERO,
    "presence_penalty": _ZERO,
    "repetition_penalty": (None, 1),
    "length_penalty": (None, 1),
    "top_k": (None, 0, -1),
    "min_p": _ZERO,
    "typical_p": (None, 1),
    "min_tokens": _ZERO,
    "use_beam_search": _OFF,
    "ignore_eos": _OFF,
    "include_stop_str_in_output": _OFF,
    "stop_token_ids": _EMPTY,
    "bad_words": _EMPTY,
    "allowed_token_ids": _EMPTY,
    "skip_special_tokens": (None, True),
    "add_special_tokens": (None, True),
    "truncate_prompt_tokens": _OFF,
    "prompt_embeds": _EMPTY,
    "messages": _EMPTY,
    "tools": _EMPTY,
    "response_format": (None, {"type": "text"}),
    "structured_outputs": _EMPTY,
    "guided_json": _EMPTY,
    "guided_regex": _EMPTY,
    "guided_choice": _EMPTY,
    "guided_grammar": _EMPTY,
    "grammar": _EMPTY,
}
"""Fields of such requests that are not served, each with the values that ask for nothing."""


def _form(value: object) -> str:
    return "as_list" if isinstance(value, list) else "as_text"


def _asks_for_nothing(value: object, harmless: tuple[Any, ...]) -> bool:
    """Whether a value is among the harmless ones; 0 and false are different here (`logprobs: 0` asks)."""
    return any(type(value) is type(other) and value == other for other in harmless) or (
        type(value) is float and value in [other for other in harmless if type(other) is int]
    )


def _no_token_ids(value: object) -> object:
    if isinstance(value, list) and any(isinstance(part, int | list) for part in value):
        raise ValueError("token ids are not taken; send the text")
    return value


def _without_repeats(stops: str | list[str] | None) -> str | list[str] | None:
    return list(dict.fromkeys(stops)) if isinstance(stops, list) else stops


Prompts = Annotated[
    Annotated[Text, Tag("as_text")]
    | Annotated[list[Text], Field(min_length=1, max_length=MAX_CHOICES), Tag("as_list")],
    Discriminator(_form),
    BeforeValidator(_no_token_ids),
]
Stop = Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARACTERS)]
Stops = Annotated[
    Annotated[Stop, Tag("as_text")] | Annotated[list[Stop], Field(max_length=MAX_STOPS), Tag("as_list")],
    Discriminator(_form),
]


class StreamOptions(BaseModel):
    """What a stream says beside the text."""

    model_config = ConfigDict(strict=True, use_attribute_docstrings=True)

    include_usage: bool | None = False
    """Send the counts of tokens in a last chunk without choices."""


class CompletionRequest(AddedVectors):
    """Prompts to be continued by a model under the condition that its name says.

    Other fields are ignored, unless they would change the text: `logprobs`, `echo`, `suffix`, `logit_bias`,
    penalties, other samplers and constraints are refused where they ask for anything.
    """

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [{"model": "MODEL", "prompt": "zorbs are", "max_tokens": 24, "temperature": 0}]
        },
    )

    model: CheckpointName
    """A name that GET /v1/models lists: a checkpoint, or one under a stored condition."""
    prompt: Prompts
    """One text, or several."""
    max_tokens: Annotated[int, Field(ge=1, le=MAX_NEW_TOKENS)] | None = DEFAULT_TOKENS
    temperature: Annotated[float, Field(ge=0.0, le=10.0)] | None = 1.0
    """0 takes the likeliest token each time."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = 1.0
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = 1
    """Continuations of each prompt; prompts times n are at most 32."""
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    """The k-th continuation of every prompt draws with seed + k; null draws anew each time."""
    stop: Annotated[Stops, AfterValidator(_without_repeats)] | None = None
    """Text that ends a continuation and is no part of it."""
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    best_of: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    """Must be n: nothing is thrown away here."""
    user: str | None = Field(default=None, max_length=MAX_NAME, json_schema_extra={"pattern": PLAIN})
    """Ignored."""

    @property
    def prompts(self) -> list[str]:
        """All prompts, in order."""
        return self.prompt if isinstance(self.prompt, list) else [self.prompt]

    @property
    def stops(self) -> list[str]:
        """All stop strings."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def count(self) -> int:
        """Continuations of each prompt."""
        return self.n or 1

    @validator_of_model(mode="after")
    def _can_be_served(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if name in WITHOUT_EFFECT and not _asks_for_nothing(value, WITHOUT_EFFECT[name]):
                raise ValueError(f"{name} is not served here; leave it out")
        if self.best_of not in (None, self.count):
            raise ValueError(f"best_of must be n ({self.count}), or left out")
        if len(self.prompts) * self.count > MAX_CHOICES:
            raise ValueError(
                f"{len(self.prompts)} prompts times n = {self.count} are more than {MAX_CHOICES} texts"
            )
        return self


class Choice(BaseModel):
    """One continuation; those of the first prompt come first."""

    index: int
    text: str
    logprobs: None = None
    finish_reason: Literal["stop", "length"] | None
    """`stop`: the model ended the text itself, or a stop string came; null in chunks before the last."""


class Usage(BaseModel):
    """Tokens read and generated; a prompt counts once, with the text that its condition puts before it."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(BaseModel):
    """The whole answer, or one chunk of a stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    """The name in its listed form."""
    choices: list[Choice]
    usage: Usage | None = None


class Model(BaseModel):
    """A name that can be asked for."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "hormesis"
    checkpoint_id: int
    condition: str
    """Stored key of the condition; `none` for the checkpoint alone."""


class ModelList(BaseModel):
    """Every name: each checkpoint, followed by its conditions."""

    object: Literal["list"] = "list"
    data: list[Model]


class ApiError(BaseModel):
    """A refusal as OpenAI's clients read it; `message` is one line."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ApiProblem(BaseModel):
    """Any refusal of the OpenAI-style routes."""

    error: ApiError
