"""What stands in a copy where something was left out of it, and how a page says so."""

from __future__ import annotations

from typing import Final

TEXT: Final = "(text left out)"
"""In place of what a model or a data set said; a number may follow."""
WEIGHTS: Final = "(weights left out)"
"""In place of the path of a checkpoint whose weights did not come along."""
FILES: Final = "(files left out)"
"""In place of the path of other files of a stage, which never come along."""
NOTE: Final = "Texts were left out of this file."
NO_WEIGHTS: Final = "Weights were left out of this file, so its models cannot be steered here."


BUNDLED: Final = "smollm2"
"""The source of a model whose file another package carries, so that it never needs to be copied."""


def is_left_out(value: object) -> bool:
    """Whether a text, or the path of weights or other files, was left out."""
    return isinstance(value, str) and value.startswith((TEXT, WEIGHTS, FILES))
