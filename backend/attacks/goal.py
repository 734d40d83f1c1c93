"""What an attacker wants said. Imports nothing heavy: a study's goals are read before it begins."""

from __future__ import annotations

from dataclasses import dataclass


class AttackError(ValueError):
    """An attack was asked for that cannot be run; one line for the person."""


@dataclass(frozen=True)
class Goal:
    """What the attacker wants said: after `prompt`, a suffix and `tail` the model should say `target`.

    The tail stands between the suffix and the model's turn (a full stop, a line end), so that the suffix
    cannot begin the target's own sentence.
    """

    key: str
    prompt: str
    target: str
    tail: str = ""
