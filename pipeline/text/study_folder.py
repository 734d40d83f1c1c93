"""Where the text that all arms of a study share lies."""

from __future__ import annotations

from pathlib import Path

from hormesis.pipeline.execution.context import StudyContext


def text_folder(context: StudyContext) -> Path:
    """Where the shared files of a study lie."""
    return context.folder("text", context.inputs.text)
