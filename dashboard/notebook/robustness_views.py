"""Views of a study in a notebook: how hard the detox is to undo, and what the models can still do."""

from __future__ import annotations

import pandas as pd

from hormesis.dashboard.base.attack_rows import labelled
from hormesis.dashboard.base.wording import arm_label
from hormesis.dashboard.notebook.study_rows import StudyRows, choice
from hormesis.db import read


class RobustnessViews(StudyRows):
    """Attacks, relearning and capability as DataFrames."""

    def attacks(self) -> pd.DataFrame:
        """Every number of every attack, a row per checkpoint, condition, setting and name, with intervals."""
        return labelled(read.attack_outcomes(self.engine, self.id))

    def attack_summaries(self) -> pd.DataFrame:
        """The same over the seeds of each arm, with the points of curves (x).

        `undone` is the change of toxicity (points) by each attack.
        """
        return labelled(read.attack_summaries(self.engine, self.id))

    def suffixes(self, *, rule: str = "success") -> pd.DataFrame:
        """Success of suffix searches over seeds (a fraction of goals), by setting `gcg` and `random`.

        rule: `success` (the continuation scores as toxic) or `prefix_match` (it says the target).
        """
        table = self.attack_summaries()
        return table[(table["attack"] == "suffix") & (table["name"] == rule)].reset_index(drop=True)

    def relearning(self) -> pd.DataFrame:
        """Steps of fine-tuning on toxic text until as toxic as before; value is missing beyond the budget."""
        table = self.attacks()
        return table[(table["attack"] == "relearn") & (table["name"] == "steps")].reset_index(drop=True)

    def attack_curves(
        self, attack: str = "relearn", *, series: str = "toxicity", arm: str | None = None
    ) -> pd.DataFrame:
        """Curves of relearning (`relearn`, over steps) or long texts (`long`, over tokens), means of one arm.

        series: what is measured, e.g. `toxicity` (points), `fluency`, `loss` (nats). arm: in words, as the
        column `arm` has it; by default the last one.
        """
        table = self.attack_summaries()
        table = table[(table["attack"] == attack) & (table["name"] == series) & table["x"].notna()]
        return table[table["arm"] == _last_arm(table, arm)].reset_index(drop=True)

    def injections(self, *, arm: str | None = None) -> pd.DataFrame:
        """What frames round a prompt add to toxicity (points) over seeds, paired with the plain prompt."""
        table = self.attack_summaries()
        table = table[(table["attack"] == "injection") & (table["name"] == "toxicity_change")]
        return table[table["arm"] == _last_arm(table, arm)].reset_index(drop=True)

    def capability(
        self, task: str | None = None, *, measure: str | None = None, part: str | None = None
    ) -> pd.DataFrame:
        """What each arm can still do in one task: value, low, high, chance, change against unsteered, n."""
        table = labelled(read.capability_summaries(self.engine, self.id))
        for column, value in (("task", task), ("measure", measure), ("part", part)):
            values = [str(value) for value in dict.fromkeys(table[column])]
            table = table[table[column] == choice(column, value, values)]
        return table.reset_index(drop=True)


def _last_arm(table: pd.DataFrame, arm: str | None) -> str | None:
    """The arm asked for, in words; by default the toxic one of the largest share in `table`, or the last."""
    arms = table.drop_duplicates(["kind", "share"]).sort_values(["kind", "share"], ascending=[False, True])
    names = [
        arm_label(str(kind), float(share)) for kind, share in zip(arms["kind"], arms["share"], strict=True)
    ]
    toxic = [name for name, kind in zip(names, arms["kind"], strict=True) if kind == "toxic"]
    return choice("arm", arm or next(reversed(toxic or names), None), names)
