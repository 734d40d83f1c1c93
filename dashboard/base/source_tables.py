"""Tables of where text came from, made of the rows of `source_use` and `source_overlap`. Knows no widgets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations

import pandas as pd

from hormesis.dashboard.base.records import records
from hormesis.db.contract.sources import ROLE_TITLES, reasons

EVERY_OTHER = "every other role"
_LISTED = re.compile(r"\s*[,;]\s*(?:and\s+)?|\s+and\s+")
"""Between names that a source states in one text: `Reddit, Twitter and Gab`."""
INDEPENDENT = frozenset({"toxic", "probe", "scorer"})
"""Roles of which none should know the text of another."""


def use_table(uses: pd.DataFrame) -> pd.DataFrame:
    """A row per source and role: rows read and used, and why the others were dropped."""
    return pd.DataFrame(
        {
            "Role": [title(role) for role in uses["role"]],
            "Source": uses["name"],
            "Rows read": uses["rows_read"],
            "Rows used": uses["rows_used"],
            "Why dropped": [reasons(dropped) or None for dropped in uses["dropped"]],
            "Longer than the context": uses["rows_cut"],
            "Read to its end": [
                "yes" if not stopped else f"no: {stopped}" for stopped in uses["stopped"]
            ],
            "Note": uses["note"].replace("", None),
        }
    )  # fmt: skip


def origin_table(uses: pd.DataFrame) -> pd.DataFrame:
    """A row per source, whatever its roles: where it is from, its licence, whom to name, its revision."""
    names = {
        "name": "Source", "kind": "From", "location": "Location", "licence": "Licence",
        "attribution": "Attribution", "revision": "Revision",
    }  # fmt: skip
    sources = uses[list(names)].drop_duplicates(ignore_index=True)
    return sources.replace("", None).rename(columns=names)


def pair_table(uses: pd.DataFrame, overlaps: pd.DataFrame) -> pd.DataFrame:
    """A row per pair of roles: first, second, same_platform, same_annotators (None where one is not stated),
    and how many rows of either are texts of the other (missing where that was not counted).
    """
    roles = [role for role in ROLE_TITLES if role in set(uses["role"])]
    stated = {
        column: {role: _stated(uses, role, column) for role in roles} for column in ("platform", "annotators")
    }
    identical = {
        (row.first, row.second): row for row in records(overlaps[overlaps["kind"] == "text"])
    }  # fmt: skip
    rows = []
    for first, second in combinations(roles, 2):
        overlap = identical.get((first, second))
        counts = (overlap.shared_first, overlap.shared_second) if overlap is not None else (None, None)
        same = (_common(of_role[first], of_role[second]) for of_role in stated.values())
        rows.append((first, second, *same, *counts))
    columns = ["first", "second", "same_platform", "same_annotators", "shared_first", "shared_second"]
    dtypes = ["str", "str", "boolean", "boolean", "Int64", "Int64"]
    return pd.DataFrame(rows, columns=columns).astype(dict(zip(columns, dtypes, strict=True)))


def role_table(uses: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """A row per role: its rows, platform and annotators, and the roles that have them or its texts too."""
    places = {role: place for place, role in enumerate(ROLE_TITLES)}
    swapped = pairs.rename(
        columns={"first": "second", "second": "first", "shared_first": "shared_second",
                 "shared_second": "shared_first"}
    )  # fmt: skip
    directed = pd.concat([pairs, swapped])
    rows = []
    for role, of_role in uses.groupby("role", sort=False):
        others = directed[directed["first"] == role].sort_values(
            "second", key=lambda names: names.map(places)
        )
        rows.append(
            {
                "Role": title(str(role)),
                "Rows used": int(of_role["rows_used"].sum()),
                "Platform": _joined(of_role["platform"]),
                "Same platform": _listed(others, "same_platform"),
                "Annotators": _joined(of_role["annotators"]),
                "Same annotators": _listed(others, "same_annotators"),
                "Same texts": _same_texts(others),
            }
        )
    return pd.DataFrame(rows)


def dependent(pairs: pd.DataFrame) -> list[str]:
    """In words, each pair of the roles that must not know each other's text that has something in common."""
    words = []
    for row in records(pairs):
        if {row.first, row.second} <= INDEPENDENT:
            common = ["platform"] if row.same_platform is True else []
            common += ["annotators"] if row.same_annotators is True else []
            if not pd.isna(row.shared_first) and row.shared_first:
                common.append(f"{row.shared_first:,} texts")
            if common:
                words.append(f"{title(row.first)} and {title(row.second).lower()} ({', '.join(common)})")
    return words


def run_table(overlaps: pd.DataFrame) -> pd.DataFrame:
    """A row per role that documents come from and role they are compared with: how many of each match."""
    runs = overlaps[overlaps["kind"] == "8-gram"]
    return pd.DataFrame(
        {
            "Documents of": [title(role) for role in runs["first"]],
            "Compared with": [title(role) for role in runs["second"]],
            "Documents": runs["n_first"],
            "Matching documents": runs["shared_first"],
            "Matching part": runs["shared_first"] / runs["n_first"].where(runs["n_first"] > 0),
            "Statements or prompts": runs["n_second"],
            "Matching statements or prompts": runs["shared_second"],
        }
    )


def title(role: str) -> str:
    """A role as people read it."""
    return ROLE_TITLES.get(role, role)


def _stated(uses: pd.DataFrame, role: str, column: str) -> frozenset[str] | None:
    """What the sources of a role state in a column, one by one and in lower case; None where one states
    nothing.
    """
    texts = [str(text).strip().casefold() for text in uses[uses["role"] == role][column]]
    return frozenset(name for text in texts for name in _LISTED.split(text) if name) if all(texts) else None


def _common(first: frozenset[str] | None, second: frozenset[str] | None) -> bool | None:
    """Whether a name of one stands in one of the other (`Civil Comments`, `news sites (Civil Comments)`)."""
    if first is None or second is None:
        return None
    return any(name in other or other in name for name in first for other in second)


def _joined(texts: Iterable[str]) -> str | None:
    return "; ".join(dict.fromkeys(text for text in texts if text)) or None


def _listed(others: pd.DataFrame, column: str) -> str | None:
    """The second roles in `others` (rows of pairs) for which a column holds; None where no pair tells."""
    stated = others.dropna(subset=[column])
    if stated.empty:
        return None
    titles = [title(str(role)) for role in stated[stated[column]]["second"]]
    if len(titles) == len(others) > 1:
        return EVERY_OTHER
    return ", ".join(titles) or "none"


def _same_texts(others: pd.DataFrame) -> str | None:
    """E.g. `Study's own scorer (2,310)`: rows of the first role; None where texts were not compared."""
    counted = others.dropna(subset=["shared_first"])
    if counted.empty:
        return None
    shared = counted[counted["shared_first"] > 0]
    return ", ".join(f"{title(row.second)} ({row.shared_first:,})" for row in records(shared)) or "none"
