"""The page of endpoints: one self-contained HTML document made from the service's own OpenAPI description.

It loads nothing, neither from outside nor from the service, and runs no script.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

Schema = Mapping[str, Any]
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Content-Security-Policy of the page."""
MODEL, CHECKPOINT = "MODEL", "CHECKPOINT"
"""What stands for names in the examples of the description."""
LIMITS = {
    "minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}",
    "minLength": "from {} characters", "maxLength": "to {} characters",
    "minItems": "from {} items", "maxItems": "to {} items",
}  # fmt: skip
EXAMPLES = {"request_id": "0123456789abcdef0123456789abcdef", "checkpoint": CHECKPOINT, "model": MODEL}
"""Examples of path parameters."""


@dataclass(frozen=True)
class Field:
    """A parameter of a path or a field of a body."""

    name: str
    kind: str
    limits: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Endpoint:
    """What the page says of one route."""

    method: str
    path: str
    summary: str
    fields: list[Field]
    answers: list[tuple[str, str]]
    """Status and what it means."""
    curl: str


def endpoints_page(description: Schema, *, address: str, models: Sequence[str]) -> str:
    """HTML of the page.

    description: the OpenAPI document; address: base URL of the service, for the examples; models: names that
    can be asked for, the examples take one under a condition where there is one.
    """
    model = example_model(models)
    names = {MODEL: model, CHECKPOINT: model.partition(":")[0]}
    endpoints = [
        _endpoint(description, method, path, address=address.rstrip("/"), names=names)
        for path, methods in description["paths"].items()
        for method in methods
    ]
    return _template().render(info=description["info"], endpoints=endpoints, models=models)


def example_model(models: Sequence[str]) -> str:
    """A name for examples: the first under a condition, or the first."""
    return next((name for name in models if ":" in name), models[0] if models else MODEL)


@cache
def _template() -> Template:
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template("endpoints_page.html.jinja")


def _endpoint(
    description: Schema, method: str, path: str, *, address: str, names: Mapping[str, str]
) -> Endpoint:
    """One route of the OpenAPI `description`; `method` as in it, in lower case.

    `address`: base URL; `names`: placeholder of the examples (MODEL, CHECKPOINT) to a name in the database.
    """
    operation = description["paths"][path][method]
    content = operation.get("requestBody", {}).get("content", {})
    body = _resolved(description, content.get("application/json", {}).get("schema", {}))
    parameters = [
        _field(description, parameter["name"], parameter["schema"], parameter.get("description", ""))
        for parameter in operation.get("parameters", [])
    ]
    return Endpoint(
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        fields=[*parameters, *_fields(description, body)],
        answers=[(status, answer["description"]) for status, answer in operation["responses"].items()],
        curl=_curl(method.upper(), address + path, body.get("examples"), names=names),
    )


def _curl(method: str, url: str, examples: Sequence[Any] | None, *, names: Mapping[str, str]) -> str:
    """A command to paste into a shell. `url`: with {parameters}; `examples`: bodies, the first is used.

    `names`: placeholder of the examples (MODEL, CHECKPOINT) to a name that the database holds.
    """
    for parameter, example in EXAMPLES.items():
        url = url.replace(f"{{{parameter}}}", names.get(example, example))
    parts = ["curl", "-sN", url]
    if method != ("POST" if examples else "GET"):  # what curl takes by itself
        parts += ["-X", method]
    if examples:
        text = json.dumps(examples[0])
        for placeholder, name in names.items():
            text = text.replace(f'"{placeholder}"', json.dumps(name))
        parts += ["-H", "content-type: application/json", "-d", text]
    return shlex.join(parts)


def _resolved(description: Schema, schema: Schema) -> Schema:
    """A schema with the definition that it refers to in its place."""
    if "$ref" not in schema:
        return schema
    definition = description["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return {**definition, **{key: value for key, value in schema.items() if key != "$ref"}}


def _fields(description: Schema, body: Schema, prefix: str = "") -> Iterator[Field]:
    """Fields of an object (the schema `body`), each followed by those of the objects inside it, once each.

    `prefix`: what stands before their names, e.g. `panes[].`.
    """
    required = body.get("required", [])
    for name, schema in body.get("properties", {}).items():
        yield _field(description, prefix + name, schema, required=not prefix and name in required)
        yielded: set[str] = set()
        for inner, suffix in _objects(description, schema):
            for field in _fields(description, inner, f"{prefix}{name}{suffix}."):
                if field.name not in yielded:
                    yielded.add(field.name)
                    yield field


def _objects(description: Schema, schema: Schema, suffix: str = "") -> Iterator[tuple[Schema, str]]:
    """Objects that a value may be or hold (schemas), with what leads to each: `suffix`, `[]` per list."""
    schema = _resolved(description, schema)
    if "properties" in schema:
        yield schema, suffix
    for option in _options(schema):
        yield from _objects(description, option, suffix)
    if "items" in schema:
        yield from _objects(description, schema["items"], f"{suffix}[]")


def _options(schema: Schema) -> list[Schema]:
    options = schema.get("anyOf", schema.get("oneOf", []))
    return [option for option in options if option.get("type") != "null"]


def _field(
    description: Schema, name: str, schema: Schema, meaning: str = "", *, required: bool = False
) -> Field:
    """The field `name` of this schema; `meaning` stands in for the schema's own description."""
    schema = _resolved(description, schema)
    options = [_resolved(description, option) for option in _options(schema)] or [schema]
    limits = dict.fromkeys(limit for option in options for limit in _limits(description, option))
    default = "required" if required else json.dumps(schema["default"]) if "default" in schema else ""
    kind = " or ".join(dict.fromkeys(_kind(description, option) for option in options))
    return Field(name, kind, ", ".join(limits), default, meaning or schema.get("description", ""))


def _limits(description: Schema, schema: Schema) -> Iterator[str]:
    yield from (text.format(_number(schema[key])) for key, text in LIMITS.items() if key in schema)
    if "enum" in schema:
        yield ", ".join(json.dumps(value) for value in schema["enum"])
    if "items" in schema and "properties" not in (items := _resolved(description, schema["items"])):
        yield from (f"each {limit}" for limit in _limits(description, items))


def _number(value: float) -> float:
    """Without the fraction that descriptions give whole numbers."""
    return int(value) if value == int(value) else value


def _kind(description: Schema, schema: Schema) -> str:
    if "items" in schema:
        items = _resolved(description, schema["items"])
        options = _options(items) or [items]
        kinds = dict.fromkeys(_kind(description, _resolved(description, option)) for option in options)
        return f"list of {' or '.join(kinds)}"
    return str(schema.get("type", "string" if "enum" in schema else "any"))
