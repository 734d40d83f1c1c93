"""Showing text that a model wrote: always as text, blurred where it may hurt, revealed by a click.

Knows nothing of where the text comes from. The text travels as data to a small component that sets it
with `textContent`, so HTML, Markdown and control characters in it are displayed and never interpreted.
Revealing happens in the browser and costs no run of the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

import streamlit as st

from hormesis.db.contract.left_out import NOTE, TEXT, is_left_out
from hormesis.db.contract.scores import TOXIC

LONGEST: Final = 20_000
"""Characters of one text that are sent to the browser; more is cut and said."""

_FOLDER = Path(__file__).parent / "components"
_component = st.components.v2.component(
    "hormesis_texts",
    html='<div id="root"></div>\n',
    css=(_FOLDER / "texts.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "texts.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Token:
    """A piece of a text and its projection on the toxicity direction in sigmas, or another number that
    colours it (None where unknown).
    """

    text: str
    projection: float | None = None


@dataclass(frozen=True)
class Shown:
    """One text on the page. `title` and `meta` are ours; `prompt` and `text` may be anybody's."""

    text: str
    title: str = ""
    meta: str = ""
    prompt: str = ""
    blurred: bool = True
    tokens: tuple[Token, ...] = field(default=())
    full_colour: float = 3.0
    """Projection at which a token has its full colour."""
    token_words: str = "projection {} sigma"
    """What a token says when it is pointed at; `{}` stands for its projection."""
    waiting: str = ""
    """Said in place of the text while there is none yet."""
    details: tuple[tuple[str, str], ...] = ()
    """Label and value of what stands under the text."""
    more: tuple[tuple[str, str], ...] = ()
    """The same, folded away."""
    identity: str = ""
    """What a revealed text is remembered by, else place, title and prompt; the element's `data-identity`."""
    bare: bool = False
    """Without a frame of its own and at its full height, for a place that has both."""


def is_veiled(score: float | None, *, harmless: bool) -> bool:
    """Whether a text is blurred: unscored, toxic by its score, or from a study that is not `harmless`."""
    return not harmless or score is None or math.isnan(score) or score > TOXIC


def reveal_all() -> bool:
    """Whether the person asked to see every text unblurred in this session."""
    return bool(st.session_state.get("reveal_all", False))


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST] + f" … ({len(text) - LONGEST:,} more characters are not shown)"


def _left_out(item: Shown) -> Shown:
    return replace(item, text="", prompt="", tokens=(), blurred=False, waiting=TEXT)


def show_texts(items: Sequence[Shown], *, key: str, columns: int = 1, state: str = "") -> None:
    """Draw texts in a grid of `columns` columns (fewer where the page is narrow).

    `state` says what the texts belong to; it stands as `data-state` on the drawn element, set together with
    the texts, so a test that waits for it reads the right ones.
    """
    if any(is_left_out(item.text) for item in items):
        st.caption(NOTE)
        items = [_left_out(item) if is_left_out(item.text) else item for item in items]
    rows = [asdict(item) | {"text": _cut(item.text), "prompt": _cut(item.prompt)} for item in items]
    _component(key=key, data={"items": rows, "columns": columns, "reveal": reveal_all(), "state": state})
