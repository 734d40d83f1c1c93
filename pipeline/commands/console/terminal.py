"""What commands print: text as it is, never as markup, and nothing that a terminal would act on.

Every command prints through a `Terminal`; styles are given beside the text (`styled`), not inside it.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import ProgressColumn, Task
from rich.text import Text

from hormesis.db.contract.plain_names import printable


class Terminal(Console):
    """A console that takes every text for text: names, paths and messages may hold brackets or escape codes.

    One call prints one line, which is not wrapped; a table is fitted to the width.
    """

    def __init__(self, *, stderr: bool = True, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Rich asks for every string here: printed ones, cells and titles of tables."""
        return super().render_str(printable(text), **options)

    def say(self, *parts: str | tuple[str, str]) -> None:
        """Print one line; a part is a text, or a text and its style."""
        self.print(styled(*parts), soft_wrap=True)


def styled(*parts: str | tuple[str, str]) -> Text:
    """Texts, each with or without a style, as one."""
    return Text.assemble(
        *(printable(part) if isinstance(part, str) else (printable(part[0]), part[1]) for part in parts)
    )


class Words(ProgressColumn):
    """A column of a progress bar: a field of the task, or its description."""

    def __init__(self, field: str = "", style: str = "") -> None:
        super().__init__()
        self._field, self._style = field, style

    def render(self, task: Task) -> Text:
        """The text of one task."""
        return styled((str(task.fields[self._field] if self._field else task.description), self._style))
