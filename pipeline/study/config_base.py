"""What every section of a study file shares: frozen, no unknown keys, and fields that may be added later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from pydantic.config import JsonDict
from pydantic_core import PydanticUndefined

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0)]
_ADDED: Final[JsonDict] = {"added": True}


def added(default: Any = PydanticUndefined, *, default_factory: Callable[[], Any] | None = None) -> Any:
    """A field that came after the first version.

    Where it has its default it is left out of dumps, and so of all hashes: a study file that does not name it
    stays the study it was. Constraints go into the field's annotation.
    """
    if default_factory is not None:
        return Field(default_factory=default_factory, json_schema_extra=_ADDED)
    return Field(default=default, json_schema_extra=_ADDED)


class Strict(BaseModel):
    """Frozen, and refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def added_fields(cls) -> dict[str, Any]:
        """Defaults of the fields that came after the first version."""
        fields = cls.model_fields.items()
        return {
            name: field.get_default(call_default_factory=True)
            for name, field in fields
            if field.json_schema_extra is _ADDED
        }

    @model_serializer(mode="wrap")
    def _without_added_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        for name, default in type(self).added_fields().items():
            if name in values and getattr(self, name) == default:
                del values[name]
        return values
