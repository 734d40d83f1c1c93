"""The paper's figures, from `paper.toml`: secondary notes, to be shown as references and never as results."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Figure:
    """What the paper says of one claim: in words, and as a number in the claim's unit where there is one."""

    text: str
    value: float | None


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "paper.toml").read_text(encoding="utf-8"))


def source() -> str:
    """Where the figures come from, with the mark that they are secondary."""
    return str(_file()["source"])


def figure(claim: str) -> Figure:
    """The paper's figure for a claim; empty words where it has none."""
    entry = _file()["claims"].get(claim, {})
    return Figure(entry.get("text", ""), entry.get("value"))


def table() -> pd.DataFrame:
    """Table 1: arm, share, method, level (`weak`, `mid`, `strong` or empty), toxigen, rtp, cross_entropy."""
    rows = pd.DataFrame(_file()["table"])
    return rows.assign(level=rows["level"].fillna(""))
