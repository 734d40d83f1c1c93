"""Tokens of statements by how far each moves a head, from the model service; nothing without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from hormesis.dashboard.app_pages.steer import client
from hormesis.dashboard.base.wording import Head
from hormesis.dashboard.parts.texts import Token
from hormesis.dashboard.rows.context import service_address
from hormesis.db.contract.messages import MAX_PROMPT_CHARACTERS, ProjectionRequest

Shades = Mapping[str, tuple[Token, ...]]
"""Text to its tokens; a text that could not be had is left out."""


def shades(checkpoint_id: int, head: Head, texts: Sequence[str]) -> Shades:
    """Tokens of each text with projections in sigmas, less their mean over all; empty without a service."""
    address = service_address()
    if address is None or any(len(text) > MAX_PROMPT_CHARACTERS for text in texts):
        return {}
    by_text = _projections(address, checkpoint_id, head, tuple(texts))
    values = [value for tokens in by_text for _, value in tokens if value is not None]
    mean = sum(values) / len(values) if values else 0.0
    return {
        text: tuple(Token(piece, None if value is None else value - mean) for piece, value in tokens)
        for text, tokens in zip(texts, by_text, strict=False)
        if "".join(piece for piece, _ in tokens) == text
    }


@st.cache_data(ttl=60.0, max_entries=64, show_spinner=False)
def _projections(
    address: str, checkpoint_id: int, head: Head, texts: tuple[str, ...]
) -> list[list[tuple[str, float | None]]]:
    """Pieces and projections as the service has them; empty for a minute where it cannot answer."""
    try:
        request = ProjectionRequest(
            texts=list(texts), checkpoint_id=checkpoint_id, layer=head.layer, head=head.head
        )
        answer = client.projections(address, request)
    except ValueError:  # refused by the bounds of the message, or by the service
        return []
    return [[(token.text, token.projection) for token in tokens] for tokens in answer.texts]
