"""Text that others chose, made harmless: what a name may be, and how any text is put on one line.

Opens nothing. Names stand in paths, terminals, pages and spreadsheets, so they are short and of plain signs.
What is shown all the same (names of older databases, messages) is escaped in one place for each medium:
`Terminal` for terminals, `plain` of `dashboard.base.wording` for pages, `write_csv` for spreadsheets.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

LONGEST_NAME = 100
"""Characters."""
SIGNS = " ._-+:/,()@#%&~"
"""What a name may hold beside letters and digits (of any script)."""
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


class NameRefused(ValueError):
    """A name is not a plain one; one line for the person."""


def plain_name(name: str) -> str:
    """The name, where it is short and plain. Raises NameRefused."""
    if not 0 < len(name) <= LONGEST_NAME:
        raise NameRefused(f"a name has 1 to {LONGEST_NAME} characters, this one has {len(name):,}")
    if odd := sorted({sign for sign in name if not (sign.isalnum() or sign in SIGNS)}):
        signs = " ".join(ascii(sign) for sign in odd[:5])
        raise NameRefused(
            f"'{printable(name)}' is no plain name: it holds {signs}; a name is of letters, digits and "
            f"{SIGNS.strip()}"
        )
    if not name[0].isalnum() or name[-1] == " ":
        raise NameRefused(f"'{printable(name)}' is no plain name: it begins with a letter or a digit")
    return name


PlainName = Annotated[str, AfterValidator(plain_name)]
"""For a field of a pydantic model."""


def printable(text: str) -> str:
    r"""The text on one line: signs that a terminal would act on are shown, e.g. a line break as `\n`."""
    return re.sub(
        r"[^ -~]",
        lambda match: ascii(match[0])[1:-1] if unicodedata.category(match[0]) in _HIDDEN else match[0],
        text,
    )
