"""What every section of a study file shares: bounded numbers, lists without repeats, fields added later.

Every number of a configuration is of a type with both ends, and every list of a type that tells its members
apart as keys do (tests/pipeline/study/test_bounds.py): what could not be run is refused when it is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticUndefined

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Part = Annotated[float, Field(gt=0.0, lt=1.0)]
"""A share of something of which a rest is left."""
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
"""Added tokens / all tokens; some are clean."""
Positive = Annotated[float, Field(ge=1e-9, le=1e9)]
Weight = Annotated[float, Field(ge=0.0, le=1e3)]
Rate = Annotated[float, Field(ge=1e-12, le=1e3)]
"""A learning rate."""
Cost = Annotated[float, Field(ge=1e-6, le=100.0)]
"""Nats per token."""
Temperature = Annotated[float, Field(ge=0.0, le=100.0)]
Nucleus = Annotated[float, Field(gt=0.0, le=1.0)]
"""Top-p (Holtzman et al. 2020)."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What numpy, torch and the database all take."""
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountOrNone = Annotated[int, Field(ge=0, le=1_000_000)]
"""May be 0."""
Rows = Annotated[int, Field(ge=1, le=10**12)]
Tokens = Annotated[int, Field(ge=1, le=131_072)]
"""Tokens that a model reads or writes at a time."""
Batch = Annotated[int, Field(ge=1, le=65_536)]
Draws = Annotated[int, Field(ge=50, le=100_000)]
"""Resamples of a bootstrap."""
Number = Annotated[float, Field(ge=-1e308, le=1e308)]
"""Any finite number, e.g. a limit of a column."""
Value = str | Annotated[int, Field(ge=-(2**63), lt=2**63)] | Number | bool
"""What a cell of a table may hold."""
_ADDED: Final[JsonDict] = {"added": True}


def added(default: Any = PydanticUndefined, *, default_factory: Callable[[], Any] | None = None) -> Any:
    """A field that came after the first version.

    Where it has its default it is left out of dumps, and so of all hashes: a study file that does not name it
    stays the study it was. Constraints go into the field's annotation.
    """
    if default_factory is not None:
        return Field(default_factory=default_factory, json_schema_extra=_ADDED)
    return Field(default=default, json_schema_extra=_ADDED)


def shortened(value: object) -> str:
    """A value as it is told in a message, at most a line of it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def key_part(value: object) -> str:
    """A number or a text as names and keys have it: numbers to six digits."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def exact_key_part(value: float) -> str:
    """The same for a number that is measured: to all digits where six do not tell it from its neighbours."""
    short = key_part(float(value))
    return short if float(short) == value else repr(float(value))


def unrepeated(values: tuple[Member, ...]) -> tuple[Member, ...]:
    """The values. Raises ValueError where two of them would have one name."""
    counts = Counter(map(key_part, values))
    if repeated := [name for name, count in counts.items() if count > 1]:
        written = sorted({repr(value) for value in values if key_part(value) == repeated[0]})
        same = f" ({' and '.join(written)} have one name)" if len(written) > 1 else ""
        raise ValueError(f"must not repeat {repeated[0][:60]}{same}")
    return values


Member = TypeVar("Member")
Distinct = Annotated[tuple[Member, ...], AfterValidator(unrepeated)]
"""A list whose members become keys, or choose among them."""


def _holds_null(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_null, (*value, *value.values())))
    return any(map(_holds_null, value)) if isinstance(value, list | tuple) else "\0" in str(value)


class Strict(BaseModel):
    """Frozen; refuses keys it does not know, numbers that are not finite, texts longer than a page, and null
    characters, which no path and not every database takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_max_length=20_000)

    @classmethod
    def added_fields(cls) -> dict[str, Any]:
        """Defaults of the fields that came after the first version."""
        fields = cls.model_fields.items()
        return {
            name: field.get_default(call_default_factory=True)
            for name, field in fields
            if field.json_schema_extra is _ADDED
        }

    @field_validator("*")
    @classmethod
    def _without_null(cls, value: object) -> object:
        if _holds_null(value):
            raise ValueError("holds a null character")
        return value

    @model_serializer(mode="wrap")
    def _without_added_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        for name, default in type(self).added_fields().items():
            if name in values and getattr(self, name) == default:
                del values[name]
        return values
