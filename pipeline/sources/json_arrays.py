"""Rows of a .json file: an array of objects, or objects one after another, read piece by piece."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hormesis.pipeline.sources.lines import not_utf8, utf8_chunks
from hormesis.pipeline.sources.record import SourceError

LONGEST_LITERAL = len("-Infinity")
"""An error this near to the end of what was read may be a value that goes on."""
LONGEST_INTEGER = 300
"""Digits."""
_BEFORE, _BETWEEN = re.compile(r"[\s\ufeff]*"), re.compile(r"[\s,]*")


def _integer(digits: str) -> int | float:
    """A whole number; one that no float holds is infinite, so that who needs it names its column."""
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


DECODER = json.JSONDecoder(parse_int=_integer)


class _Text:
    """The part of a file that was read last, parsed up to `place`."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path = path
        self._chunks = utf8_chunks(path, encoding)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self.part = ""
        self.place = 0

    def grow(self) -> bool:
        """Forget what is parsed and read on, at least as much as is left; False at the end of the file."""
        pieces = [self.part[self.place :]]
        missing = 1 + len(pieces[0])
        for chunk in self._chunks:
            try:
                pieces.append(self._decode(chunk))
            except UnicodeDecodeError:
                raise SourceError(not_utf8(self._path.name, chunk)) from None
            missing -= len(pieces[-1])
            if missing <= 0:
                break
        self.part, self.place = "".join(pieces), 0
        return len(pieces) > 1

    def skip(self, between: re.Pattern[str]) -> str:
        """Skip what stands between values; the next character, empty at the end of the file."""
        while True:
            match = between.match(self.part, self.place)
            self.place = match.end() if match else self.place
            if self.place < len(self.part) or not self.grow():
                return self.part[self.place : self.place + 1]


def json_rows(path: Path, encoding: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file and row, object) pairs. Memory: one piece of the file, or one object where it is larger.

    Raises SourceError, with the row's number, for what is no JSON or no object.
    """
    text = _Text(path, encoding)
    is_array = text.skip(_BEFORE) == "["
    text.place += is_array
    number = 0
    while (sign := text.skip(_BETWEEN)) not in ("", "]"):
        number += 1
        row_name = f"{path.name}, row {number}"
        if sign != "{":
            beginning = text.part[text.place : text.place + 20]
            raise SourceError(f"{row_name}: begins with {beginning!r}, where an object should stand")
        yield row_name, _next_object(text, row_name)
    if is_array and sign != "]":
        raise SourceError(f"{path.name}, after row {number}: the array is not closed; is the file whole?")


def _next_object(text: _Text, row_name: str) -> dict[str, Any]:
    """The object at the text's place, which moves behind it."""
    while True:
        try:
            row, text.place = DECODER.raw_decode(text.part, text.place)
        except RecursionError:
            raise SourceError(f"{row_name}: not valid JSON (nested too deep)") from None
        except json.JSONDecodeError as error:
            may_go_on = error.pos >= len(text.part) - LONGEST_LITERAL
            may_go_on |= error.msg.startswith("Unterminated string")
            if not may_go_on or not text.grow():
                raise SourceError(f"{row_name}: not valid JSON ({error.msg})") from None
        else:
            assert isinstance(row, dict)
            return row
