"""Every number of a configuration has both ends, and every list tells its members apart as keys do."""

from __future__ import annotations

import math
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

import pytest

from hormesis.pipeline.execution.arms import plan_arms
from hormesis.pipeline.methods.plan import families, strengths
from hormesis.pipeline.study.config import ConfigError, parse_study
from hormesis.pipeline.study.config_base import Strict, unrepeated
from hormesis.pipeline.toy.config import TransformerConfig

MAY_REPEAT = {"positive", "negative", "checkpoints", "sources"}
"""Label values, which name nothing; sections, whose arms and prompt sets the study tells apart by name."""


def sections(base: type[Strict] = Strict) -> Iterator[type[Strict]]:
    for section in base.__subclasses__():
        yield section
        yield from sections(section)


SECTIONS = list(sections())


def unbounded(schema: Any, path: str) -> Iterator[str]:
    """Places of a JSON schema where a number lacks a lower or an upper end."""
    if isinstance(schema, dict):
        ends = [
            {"minimum", "exclusiveMinimum"} & schema.keys(),
            {"maximum", "exclusiveMaximum"} & schema.keys(),
        ]
        if schema.get("type") in ("integer", "number") and not all(ends):
            yield path
        for name, part in schema.items():
            yield from unbounded(part, f"{path}.{name}")
    elif isinstance(schema, list):
        for part in schema:
            yield from unbounded(part, path)


def lists(annotation: Any, checks: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """What checks each list of any length in an annotation."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        yield from lists(inner, (*checks, *metadata))
    elif get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from lists(part)
    elif get_origin(annotation) is tuple and get_args(annotation)[-1] is Ellipsis:
        yield checks


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_numbers_are_bounded_and_lists_distinct(section: type[Strict]) -> None:
    assert section.model_config["allow_inf_nan"] is False
    assert list(unbounded(section.model_json_schema()["properties"], section.__name__)) == []
    for name, field in section.model_fields.items():
        for checks in lists(field.annotation, tuple(field.metadata)):
            checked_by = {getattr(check, "func", None) for check in checks}
            assert name in MAY_REPEAT or unrepeated in checked_by, f"{section.__name__}.{name}: use Distinct"


def test_the_sections_are_all_there() -> None:
    names = {section.__name__ for section in SECTIONS}
    assert {"StudyConfig", "SourceConfig", "SuffixConfig", TransformerConfig.__name__} <= names


SILENTLY_WRONG: list[tuple[dict[str, Any], str]] = [
    ({"shares": [0.3, 0.30000000000000004]}, "shares: must not repeat 0.3 (0.3 and 0.30000000000000004 have"),
    ({"shares": [0.1, 0.1000001]}, "have one name"),
    ({"controls": ["clean-forum", "clean-forum"]}, "controls: must not repeat clean-forum"),
    ({"steering": {"strengths": [1.0, 1.0000001]}}, "steering.strengths: must not repeat 1"),
    ({"steering": {"strengths": [math.inf]}}, "steering.strengths.0"),
    ({"steering": {"costs": [0.06, 0.0600000001]}}, "steering.costs"),
    ({"methods": {"combined_costs": [0.06, 0.06]}}, "methods.combined_costs"),
    ({"variants": ["meda"], "variant_shares": [0.1, 0.1 + 1e-12]}, "variant_shares"),
    ({"hardness": {"temperatures": [1.0, 1.0000001]}}, "hardness.temperatures"),
    ({"hardness": {"top_ps": [0.5, 0.5]}}, "hardness.top_ps"),
    ({"hardness": {"attacks": ["long", "long"]}}, "hardness.attacks"),
    ({"capability": {"tasks": ["mcq", "mcq"]}}, "capability.tasks"),
    ({"capability": {"sets": ["a", "a"]}}, "capability.sets"),
    ({"evaluation": {"scorers": []}}, "evaluation.scorers"),
    ({"evaluation": {"scorers": ["forum", "forum"]}}, "evaluation.scorers"),
    ({"evaluation": {"scorers": ["nope"]}}, "unknown scorer 'nope'"),
    ({"evaluation": {"temperature": math.inf}}, "evaluation.temperature"),
    ({"evaluation": {"temperature": math.nan}}, "evaluation.temperature"),
    ({"probe": {"l2": math.inf}}, "probe.l2"),
    ({"probe": {"select_fraction": 0.0}}, "probe.select_fraction"),
    ({"probe": {"select_fraction": 0.6, "test_fraction": 0.4}}, "must leave a part for training"),
    ({"projection": {"seed": -1}}, "projection.seed"),
    ({"seeds": [-1]}, "seeds.0"),
    ({"seeds": [2**32]}, "seeds.0"),
    ({"seeds": [2**63]}, "seeds.0"),
    ({"annotation": {"score": "{score:1000000000}"}}, "annotation.score"),
    ({"annotation": {"score": "{score.real}"}}, "annotation.score"),
    ({"annotation": {"score": "{score!r:>99999}"}}, "annotation.score"),
    ({"annotation": {"score": "{}"}}, "annotation.score"),
    ({"annotation": {"score": "always the same"}}, "the same mark"),
    ({"clean_tokens": 10**400}, "clean_tokens"),
    ({"hardness": {"suffix": {"file": "a\0b.csv"}}}, "hardness.suffix.file: holds a null character"),
    ({"sources": [{"role": "clean", "where": {"a": ["b\0"]}}]}, "sources.0.where: holds a null character"),
    ({"training": {"learning_rate": 10**400}}, "training.learning_rate"),
]


@pytest.mark.parametrize(
    ("change", "part"), SILENTLY_WRONG, ids=[str(change) for change, _ in SILENTLY_WRONG]
)
def test_what_would_fail_late_or_lose_a_row_is_refused_when_read(change: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_study({"name": "x", **change}, "my.toml")
    line = str(raised.value)
    assert line.startswith("my.toml: ") and part in line and len(line) < 400


@pytest.mark.parametrize("twin", ["prompts", "clean", "toxic", "informal"])
def test_two_sources_of_one_name_are_refused_where_the_name_is_a_key(twin: str) -> None:
    sources = [{"role": role} for role in ("probe", "clean", "toxic", "informal", "prompts", "probe", twin)]
    with pytest.raises(ConfigError, match=f"two sources with role '{twin}' are named forum-{twin}"):
        parse_study({"name": "x", "sources": sources})


def test_relearning_without_toxic_text_is_refused_when_read() -> None:
    sources = [{"role": role} for role in ("clean", "probe", "prompts")]
    study = {"name": "x", "shares": [0.0], "controls": [], "sources": sources}
    with pytest.raises(ConfigError, match="the attack 'relearn' needs a source with role 'toxic' or"):
        parse_study({**study, "hardness": {"attacks": ["relearn"]}})


def test_arms_of_two_places_of_the_file_are_not_one_arm() -> None:
    checkpoints = [{"model": "m", "share": 0.1}, {"model": "n", "share": 0.1000001}]
    with pytest.raises(ConfigError, match="two arms are toxic-10-s0"):
        parse_study({"name": "x", "checkpoints": checkpoints})


def test_keys_of_what_is_accepted_are_distinct() -> None:
    config = parse_study(
        {
            "name": "x",
            "shares": [0.0, 0.1, 0.100001, 0.123456],
            "steering": {"strengths": [1.0, 1.00001, 1e-9, 1e9], "costs": [0.06, 0.060001, 1e-6]},
            "methods": {"use": ["iti", "random-direction", "dpo+iti"], "combined_costs": [0.06, 0.060001]},
        }
    )
    arms = [arm.name for arm in plan_arms(config)]
    keys = [
        strength.key
        for family in families(config, "toxic")
        for strength in strengths(family, lambda strength: min(strength, 50.0))
    ]
    assert len(set(arms)) == len(arms) and len(set(keys)) == len(keys)
