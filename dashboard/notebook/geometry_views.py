"""Views of a study in a notebook: heads, directions, their maps, other features, activations."""

from __future__ import annotations

import pandas as pd

from hormesis.dashboard.base.selection import cosine_rows, with_probes
from hormesis.dashboard.base.wording import head_name, parse_head
from hormesis.dashboard.notebook.study_rows import NoSuchRows, StudyRows, choice
from hormesis.db import read


class GeometryViews(StudyRows):
    """Where toxicity lives, as DataFrames."""

    def probes(self) -> pd.DataFrame:
        """A row per head and checkpoint: accuracy (balanced) and auroc with low and high, selectivity, rank.

        Measured on the test split (n_test statements); rank is missing where a head is not steered.
        """
        return read.arm_probes(self.engine, self.id, self.position)

    def heads(self, checkpoint: str | None = None) -> pd.DataFrame:
        """The probes of one checkpoint; by default the first seed of the largest share."""
        name = checkpoint or self._largest_dose()
        self._checkpoint(name)
        table = self.probes()
        return table[table["checkpoint"] == name].reset_index(drop=True)

    def directions(self, checkpoint: str | None = None) -> pd.DataFrame:
        """Stored directions, best head first: method, layer, head, rank, sigma, vector (float32 [head_dim]).

        Unit vectors that point to toxicity; `Model.steer` takes them as they are. Methods: `mass_mean`,
        `probe`, and random controls.
        """
        row = self._checkpoint(checkpoint or self._largest_dose())
        return read.directions(self.engine, int(row["id"]), self.position)

    def head_statistics(self) -> pd.DataFrame:
        """Mean, quantiles and tail of the heads' accuracies by arm, with intervals and differences to 0 %."""
        return read.head_summaries(self.engine, self.id)

    def entanglement(self) -> pd.DataFrame:
        """Largest |cosine| of toxicity with another feature per kept head, with its null and interval."""
        return read.arm_entanglement(self.engine, self.id, self.position)

    def cosines(self, checkpoint: str | None = None, *, most: int = 60) -> pd.DataFrame:
        """Cosines of toxicity with every feature in the `most` first kept heads of a checkpoint."""
        name = checkpoint or self._largest_dose()
        row, table = self._checkpoint(name), self.entanglement()
        cosines = read.feature_cosines(self.engine, int(row["id"]), self.position)
        return cosine_rows(cosines, table[table["checkpoint"] == name], most).reset_index(drop=True)

    def direction_map(
        self,
        method: str = "umap",
        *,
        dimensions: int = 2,
        space: str = "functional",
        null_model: str | None = None,
        checkpoint: str | None = None,
    ) -> pd.DataFrame:
        """Toxicity directions as points: x, y, z, checkpoint, layer, head, accuracy, selectivity, rank.

        method: `umap` or `pca`, as the study stored them; dimensions: 2 or 3. space: what directions are
        compared by, `functional` (scores of the same statements), `vocabulary`, or `residual`, which is of
        one `checkpoint` (by default the first stored). null_model: `random` or `independent` for the map in
        which there is nothing to see, its rows those of the same heads.
        """
        table = read.projections(self.engine, self.id)
        table = table[(table["subject"] == "directions") & table["space"].notna()]
        nulls = table["null_model"].isna() if null_model is None else table["null_model"] == null_model
        of_kind = table[
            (table["method"] == method)
            & (table["dimensions"] == dimensions)
            & (table["space"] == space)
            & nulls
            & (True if checkpoint is None else table["checkpoint"] == checkpoint)
        ]
        if of_kind.empty:
            stored = ", ".join(str(key) for key in table["key"])
            raise NoSuchRows(f"no map by {method} in {dimensions} dimensions (maps: {stored or 'none'})")
        points = read.arm_points(self.engine, int(of_kind["id"].iloc[0]))
        return with_probes(points, self.probes())

    def map_figures(self) -> pd.DataFrame:
        """Figures of merit of the maps of directions: key, measure, value, low, high, and both nulls."""
        return read.map_agreements(self.engine, self.id)

    def head_scores(self, head: str, *, checkpoint: str | None = None) -> pd.DataFrame:
        """Test statements by their projection on one head's direction, in sigmas, the highest first.

        head: as `L2H3`. Texts are in `statements()`, under the same ids.
        """
        row, place = self._checkpoint(checkpoint or self._largest_dose()), parse_head(head)
        if place is None:
            raise NoSuchRows(f"no head '{head}' (heads are named as L2H3)")
        return read.statement_scores(
            self.engine, int(row["id"]), layer=place.layer, head=place.head, position=self.position
        )

    def activations(self, head: str | None = None, *, checkpoint: str | None = None) -> pd.DataFrame:
        """First three principal components (x, y, z) of a head's activations, a row per statement.

        head: as `L2H3`; by default the first one whose activations the study kept.
        """
        name = checkpoint or self._largest_dose()
        row, table = self._checkpoint(name), read.kept_heads(self.engine, self.id, self.position)
        head_names = [
            head_name(int(layer), int(index))
            for layer, index in table.loc[table["checkpoint"] == name, ["layer", "head"]].itertuples(
                index=False
            )
        ]
        chosen = parse_head(choice("head with activations", head, head_names))
        if chosen is None:
            raise NoSuchRows(f"no activations of {name} are stored")
        points = read.principal_components(
            self.engine, int(row["id"]), layer=chosen.layer, head=chosen.head, position=self.position
        )
        return points.assign(label=points["label"].map({0: "not toxic", 1: "toxic"}))
