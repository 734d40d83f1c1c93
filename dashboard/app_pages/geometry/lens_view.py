"""The words a head's direction points to, as text that may hurt: blurred on real text, never in a chart."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import Head, head_name, plain
from hormesis.dashboard.parts import controls
from hormesis.dashboard.parts.texts import Shown, show_texts
from hormesis.dashboard.rows import geometry
from hormesis.dashboard.rows.context import Context
from hormesis.db.contract.left_out import NOTE, is_left_out

SIDES = {"top": "Raised along the direction", "bottom": "Lowered along the direction"}


def _readable(tokens: pd.DataFrame) -> pd.DataFrame:
    """The same with the number in the vocabulary for a token that was left out of this file."""
    numbers = "token " + tokens["token_id"].astype(str)
    return tokens.assign(token=tokens["token"].where(~tokens["token"].map(is_left_out).astype(bool), numbers))


def _line(row: object, wide: int) -> str:
    token, logit, beyond = row.token, row.logit, row.permuted  # type: ignore[attr-defined]
    printable = token if token.strip() else repr(token)
    passed = not pd.isna(beyond) and abs(logit) > abs(beyond)
    return f"{printable:<{wide}} {logit:+.2f}{' *' if passed else ''}"


def _card(side: str, tokens: pd.DataFrame, blurred: bool) -> Shown:
    """A side's tokens (rows) by rank; `random`, `permuted`: the logit that 5 % of such directions pass."""
    wide = min(24, max(len(str(token)) for token in tokens["token"]))
    best = tokens.iloc[0]
    parts = [f"first place, 95 % of random directions: {abs(best['random']):.2f}"]
    if not pd.isna(best["permuted"]):
        parts.insert(0, f"first place, 95 % of permuted labels: {abs(best['permuted']):.2f}")
    return Shown(
        "\n".join(_line(row, wide) for row in records(tokens)),
        title=SIDES[side],
        meta="; ".join(parts),
        blurred=blurred,
    )


def words(context: Context, checkpoint: str, checkpoint_id: int, *, chosen: Head) -> None:
    """Top and bottom tokens (rows) of a head in one checkpoint; heads to choose where it has none."""
    with st.container(border=True):
        st.markdown(f"**Logit lens of {head_name(*chosen)} in {plain(checkpoint)}**")
        tokens = geometry.lens_tokens(context, checkpoint_id, chosen)
        if tokens.empty:
            _others(context, checkpoint_id, chosen)
            return
        readable = _readable(tokens)
        if not readable.equals(tokens):
            st.caption(NOTE)
        starred = tokens[tokens["logit"].abs() > tokens["permuted"].abs()]
        show_texts(
            [
                _card(side, readable[tokens["side"] == side], not context.harmless)
                for side in SIDES
                if (tokens["side"] == side).any()
            ],
            key="words",
            columns=2,
        )
        st.caption(
            f"Logit lens: the direction, one sigma long, through the head's part of the output projection, "
            f"the final norm's weight and the unembedding; numbers are changes of the token's logit against "
            f"the mean token, later layers left out. A star: larger than 95 % of directions made with "
            f"permuted labels at that place ({len(starred)} of {len(tokens)} here; by chance 1 in 20, and "
            f"places move together). Without stars the words say no more than any split of the statements."
        )


def _others(context: Context, checkpoint_id: int, chosen: Head) -> None:
    """Buttons for heads of the checkpoint that have tokens."""
    heads = sorted(geometry.lens_heads(context, checkpoint_id))
    if not heads:
        st.caption("No direction of this checkpoint was read through the unembedding yet.")
        return
    st.caption(f"The direction of {head_name(*chosen)} was not read. These were; choose one:")
    with st.container(horizontal=True, gap="small"):
        for place in heads[:16]:
            head_label = head_name(*place)
            st.button(head_label, key=f"word_{head_label}", on_click=controls.choose_head, args=(head_label,))
