"""Report section on attacks and capability: what each attack undoes, then every number over seeds."""

from __future__ import annotations

import pandas as pd

from hormesis.dashboard.base.attack_rows import UNDONE_GUIDE, undone_headline
from hormesis.dashboard.base.records import groups
from hormesis.dashboard.base.wording import metric_name
from hormesis.dashboard.charts.frame import Level
from hormesis.dashboard.charts.hardness import by_condition
from hormesis.dashboard.document.blocks import Block, Chart, Section, Table
from hormesis.dashboard.report.results import INTERVALS, span
from hormesis.dashboard.rows import robustness as hardness
from hormesis.dashboard.rows.context import Context
from hormesis.db.contract.attacks import ATTACK_TITLES
from hormesis.db.contract.stages import stage_title

TITLES = {
    "arm": "Arm", "label": "Condition", "setting": "Setting", "task": "Task", "part": "Part",
    "measure": "Measure", "x": "At", "unit": "Unit", "n_seeds": "Seeds", "n": "n", "interval": "Interval",
}  # fmt: skip


def robustness(context: Context) -> Section | None:
    """The section; None where nothing was attacked or tested."""
    attacks, capability = hardness.attacks(context), hardness.capability(context)
    undone = hardness.undone_by_attack(attacks)
    blocks: list[Block] = []
    lead = ""
    if len(undone):
        condition = hardness.strongest(undone)
        rows = undone[undone["label"] == condition]
        headline = undone_headline(rows)
        lead = f"{headline.answer} {headline.detail}"
        blocks.append(_chart(rows, f"What each attack undoes: {condition}"))
    for (attack,), of_attack in groups(attacks, ["attack"]):
        in_words = of_attack.assign(measure=[metric_name(name) for name in of_attack["name"]])
        blocks.append(Table(ATTACK_TITLES[attack], _readable(in_words), INTERVALS, folded=True))
    if len(capability):
        blocks.append(Table(stage_title("capability"), _readable(capability), INTERVALS, folded=True))
    return Section("How hard is the detox to undo?", blocks, lead) if blocks else None


def _chart(undone: pd.DataFrame, title: str) -> Chart:
    order = [name for name in hardness.TITLES if name in set(undone["title"])]
    light, dark = (
        by_condition(
            undone, order, "Change of toxicity (points)", dark=is_dark, x_column="title", level=Level(0.0, "")
        )
        for is_dark in (False, True)
    )
    return Chart(title, light, dark, UNDONE_GUIDE, "Change of toxicity by each attack, one marker per arm")


def _readable(summaries: pd.DataFrame) -> pd.DataFrame:
    """Rows over seeds in words: what it is, value with interval, n."""
    columns = {title: summaries[name] for name, title in TITLES.items() if name in summaries.columns}
    values = zip(summaries["value"], summaries["low"], summaries["high"], strict=True)
    table = pd.DataFrame(columns)
    table.insert(list(table.columns).index("Unit"), "Value", [span(*ends) for ends in values])
    return table
