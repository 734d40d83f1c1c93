"""C3 and its neighbours: what the heads read, which words their directions raise, how entangled they are.

Reads probes, lens tokens and entanglement. Heads are never counted as samples.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sqlalchemy import select

from hormesis.db.schema import Checkpoint, Entanglement, Example, LensToken, ProbeGain, ProbeSet, Study
from hormesis.db.write import read_session
from hormesis.pipeline.claims.compare import (
    CLEAN_ARM,
    Pair,
    against,
    largest_and_none,
    mean_of_arms,
    toxic_only,
)
from hormesis.pipeline.claims.declared import (
    DIFFERENCE,
    DIRECTION,
    POINTS,
    Claim,
    Comparison,
    Missing,
    Outcome,
    Scale,
    Scope,
    directional,
)
from hormesis.pipeline.claims.rows import TOXIC, StudyRows, toxic_shares
from hormesis.pipeline.probing.baselines import ALL, EMBEDDINGS, MATCHED, SELECTED, UNTRAINED, WORDS
from hormesis.pipeline.probing.head_accuracy import (
    CLEAN,
    NAMES,
    ArmGroup,
    against_clean,
    balanced,
    statistics,
)
from hormesis.pipeline.probing.head_hits import arm_hits, labels_of, selected_entanglement
from hormesis.pipeline.text.stand_ins import judge_tokens

SESOI_POINTS, SESOI_COSINE, SESOI_WORDS, SESOI_GAIN = 0.5, -0.05, 10.0, 2.0
COSINE = Scale("|cos|", bounds=(0.0, 1.0))
GAIN = Scale("points of AUROC", factor=100.0, bounds=(-1.0, 1.0))
GAIN_DECLARED = (
    "Written after a look at the gains of forum by arm (not those on the same words): exploratory there, "
    "declared before anywhere else."
)
DRAWS = 500
BOTH = "Student's t over seeds (variance pooled over the claim's arms) and a bootstrap over statements, 95 %"


def _probe_set(study: StudyRows) -> tuple[int | None, str]:
    """The study's probe set and the position it is read at."""
    with read_session(study.engine) as session:
        set_id = session.scalar(select(ProbeSet.id).where(ProbeSet.study_id == study.study_id))
        config = session.get_one(Study, study.study_id).config
    return set_id, str((config.get("probe") or {}).get("position", "last"))


def _accuracy(study: StudyRows, statistic: str) -> Outcome:
    """A statistic (`mean`, ...) of heads' balanced accuracy; hits are bool [heads, statements] per seed."""
    set_id, position = _probe_set(study)
    hits_by_arm, statements = (
        ({}, []) if set_id is None else arm_hits(study.engine, study.study_id, set_id, position=position)
    )
    shares = toxic_shares(hits_by_arm)
    if set_id is None or not shares or shares[0] != 0 or len(shares) < 2:
        return Missing("needs the arm without toxic text and one with it")
    toxic, clusters = labels_of(study.engine, set_id, statements)
    arm = ArmGroup(TOXIC, shares[-1])
    difference = against_clean(hits_by_arm, toxic, clusters, arm=arm, statistic=statistic, draws=DRAWS)
    if difference is None:
        return Missing("needs two seeds of an arm")
    n_heads = hits_by_arm[CLEAN][0].shape[0]
    clean_hits = [statistics(balanced(hits, toxic, np.ones((1, len(toxic))))) for hits in hits_by_arm[CLEAN]]
    clean_value = float(np.mean([values[0, NAMES.index(statistic)] for values in clean_hits]))
    return directional(
        Comparison(difference, [replace(difference, value=end - clean_value) for end in (1, 0)]), +1,
        SESOI_POINTS, scale=POINTS, contrast=str(Pair((TOXIC, shares[-1]), CLEAN_ARM)),
        detail=f", {n_heads} heads, {len(toxic):,} test statements", interval=BOTH,
    )  # fmt: skip


def _words(study: StudyRows, scope: Scope) -> Outcome:
    """Toxic share of the words that directions raise less that of those they lower: toxic arm to [seeds].

    `tokens`: a row per word of a head; `judged`: those that are toxic words or not; `shares`: checkpoint by
    side.
    """
    set_id, _ = _probe_set(study)
    if set_id is None:
        return Missing("needs labelled statements")
    tokens = study.frame(
        select(LensToken.checkpoint_id.label("checkpoint"), LensToken.side, LensToken.token)
        .join(Checkpoint, LensToken.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.study_id == study.study_id, LensToken.probe_set_id == set_id)
    )
    if tokens.empty:
        return Missing("needs the words of directions (logit lens)")
    # Directions come from the train split: words that are toxic there by chance must not count.
    others = (Example.probe_set_id == set_id, Example.split != "train")
    statements = study.frame(select(Example.text, Example.label).where(*others))
    judged_tokens = judge_tokens(tokens["token"], statements)
    judged = tokens.assign(value=judged_tokens.values).dropna()
    shares = judged.groupby(["checkpoint", "side"])["value"].mean().unstack()
    if not {"top", "bottom"} <= set(shares.columns):
        return Missing("needs directions whose words occur in the statements")
    differences = (shares["top"] - shares["bottom"]).dropna().rename("value").reset_index()
    shares_by_arm = {
        arm: values for arm, values in toxic_only(study.by_arm(differences)).items() if arm != (TOXIC, 0.0)
    }
    detail = f", mean of {len(shares_by_arm)} arms with toxic text, {judged_tokens.toxic} toxic words of "
    detail += f"{judged_tokens.words:,}; seeds are the unit"
    effect = mean_of_arms(shares_by_arm, scale=DIFFERENCE, sign=+1)
    words = "words raised less words lowered"
    return directional(
        effect, +1, SESOI_WORDS, scale=DIFFERENCE, contrast=words, detail=detail, n=judged_tokens.words
    )


def _entangled(study: StudyRows, scope: Scope) -> Outcome:
    """The largest share less none, arm to [seeds]; `entanglement`: a row per selected head, values |cos|."""
    columns = (Entanglement.checkpoint_id.label("checkpoint"), Entanglement.value, Entanglement.n)
    entanglement = study.frame(selected_entanglement(study.study_id, *columns))
    if entanglement.empty:
        return Missing("needs entanglement of the selected heads")
    cosine_by_arm, n = study.by_arm(entanglement), int(entanglement["n"].max())
    pair = largest_and_none(cosine_by_arm)
    if isinstance(pair, Missing):
        return pair
    effect = against(cosine_by_arm, *pair, scale=COSINE, sign=-1)
    detail = f", mean over selected heads, {n:,} statements; seeds are the unit"
    return directional(effect, -1, SESOI_COSINE, scale=COSINE, contrast=str(pair), detail=detail, n=n)


def _gain(study: StudyRows, baseline: str, subset: str) -> Outcome:
    """What the selected heads gain in AUROC over a baseline, the largest share less none, arm to [seeds]."""
    set_id, position = _probe_set(study)
    gains = study.frame(
        select(ProbeGain.checkpoint_id.label("checkpoint"), ProbeGain.value, ProbeGain.n_test)
        .join(Checkpoint, ProbeGain.checkpoint_id == Checkpoint.id)
        .where(
            Checkpoint.study_id == study.study_id,
            ProbeGain.probe_set_id == set_id,
            ProbeGain.position == position,
            ProbeGain.heads == SELECTED,
            ProbeGain.baseline == baseline,
            ProbeGain.subset == subset,
        )
    )
    if gains.empty:
        words = " on statements whose words make both labels" if subset == MATCHED else ""
        return Missing(f"needs gains of probes{words}")
    gain_by_arm, n = study.by_arm(gains), int(gains["n_test"].max())
    pair = largest_and_none(gain_by_arm)
    if isinstance(pair, Missing):
        return pair
    effect = against(gain_by_arm, *pair, scale=GAIN, sign=+1)
    detail = f", mean over selected heads, {n:,} test statements; seeds are the unit"
    return directional(effect, +1, SESOI_GAIN, scale=GAIN, contrast=str(pair), detail=detail, n=n)


def _gain_claim(name: str, baseline: str, statement: str, question: str, over: str) -> Claim:
    """A claim on a gain; `over`: the baseline and the statements in words."""
    subset = MATCHED if baseline == WORDS else ALL
    return Claim(
        id=f"R-gain-{name}", family="readers", statement=statement, question=question,
        estimand=f"Mean AUROC of the selected heads less that of {over}, same test statements: largest share "
        "less none",
        rows="probe_gain of the selected heads",
        rule=f"{DIRECTION.format(sesoi=SESOI_GAIN, unit=GAIN.unit)} {GAIN_DECLARED}",
        test=lambda study, scope: _gain(study, baseline, subset), breadth="study",
    )  # fmt: skip


def _accuracy_claim(claim_id: str, statistic: str, title: str, *, question: str, estimand: str) -> Claim:
    """A claim on one statistic of the heads' accuracies, such as `p90`; `title`: words for it."""
    return Claim(
        id=claim_id,
        family="paper",
        statement=f"Probes of heads are better after toxic text ({title})",
        question=question,
        estimand=f"{estimand}, largest share less none",
        rows="probe_hits of every head and arm: the test statements that its probe got right",
        rule=DIRECTION.format(sesoi=SESOI_POINTS, unit="points"),
        test=lambda study, scope: _accuracy(study, statistic),
        breadth="study",
    )


CLAIMS = (
    _accuracy_claim(
        "C3-mean", "mean", "mean", question="Is toxicity represented more linearly?",
        estimand="Mean balanced accuracy over heads",
    ),
    _accuracy_claim(
        "C3-tail", "p90", "right tail", question="Do the best heads gain?",
        estimand="90th percentile over heads of balanced accuracy",
    ),
    Claim(
        id="C3-words", family="paper", statement="The chosen directions raise words of toxic text",
        question="Do directions give toxic words through the unembedding?",
        estimand="Share of toxic words (at least twice as frequent in toxic statements as in others, outside "
        "the "
        "split that directions are taken from) among the 12 tokens that a direction raises most, less the "
        "share among the 12 it lowers most; mean over kept heads and the arms with toxic text; tokens that "
        "are no word of 5 statements are left out",
        rows="lens_token of the kept heads, example of the probe set",
        rule=DIRECTION.format(sesoi=SESOI_WORDS, unit="points"), test=_words, breadth="study",
        later=True,
    ),
    Claim(
        id="R-entangled", family="readers",
        statement="In the language model toxicity is less entangled after toxic text",
        question="Is the toy experiment's mechanism there in the language model?",
        estimand="Largest |cosine| of toxicity with another feature, whitened and corrected for noise, mean "
        "over "
        "selected heads: largest share less none",
        rows="entanglement of the selected heads", rule=DIRECTION.format(sesoi=SESOI_COSINE, unit="|cos|"),
        test=_entangled,
        breadth="study", later=True,
    ),
    _gain_claim(
        "embeddings", EMBEDDINGS, "Toxic text adds to what heads read beyond the model's own words",
        "Are probes better, or only the embeddings?",
        "a probe of the mean of the model's own input embeddings",
    ),
    _gain_claim(
        "step-0", UNTRAINED, "Toxic text adds to what heads read beyond the untrained model",
        "Is it training that makes probes better?", "as many heads of the untrained model, its own choice",
    ),
    _gain_claim(
        "same-words", WORDS, "After toxic text heads read more where words tell nothing",
        "Is it toxicity, or the words of it?",
        "a reader of words, on statements whose words in another order make one of the other label (0.5)",
    ),
)  # fmt: skip
