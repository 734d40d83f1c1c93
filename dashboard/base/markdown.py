"""Text of others inside Markdown: names, paths and messages are shown as they are written.

Streamlit reads Markdown in most of what it draws. What is not ours goes through `plain`; that a browser
fetches nothing from elsewhere, whatever a text says, is the part of `dashboard.app`.
"""

from __future__ import annotations

import re

_SIGNS = re.compile(
    r"""[\\`*\[\]<>~$&@|]          # emphasis, code, links, tags, formulas, entities, cells of tables
    |(?<![^\W_])_|_(?![^\W_])      # an underscore at the edge of a word
    |:(?=\S)                       # a directive or the scheme of a link; `name: value` stays
    |(?<=www)\.                    # a link without a scheme
    |^[\#+\-=]|(?<=^\d)[.)]        # a heading or a list
    """,
    re.VERBOSE | re.IGNORECASE,
)


def plain(text: object) -> str:
    """The text on one line, each sign that Markdown or Streamlit's directives would read escaped."""
    return _SIGNS.sub(lambda sign: f"\\{sign[0]}", " ".join(str(text).split()))
