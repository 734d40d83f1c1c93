"""A classifier as its files describe it: folder, toxic output, activation, and what it was trained on.

Reads JSON and the model card alone: nothing is loaded, so that a run can be refused before it begins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from hormesis.backend.hub import HubError, hub_folder, is_hub_name, split_revision
from hormesis.backend.scorers.base import ALTERNATIVES, ScorerError
from hormesis.db.contract.scorer_training import NOT_STATED, SAFETENSORS, Training, training_of

Activation = Literal["sigmoid", "softmax", "none"]
REMEDY = "in a copy of its folder, and name that as classifier:FOLDER"
_TOXIC = re.compile(r"toxic|hate|offens|abus", re.IGNORECASE)
_NOT = re.compile(r"^(non|not|no|un)[\W_]*|[\W_](non|not)[\W_]", re.IGNORECASE)
_ACTIVATIONS: dict[str, Activation] = {
    "multi_label_classification": "sigmoid",
    "single_label_classification": "softmax",
    "regression": "none",
}


def classifier_folder(source: str) -> Path:
    """The folder of a classifier's files: `source` itself, or that of a hub name (`NAME@REVISION`).

    Raises ScorerError for what cannot be had, or holds no safetensors.
    """
    name, revision = split_revision(source)
    folder = Path(source)
    if not folder.is_dir():
        if not is_hub_name(name):
            raise ScorerError(f"classifier '{source}': no such folder")
        try:
            folder = hub_folder(name, revision)
        except HubError as error:
            raise ScorerError(f"classifier '{source}': {error}; {ALTERNATIVES}") from error
    if not any(folder.glob("*.safetensors")):
        pinned = SAFETENSORS.get(name)
        advice = f"write classifier:{name}@{pinned}" if pinned else f"convert its weights, {ALTERNATIVES}"
        raise ScorerError(f"classifier '{source}' holds no safetensors: {advice}")
    return folder


def check_classifier(source: str) -> None:
    """Raise ScorerError where a classifier cannot be had, or does not say which output is toxic."""
    read_outputs(classifier_folder(source), source)


def read_outputs(folder: Path, source: str) -> tuple[int, Activation]:
    """Index of the toxic output, and its activation, as `config.json` says. Raises ScorerError."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return toxic_label(labels_of(config)), activation(config)
    except ScorerError as error:
        raise ScorerError(f"classifier '{source}': {error}") from None
    except (OSError, ValueError, AttributeError) as error:
        raise ScorerError(f"classifier '{source}': its config.json cannot be read ({error})") from error


def labels_of(config: Mapping[str, Any]) -> dict[int, str]:
    """Name of each output by index, as the configuration says; empty where it says none."""
    return {int(index): str(name) for index, name in (config.get("id2label") or {}).items()}


def toxic_label(label_names: Mapping[int, str]) -> int:
    """Index of the output that means toxic: `toxic` itself, else the first whose name says so.

    `non-toxic` and the like never count. Raises ScorerError where no name does: an index is never guessed.
    """
    for index, name in sorted(label_names.items()):
        if name.strip().lower() in ("toxic", "toxicity"):
            return index
    for index, name in sorted(label_names.items()):
        if _TOXIC.search(name) and not _NOT.search(name):
            return index
    labels = ", ".join(name for _, name in sorted(label_names.items())) or "none"
    raise ScorerError(
        f"no label means toxic (labels: {labels}): use another checkpoint, or write the "
        f"names of its outputs as id2label into config.json {REMEDY}"
    )


def activation(config: Mapping[str, Any]) -> Activation:
    """What makes probabilities of a classifier's outputs: as the configuration says, as pipelines read it.

    Where it says nothing: sigmoid for one output, softmax for two. Raises ScorerError for more, which may
    exclude each other or not.
    """
    stated = config.get("function_to_apply")
    if stated in ("sigmoid", "softmax", "none"):
        return stated  # type: ignore[no-any-return]
    if problem := _ACTIVATIONS.get(str(config.get("problem_type"))):
        return problem
    count = len(labels_of(config))
    if count > 2:
        raise ScorerError(
            f"it is not said whether its {count} labels exclude each other: write problem_type "
            f"into config.json {REMEDY}"
        )
    return "sigmoid" if count == 1 else "softmax"


def card_training(folder: Path, scorer_name: str) -> Training:
    """What a classifier was trained on: as declared for its name, else by `datasets` of its model card."""
    declared = training_of(scorer_name)
    if declared.text != NOT_STATED:
        return declared
    from huggingface_hub import ModelCard

    try:
        data = ModelCard.load(folder / "README.md").data.to_dict().get("datasets") or []
    except Exception:  # no card, or one whose header is not YAML
        data = []
    names = [data] if isinstance(data, str) else [str(name) for name in data]
    text = f"{', '.join(names)}, by its model card." if names else NOT_STATED
    return Training(text=text, data=tuple(names))
