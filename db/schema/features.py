"""Tables of how toxicity lies among other features in a head, of the words its direction points to, and of
how well the heads of an arm read toxicity."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hormesis.db.schema.base import FOLLOWS, Blob, HeadRow, Label, ProbeSetRow, Quote, StudyRow


class ProbeHits(ProbeSetRow):
    """Which test statements each probe of a checkpoint got right, one bit each; layer-major over heads.

    Kept so that intervals over heads can resample the statements, which all heads share.
    """

    __tablename__ = "probe_hits"
    __table_args__ = (UniqueConstraint("checkpoint_id", "probe_set_id", "position"),)

    example_list_id: Mapped[int] = mapped_column(ForeignKey("example_list.id"))
    """The test statements, in the order of the bits."""
    position: Mapped[Label]
    heads: Mapped[int]
    """All heads of the model, layers times heads."""
    statements: Mapped[int]
    bits: Mapped[Blob]
    """numpy.packbits of a boolean matrix [heads, statements], each row padded to whole bytes."""


class ProbeGain(ProbeSetRow):
    """What heads read beyond a baseline: difference of AUROC on the same test statements of one checkpoint.

    Values are differences, fractions of one; intervals of all three are over the same resamples.
    """

    __tablename__ = "probe_gain"
    __table_args__ = (
        UniqueConstraint(
            *("checkpoint_id", "probe_set_id", "position", "baseline", "heads", "subset"),
            name="uq_probe_gain_baseline",
        ),
    )

    position: Mapped[Label]
    """`last` token or `mean` over tokens, of the heads."""
    baseline: Mapped[Label]
    """`words`: TF-IDF and logistic regression; `length`: length and punctuation; `embeddings`: mean of the
    model's own input embeddings; `untrained`: heads of the same configuration and initial weights."""
    heads: Mapped[Label]
    """`best`: the one head that is best on the select split; `selected`: mean over the steered heads. Of
    `untrained` as many of its own."""
    subset: Mapped[Label]
    """Which test statements: `all`; `matched`: those whose words also make one of the other label; `unsure`:
    the third that `words` are least sure of; `paraphrases`: toxic and harmless texts of one meaning, the
    study's pairs, on which no probe was fitted."""
    n_heads: Mapped[int]
    """Heads that AUROC is the mean of."""
    auroc: Mapped[float]
    auroc_low: Mapped[float]
    auroc_high: Mapped[float]
    baseline_select_auroc: Mapped[float]
    """AUROC of the baseline on the select split."""
    baseline_auroc: Mapped[float]
    """AUROC of the baseline on the test split."""
    baseline_low: Mapped[float]
    """Lower end of its 95 % interval."""
    baseline_high: Mapped[float]
    """Upper end of its 95 % interval."""
    is_chosen: Mapped[bool]
    """False for the worse, on the select split, of `words` and `length`."""
    value: Mapped[float]
    """`auroc` less `baseline_auroc`."""
    low: Mapped[float]
    """Lower end of its 95 % interval."""
    high: Mapped[float]
    """Upper end of its 95 % interval."""
    n_train: Mapped[int]
    n_select: Mapped[int]
    n_test: Mapped[int]
    """Test statements of `subset`."""
    interval: Mapped[Label]
    resamples: Mapped[Blob]
    """float32, little endian: `value` under each resample of the test statements, which are the same for all
    rows of a probe set, so that checkpoints can be compared with their pairing."""


class HeadContribution(HeadRow):
    """What a head adds: its share right of the test statements that most other steered heads get wrong."""

    __tablename__ = "head_contribution"
    __table_args__ = (
        UniqueConstraint(
            "checkpoint_id", "probe_set_id", "position", "layer", "head", name="uq_head_contribution_head"
        ),
    )

    others: Mapped[int]
    """Steered heads other than this one."""
    missed: Mapped[int]
    """Test statements that at least half of them get wrong."""
    right: Mapped[int]
    """Of those, how many this head gets right."""
    value: Mapped[float | None]
    """`right` over `missed`; null where there are none."""
    low: Mapped[float | None]
    high: Mapped[float | None]
    n: Mapped[int]
    """Test statements."""
    interval: Mapped[Label]


class FeatureCosine(HeadRow):
    """Whitened, noise-corrected cosine of a head's toxicity direction with that of another feature.

    `cosine` and what follows from it are null where either direction is too noisy to have an angle.
    """

    __tablename__ = "feature_cosine"
    __table_args__ = (
        UniqueConstraint(
            "checkpoint_id", "probe_set_id", "position", "layer", "head", "feature", name="uq_feature_cosine"
        ),
    )

    variable: Mapped[Label]
    """What the feature is a value of, e.g. `topic`."""
    feature: Mapped[Label]
    """E.g. `topic: sailing`: statements with this value against the others."""
    cosine: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    null_low: Mapped[float | None]
    """2.5th and 97.5th percentile of the cosine where the feature has nothing to do with toxicity."""
    null_high: Mapped[float | None]
    p: Mapped[float | None]
    reliability: Mapped[float]
    """Share of the feature direction's squared length that is not sampling noise; 0 or less: all noise."""
    toxicity_reliability: Mapped[float]
    """The same of the toxicity direction, as estimated within the values of this variable."""
    n: Mapped[int]
    n_feature: Mapped[int]


class Entanglement(HeadRow):
    """Of a head: the largest |cosine| of toxicity with the other features, with its null and references."""

    __tablename__ = "entanglement"
    __table_args__ = (
        UniqueConstraint(
            "checkpoint_id", "probe_set_id", "position", "layer", "head", name="uq_entanglement_head"
        ),
    )

    value: Mapped[float | None]
    """Null where toxicity, or every other feature, is too noisy in this head."""
    low: Mapped[float | None]
    high: Mapped[float | None]
    feature: Mapped[Label | None]
    """The feature that attains it."""
    null_mean: Mapped[float | None]
    null_high: Mapped[float | None]
    """95th percentile of the largest |cosine| with permuted feature labels."""
    p: Mapped[float | None]
    """Chance of a value as large when no feature has to do with toxicity; corrected for the number tried."""
    random_median: Mapped[float | None]
    """Median and 95th percentile of the largest |cosine| with as many random directions."""
    random_high: Mapped[float | None]
    welch: Mapped[float | None]
    """Welch's bound on the largest |cosine| among all features; null where they fit into the dimensions."""
    used: Mapped[int]
    """Features with a cosine, of `tried`."""
    tried: Mapped[int]
    dimensions: Mapped[int]
    n: Mapped[int]
    method: Mapped[Label]


class LensToken(ProbeSetRow):
    """One of the tokens that a head's direction raises (`top`) or lowers (`bottom`) most."""

    __tablename__ = "lens_token"
    __table_args__ = (
        UniqueConstraint(
            *("checkpoint_id", "probe_set_id", "position", "method", "layer", "head", "side", "rank"),
            name="uq_lens_token_rank",
        ),
    )

    position: Mapped[Label]
    method: Mapped[Label]
    """How the direction was found: `mass_mean` or `probe`."""
    layer: Mapped[int]
    head: Mapped[int]
    side: Mapped[Label]
    rank: Mapped[int]
    token_id: Mapped[int]
    token: Mapped[Quote]
    logit: Mapped[float]
    """Change of the token's logit against the mean token, for one sigma along the direction."""
    permuted: Mapped[float | None]
    """The value that 5 % of directions made with permuted labels pass at this rank; null without them."""
    random: Mapped[float]
    """The same of random directions of equal length."""


class HeadSummary(StudyRow):
    """A statistic of an arm's heads, over its seeds, and against the arm without toxic text."""

    __tablename__ = "head_summary"
    __table_args__ = (UniqueConstraint("study_id", "kind", "share", "name"), {"info": FOLLOWS})

    kind: Mapped[Label]
    share: Mapped[float]
    name: Mapped[Label]
    """Of accuracies `mean`, `median`, `p90` (90th percentile), `max`, and e.g. `above-0.7`, the fraction of
    heads above it; `mean-unseen` and `p90-unseen`, without test statements that share a sentence with the
    train split; `entanglement`, the mean over the selected heads; `gain-text`, `gain-embeddings` and
    `gain-untrained`, what these gain in AUROC over the better text-only baseline, the arm's own embeddings
    and its own step 0."""
    value: Mapped[float]
    low: Mapped[float | None]
    high: Mapped[float | None]
    difference: Mapped[float | None]
    """Against the arm without toxic text, on the same statements; null in that arm itself."""
    difference_low: Mapped[float | None]
    difference_high: Mapped[float | None]
    p: Mapped[float | None]
    n_seeds: Mapped[int]
    n: Mapped[int]
    """Test statements, the unit that is resampled; never heads."""
    heads: Mapped[int]
    interval: Mapped[Label]
