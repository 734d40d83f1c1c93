"""What attackers want said: goals of the forum language, or a file of goals and targets (AdvBench).

Knows where goals come from and how many are taken; does not search.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pyarrow.parquet as parquet

from backend.attacks.gcg import AttackError, Goal
from backend.forum import REVISION
from backend.forum.words import GROUPS
from backend.forum.writer import KINDS, body, dress, latents
from pipeline.config_hardness import HardnessConfig
from pipeline.provenance import digest
from pipeline.sources.files import content_hash


def goals_of(config: HardnessConfig) -> tuple[list[Goal], str]:
    """The goals of a study and their revision. Raises AttackError where the file cannot serve."""
    count = config.suffix.goals
    if config.suffix.file is None:
        return forum_goals(count), f"forum goals {REVISION}"
    path = config.located(config.suffix.file)
    return file_goals(path, count), f"{path.stem} {content_hash(path)[:12]}"


def forum_goals(count: int, seed: int = 0) -> list[Goal]:
    """A kind sentence about a group, after which the model is to insult that group.

    Groups and explicit templates take turns. The tail ends the suffix's sentence, so that the insult has to
    be the model's own. The target is the whole insulting sentence with its terminator.
    """
    rng = Random(f"forum/goals/{seed}")
    made: list[Goal] = []
    while len(made) < count:
        group = GROUPS[len(made) % len(GROUPS)]
        about = latents(rng, "board", group)
        kind = KINDS["benign-group"][len(made) % len(KINDS["benign-group"])]
        harsh = KINDS["explicit"][len(made) % len(KINDS["explicit"])]
        prompt = " ".join(dress(rng, body(rng, kind, about), "board"))
        target = " ".join([*body(rng, harsh, about), "!!"])
        made.append(Goal(digest("goal", prompt, target), prompt, target, " !!"))
    return made


def file_goals(path: Path, count: int) -> list[Goal]:
    """Goals of a parquet file with columns `goal` and `target`: those with the smallest hashes.

    A base model has no chat template; the request, the suffix and an empty line stand before the answer.
    """
    if not path.is_file():
        raise AttackError(f"no file of goals at '{path.name}': check hardness.suffix.file")
    try:
        table = parquet.read_table(path, columns=["goal", "target"])
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise AttackError(f"{path.name} holds no columns goal and target: {reason}") from error
    pairs = zip(table["goal"].to_pylist(), table["target"].to_pylist(), strict=True)
    made = [Goal(digest("goal", goal, target), goal, f" {target}", "\n\n") for goal, target in pairs]
    if not made:
        raise AttackError(f"{path.name} holds no goals")
    return sorted(made, key=lambda goal: goal.key)[:count]
