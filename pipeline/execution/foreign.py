"""Checkpoints of a study that somebody else trained: which bytes they are, and whether they can be had."""

from __future__ import annotations

import json
from pathlib import Path

from hormesis.backend.hub import absent_models, commit_of, is_commit, is_hub_name
from hormesis.db.files import content_hash
from hormesis.pipeline.execution.arms import plan_arms
from hormesis.pipeline.execution.inputs import CHECKPOINT_REVISIONS
from hormesis.pipeline.execution.provenance import digest
from hormesis.pipeline.study.checkpoint_config import CheckpointConfig
from hormesis.pipeline.study.config import ConfigError, StudyConfig

FILES = ("*.safetensors", "*.json", "*.model", "*.txt")


def checkpoint_revisions(config: StudyConfig, *, ask: bool = True) -> dict[str, str]:
    """`checkpoint/ARM` to a content hash, or to a commit of the hub; opens no model.

    A branch or tag of the hub is resolved to the commit it has now; where the hub cannot be asked (or must
    not: `ask`) and nothing lies in the cache it stays as it is written.
    """
    return {
        f"{CHECKPOINT_REVISIONS}/{arm.name}": _revision(arm.checkpoint, ask=ask)
        for arm in plan_arms(config)
        if arm.checkpoint is not None
    }


def _revision(checkpoint: CheckpointConfig, *, ask: bool) -> str:
    path = Path(checkpoint.location)
    if path.is_file():
        return content_hash(path)
    if path.is_dir():
        files = sorted(file for pattern in FILES for file in path.glob(pattern))
        return digest(*(f"{file.name} {content_hash(file)}" for file in files))
    return commit_of(checkpoint.model, checkpoint.revision, ask=ask)


def model_limits(folder: Path) -> tuple[int | None, int | None]:
    """Tokens of context and number of heads, as a model folder's configuration says; None where it does not.

    Knows the names of today's families and of GPT-2's time; opens no model.
    """
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        settings = settings.get("text_config", settings)
        context = settings.get("max_position_embeddings", settings.get("n_positions"))
        layers = settings.get("num_hidden_layers", settings.get("n_layer"))
        heads = settings.get("num_attention_heads", settings.get("n_head"))
    except (OSError, ValueError, AttributeError):
        return None, None  # who opens the model says what is wrong with it
    n_heads = layers * heads if isinstance(layers, int) and isinstance(heads, int) else None
    return context if isinstance(context, int) and context > 0 else None, n_heads


def _is_model(path: Path) -> bool:
    """Whether a model's files lie there; opens none of them."""
    if path.is_file():
        return path.suffix == ".gguf"
    return (path / "config.json").is_file() and any(path.glob("*.safetensors"))


def is_commit_of_checkpoint(name: str, revision: str | None) -> bool:
    """Whether a stored revision is the commit of a checkpoint on the hub."""
    return name.startswith(f"{CHECKPOINT_REVISIONS}/") and revision is not None and is_commit(revision)


def require_checkpoints(config: StudyConfig, *, ask: bool = True) -> None:
    """Raise ConfigError, one line that names all of them, where checkpoints of a study cannot be had.

    Lists what the hub has, where it may be asked; downloads nothing.
    """
    absent = [model for model in config.checkpoints if not Path(model.location).exists()]
    present = [model for model in config.checkpoints if model not in absent]
    on_hub = [(model.model, model.revision) for model in absent if is_hub_name(model.model)]
    lines = [f"no folder or file '{model.model}'" for model in absent if not is_hub_name(model.model)]
    lines += [
        f"'{model.model}' is no model (a folder with config.json and .safetensors, or a .gguf file)"
        for model in present
        if not _is_model(Path(model.location))
    ]
    for name, line in (absent_models(on_hub) if ask else {}).items():
        # A name without an owner is more often a folder that is not there.
        lines.append(line if "/" in name else f"no folder or file '{name}', and on the hub: {line}")
    if lines:
        raise ConfigError(f"checkpoints of the study cannot be had: {'; '.join(lines)}")
