"""Links that restore every control, and their way back. Knows query strings and settings; draws nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from hormesis.dashboard.app_pages.steer.catalogue import Offer
from hormesis.dashboard.app_pages.steer.defaults import default_count
from hormesis.dashboard.app_pages.steer.restore import of_request
from hormesis.dashboard.app_pages.steer.settings import (
    DIRECTIONS,
    SCOPES,
    SIGMAS,
    TEXTS,
    LoadProblem,
    SessionSettings,
    cost_words,
    find,
    parse_cost,
    widget_keys,
)
from hormesis.db.contract.messages import MAX_PANES

NUMBERS: dict[str, Callable[[str], Any]] = {
    "panes": int,
    "length": int,
    "heat": float,
    "top": float,
    "seed": int,
    "texts": lambda words: next((count for count, text in TEXTS.items() if text == words), 0) or int(words),
    "cost": parse_cost,
    "strength": float,
    "heads": int,
    "control": int,
}


def link(base: str, study: str, settings: SessionSettings, *, offers: Sequence[Offer]) -> str:
    """The page's address with every control spelt out, so that it opens the same view anywhere.

    Values stand there as the widgets read them (`words`: value to the widget's words): a method by its title,
    picked heads one by one.
    """
    # A strength in the link says by itself that none was matched.
    values = {key: value for key, value in settings.as_values().items() if value != SIGMAS}
    values["texts"] = TEXTS[settings.texts]
    for number, pane in enumerate(settings.panes, 1):
        if pane.cost is not None:
            values[f"cost{number}"] = cost_words(pane.cost)
        values |= {
            f"{key}{number}": words.get(value, value)
            for key, value, words in (
                ("method", pane.method, {m.name: m.title for m in find(pane.model, offers).methods}),
                ("direction", pane.direction, DIRECTIONS),
                ("scope", pane.scope, SCOPES),
            )
            if value is not None
        }
    pairs: list[tuple[str, Any]] = [("study", study)]
    for key, value in values.items():
        pairs += [(key, item) for item in value] if isinstance(value, list) else [(key, value)]
    return f"{base.partition('?')[0]}?{urlencode(pairs)}"


def read(text: str, offers: Sequence[Offer]) -> SessionSettings:
    """Settings of a link, or of a request as JSON (`text`). Raises LoadProblem, one sentence."""
    text = text.strip()
    if text.startswith("{"):
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            raise LoadProblem("This is not valid JSON.") from None
        return of_request(body, offers)
    try:
        query = parse_qs(urlsplit(text).query, max_num_fields=10_000)
    except ValueError:
        raise LoadProblem("This is not a link.") from None
    keys = set(widget_keys(MAX_PANES))
    if not keys & query.keys():
        raise LoadProblem("This is neither a link to this page nor a request as JSON.")
    values = {key: _value(key, texts) for key, texts in query.items() if key in keys}
    return SessionSettings.of_values({"panes": default_count(offers)} | values)


def _value(key: str, values: list[str]) -> Any:
    """The value of one control from its texts in a link; `stem`: its key without a pane's number."""
    stem = key.rstrip("0123456789")
    if stem == "picked":
        return values
    try:
        return NUMBERS.get(stem, str)(values[-1])
    except ValueError:
        raise LoadProblem(f"The link says '{values[-1][:30]}' for {stem}, which is no number.") from None
