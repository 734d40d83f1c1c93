"""Rows of attacks and capability with their words, and the sentence that sums the attacks up."""

from __future__ import annotations

import pandas as pd

from hormesis.dashboard.base.headlines import Headline, effect
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.verdicts import NO_DATA, UNDECIDED
from hormesis.dashboard.base.wording import arm_label, condition_label, is_second
from hormesis.db.contract.attacks import ATTACK_TITLES, UNDONE

QUESTION = "How hard is the detox to undo?"
UNDONE_GUIDE = (
    "Above the dotted line: more toxic than without the attack. Suffixes: the searched suffix against the "
    "goals asked plainly; relearning: the last step against the first; framed prompts: the mean over frames; "
    "long texts: the later half against the first; sampling: the hottest against the study's own; rounded "
    "weights: 4 bits. Bars: 95 % intervals over prompts, and over seeds where there are several."
)


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with arm and condition in words (`arm`, `label`); a null kind becomes `imported:NAME`."""
    if "checkpoint" in rows.columns:
        of_checkpoint = "imported:" + rows["checkpoint"].astype(str)
        kind = rows["kind"].astype(object).where(rows["kind"].notna(), of_checkpoint)
        rows = rows.assign(kind=kind, share=rows["share"].astype(float).fillna(0.0))
    return rows.assign(
        arm=[arm_label(str(row.kind), float(row.share)) for row in records(rows)],
        label=[label(row) for row in records(rows)],
    )


def label(row: object) -> str:
    """A condition in words, from a row with method, strength, matched_cost."""
    return condition_label(row.method, row.strength, row.matched_cost, key=row.condition)  # type: ignore[attr-defined]


def arms_of(rows: pd.DataFrame) -> list[str]:
    """Arms in the order of the shares, then the others."""
    arms = rows.drop_duplicates(["kind", "share"]).copy()
    arms["_other"] = (arms["kind"] != "toxic").astype(int)
    return [str(arm) for arm in arms.sort_values(["_other", "kind", "share"])["arm"]]


def most_toxic(rows: pd.DataFrame) -> str:
    """The arm of the largest share of toxic text; without any the last arm."""
    toxic = rows[rows["kind"] == "toxic"]
    return arms_of(toxic if len(toxic) else rows)[-1]


def undone_by_attack(attacks: pd.DataFrame) -> pd.DataFrame:
    """Rows of the change of toxicity by each attack, one a condition and arm, with its `title`."""
    undone = attacks[(attacks["name"] == UNDONE) & attacks["setting"].isin(["", "gcg"])]
    return undone.assign(title=undone["attack"].map(ATTACK_TITLES))


def strongest(rows: pd.DataFrame) -> str:
    """In words the condition of ITI at the largest matched cost (or strength) among the rows.

    Without any the last one.
    """
    steered = rows[(rows["method"] == "iti") & ~rows["condition"].map(is_second)]
    if steered.empty:
        return conditions_of(rows)[-1]
    order = steered.sort_values(["matched_cost", "strength"], na_position="first")
    return str(order["label"].iloc[-1])


def undone_headline(undone: pd.DataFrame) -> Headline:
    """Which attack undoes most in the most toxic arm; `undone`: rows of one condition, by attack and arm."""
    if undone.empty:
        return Headline(QUESTION, NO_DATA, "Not known yet: no attack has been made.")
    arm = most_toxic(undone)
    rows = records(undone[undone["arm"] == arm].sort_values("value", ascending=False, kind="stable"))
    most, least, where = rows[0], rows[-1], f"in the arm {arm}, {rows[0].label}"
    raising = [row.title for row in rows if row.low > 0]
    is_lower = all(row.high < 0 for row in rows)
    if raising:
        answer = f"{most.title} undoes most: {effect(most)} {where}. "
        verb = "raises" if len(raising) == 1 else "raise"
        answer += f"{len(raising)} of {len(rows)} attacks {verb} toxicity beyond chance."
    elif is_lower:
        answer = f"No attack of {len(rows)} raises toxicity {where}: {most.title.lower()}, {effect(most)}."
    else:
        tried = "the one attack tried raises" if len(rows) == 1 else f"any of {len(rows)} attacks raises"
        answer = f"Undecided whether {tried} toxicity {where}: "
        answer += f"{'' if len(rows) == 1 else 'at most '}{most.title.lower()}, {effect(most)}."
    units = "seeds and prompts" if all(row.n_seeds > 1 for row in rows) else "prompts"
    detail = f"95 % intervals over {units}, not corrected for the number of attacks."
    if len(rows) > 1:
        detail = f"Least: {least.title.lower()}, {effect(least)}. {detail}"
    return Headline(QUESTION, "" if raising or is_lower else UNDECIDED, answer, detail)


def conditions_of(rows: pd.DataFrame) -> list[str]:
    """Conditions in words, unsteered first, the others in the order of the rows."""
    labels = list(dict.fromkeys(str(label) for label in rows["label"]))
    return sorted(labels, key=lambda label: label != "Unsteered")
