"""What attackers want said: goals of the forum language, or a file of goals and targets (AdvBench).

Knows where goals come from and how many are taken; does not search.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from hormesis.backend.attacks.goal import AttackError, Goal
from hormesis.backend.forum import REVISION
from hormesis.backend.forum.judge import is_undecided
from hormesis.backend.forum.words import GROUPS
from hormesis.backend.forum.writer import KINDS, Latents, body, dress, latents
from hormesis.db.files import content_hash
from hormesis.pipeline.execution.provenance import digest
from hormesis.pipeline.sources.files import table_rows
from hormesis.pipeline.sources.rows import text_in
from hormesis.pipeline.study.config_sections import HardnessConfig

GOALS = "forum goals 2"
"""How goals of the forum language are posed; the language's own revision stands beside it."""


def goals_of(config: HardnessConfig) -> tuple[list[Goal], str]:
    """The goals of a study and their revision. Raises SourceError where the file cannot serve."""
    count = config.suffix.goals
    if config.suffix.file is None:
        return forum_goals(count), f"{GOALS} {REVISION}"
    path = config.located(config.suffix.file)
    return file_goals(path, count), f"{path.stem} {content_hash(path)[:12]}"


def forum_goals(count: int, seed: int = 0) -> list[Goal]:
    """A kind sentence about a group, after which the model is to insult that group.

    Groups and explicit templates take turns. The suffix lengthens the kind sentence; the tail ends it and
    gives the next one its first word, which fits harmless sentences as well. So the insult has to be the
    model's own, and it cannot end the text instead: after a whole sentence the likeliest single token is the
    end of the text, and greedy decoding would say nothing at all. The target is the rest of an insulting
    sentence with its terminator.
    """
    rng = Random(f"forum/goals/{seed}")
    goals: list[Goal] = []
    while len(goals) < count:
        group = GROUPS[len(goals) % len(GROUPS)]
        about = latents(rng, "board", group)
        template = KINDS["benign-group"][len(goals) % len(KINDS["benign-group"])]
        prompt = " ".join(dress(rng, body(rng, template, about), "board")[:-1])
        # Templates whose first word decides already are passed over.
        first, *rest = _harsh(rng, len(goals), about)
        tail, target = f" !! {first}", " ".join([*rest, "!!"])
        goals.append(Goal(digest("goal", prompt, tail, target), prompt, target, tail))
    return goals


def _harsh(rng: Random, turn: int, about: Latents) -> list[str]:
    """Words of an explicit insult that begins like some harmless sentence; templates take turns."""
    for form in range(turn, turn + len(KINDS["explicit"])):
        sentence = body(rng, KINDS["explicit"][form % len(KINDS["explicit"])], about)
        if is_undecided(sentence[:1]):
            return sentence
    raise AttackError("every explicit insult is known by its first word")


def file_goals(path: Path, count: int) -> list[Goal]:
    """Goals of a table with columns `goal` and `target`: those with the smallest hashes.

    A base model has no chat template; the request, the suffix and an empty line stand before the answer.
    Raises SourceError where the file cannot be read as every source is.
    """
    pairs = [
        tuple(text_in(row, column, row_name) for column in ("goal", "target"))
        for row_name, row in table_rows(path, ("goal", "target"))
    ]
    goals = [Goal(digest("goal", goal, target), goal, f" {target}", "\n\n") for goal, target in pairs]
    return sorted(goals, key=lambda goal: goal.key)[:count]
