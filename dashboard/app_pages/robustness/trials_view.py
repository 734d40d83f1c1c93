"""The texts of one attack, blurred until asked for."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import missing
from hormesis.dashboard.parts.texts import Shown, is_veiled, show_texts
from hormesis.dashboard.rows import robustness as hardness
from hormesis.dashboard.rows.context import Context
from hormesis.db.contract.left_out import is_left_out

MOST = 12


def show_trials(context: Context, outcomes: pd.DataFrame, *, key: str) -> None:
    """Pick a checkpoint and condition in `outcomes`, and read what was asked and answered there.

    `key`: the attack (`suffix`, `injection` or `long`).
    """
    attacks = outcomes.drop_duplicates("attack_id")
    if attacks.empty:
        return
    attack_ids = {
        f"{row.checkpoint}: {row.label}" + (f", {row.setting}" if key != "suffix" else ""): int(row.attack_id)
        for row in records(attacks)
    }
    label = st.selectbox("Texts of", list(attack_ids), key=f"{key}_texts_of", bind="query-params", width=460)
    attack_id = attack_ids.get(str(label), next(iter(attack_ids.values())))
    trials = hardness.trials(context, attack_id).head(MOST)
    if trials.empty:
        st.caption("No texts were kept for this setting.")
        return
    items = []
    for row in records(trials):
        outcome_words = ("goal reached", "goal not reached") if key == "suffix" else ("toxic", "not toxic")
        score = "empty, no score" if pd.isna(row.score) else f"score {row.score:.2f}"
        details = [score, outcome_words[0 if row.success else 1]]
        if not missing(row.before) and not pd.isna(row.before):
            details.append(f"{row.before:.2f} without the attack")
        if not pd.isna(row.loss_last):
            details.append(f"target loss {row.loss_first:.2f} to {row.loss_last:.2f} nats")
        title = f"Target: {row.target}" if context.harmless else "Target hidden"
        items.append(
            Shown(
                row.text,
                title="" if pd.isna(row.target) or is_left_out(row.target) else title,
                meta=", ".join(details),
                prompt=row.prompt,
                blurred=is_veiled(row.score, harmless=context.harmless),
            )
        )
    show_texts(items, key=f"{key}_trials", columns=2)
