"""A link to the page Steer live, set to a checkpoint left alone beside the same one steered."""

from __future__ import annotations

import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.parts.reference_note import again, is_reference
from hormesis.dashboard.rows.context import Context
from hormesis.db.contract import left_out
from hormesis.db.contract.methods import NONE, method_title

STEER_PAGE = "app_pages/steer/page.py"


def steer_link(
    context: Context,
    checkpoint: str,
    model: str,
    method: str,
    *,
    cost: float | None = None,
    strength: float | None = None,
    heads: list[str] | None = None,
) -> None:
    """Draw the link, or say that the weights of `checkpoint` (its name) are not here.

    `model`: the checkpoint in words, as that page lists it; `method`: its name.

    `cost`: in nats, one that the study matched strengths to, and else `strength`, in standard deviations;
    `heads`: names, e.g. `L2H3`.
    """
    if checkpoint in set(rows.left_out_weights(context)["name"]):
        command = f" `{again(context)}` makes them again." if is_reference(context) else ""
        st.caption(f"{left_out.NO_WEIGHTS}{command}", width="content")
        return
    settings: list[tuple[str, str]] = [("panes", "2")]
    settings += [("model1", model), ("method1", method_title(NONE))]
    settings += [("model2", model), ("method2", method_title(method))]
    if cost is not None:
        settings.append(("cost2", f"+{cost:g} nats"))
    elif strength is not None:
        settings.append(("strength2", f"{strength:g}"))
    settings += [("picked2", head) for head in heads or ()]
    has_texts = rows.left_out_texts(context).empty
    label = "Steer with this" if has_texts else "Steer with this, and make texts again"
    st.page_link(STEER_PAGE, label=label, icon=":material/tune:", query_params=settings)
