"""The fixed set of other features that toxicity is compared with, for the statements of a probe set.

Forum language: the generator's exact latents of every post (topic, register, sentiment, person, which group,
whether any group is named). Other text: the source and the group as the data set names them, whether a group
is named at all, and three marks of the surface (long, asks, exclaims); no sentiment, because no data set here
says it. Knows rows and records; nothing of activations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from hormesis.db.schema import Example
from hormesis.db.write import read_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.probing.feature_cells import Clusters, Variable, find_clusters, variable
from hormesis.pipeline.probing.loading import probe_set_id
from hormesis.pipeline.sources import open_source
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.text.probe_splits import NO_GROUP
from hormesis.pipeline.text.text_keys import word_bag

LATENTS = ("topic", "register", "sentiment", "person")


@dataclass(frozen=True, eq=False)
class Labelled:
    """The statements of a probe set in the order of their ids, with all that is known of each."""

    ids: NDArray[np.int64]
    toxic: NDArray[np.bool_]
    variables: tuple[Variable, ...]
    clusters: Clusters


@dataclass(frozen=True)
class Statement:
    """What a feature may be read from; `latents` are those of the generator, where it wrote the text."""

    text: str
    group: str | None
    source: str | None
    latents: Mapping[str, str] | None = None


def labelled(context: StudyContext) -> Labelled:
    """Labels [n], variables and clusters of a study's probe set; statements by ascending id."""
    query = (
        select(Example.id, Example.text, Example.label, Example.group, Example.source)
        .where(Example.probe_set_id == probe_set_id(context))
        .order_by(Example.id)
    )
    with read_session(context.engine) as session:
        rows = session.execute(query).all()
    features_by_text = _features_by_text(context.config)
    statements = [Statement(row.text, row.group, row.source, features_by_text.get(row.text)) for row in rows]
    toxic = np.array([row.label == 1 for row in rows], dtype=bool)
    return Labelled(
        np.array([row.id for row in rows], dtype=np.int64),
        toxic,
        variables_of(statements),
        find_clusters([word_bag(statement.text) for statement in statements], toxic),
    )


def _features_by_text(config: StudyConfig) -> dict[str, Mapping[str, str]]:
    """Text to its latents (name to value), where the forum language wrote it; others are not opened."""
    features_by_text: dict[str, Mapping[str, str]] = {}
    for source in config.with_role("probe"):
        if source.kind == "forum":
            for record in open_source(source, config.forum):
                if record.features is not None:
                    features_by_text.setdefault(record.text, record.features)
    return features_by_text


def variables_of(statements: Sequence[Statement]) -> tuple[Variable, ...]:
    """Every variable that tells enough statements apart, in a fixed order; a column is its values [n]."""
    if all(statement.latents is not None for statement in statements):
        latents = [statement.latents or {} for statement in statements]
        groups = [None if latent.get("group", "none") == "none" else latent["group"] for latent in latents]
        columns = {name: [latent.get(name) for latent in latents] for name in LATENTS}
    else:
        groups = [_group(statement.group) for statement in statements]
        columns = {"source": [statement.source for statement in statements], **_surface(statements)}
    columns["mentions"] = ["mentions no group" if group is None else "mentions a group" for group in groups]
    columns["group"] = groups
    variables = [_ordered(variable(name, values)) for name, values in columns.items()]
    return tuple(variable for variable in variables if variable is not None)


def _group(group: str | None) -> str | None:
    return None if group is None or group.strip().lower() in NO_GROUP else group


def _surface(statements: Sequence[Statement]) -> dict[str, list[str | None]]:
    """What can be seen in any text [n]: longer than the median in words, question or exclamation marks."""
    lengths = np.array([len(statement.text.split()) for statement in statements])
    median_length = float(np.median(lengths)) if len(lengths) else 0.0
    return {
        "length": ["long" if length > median_length else "short" for length in lengths],
        "question": ["asks" if "?" in statement.text else "does not ask" for statement in statements],
        "exclamation": [
            "exclaims" if "!" in statement.text else "does not exclaim" for statement in statements
        ],
    }


_NAMED_BY = {"mentions a group", "long", "asks", "exclaims", "negative"}


def _ordered(variable: Variable | None) -> Variable | None:
    """Of two values, the one that the feature is called by goes last."""
    if variable is None or len(variable.values) != 2 or variable.values[0] not in _NAMED_BY:
        return variable
    flipped_codes = np.where(variable.codes < 0, -1, 1 - variable.codes)
    return Variable(variable.name, (variable.values[1], variable.values[0]), flipped_codes)
