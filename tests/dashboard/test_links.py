"""Every control of every page lives in the link: a link that names another choice opens the page with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from tests.fixtures.pages import ATTACKS, open_page

pytestmark = pytest.mark.usefixtures("fresh_pages")
CHOICES = (
    "selectbox",
    "button_group",
    "toggle",
    "checkbox",
    "slider",
    "number_input",
    "text_input",
    "pagination",
)
NO_LINK = ("reveal_all",)
"""Texts are never revealed by a link."""
SIDEBAR = ("study", "prompts", "scorer", "view")
"""Controls of every page, tried on the first."""
LINKS = (
    "overview",
    "overview?more=Fluency",
    "tradeoffs",
    "tradeoffs?behind=All+conditions",
    "tradeoffs?behind=Null+directions",
    *(f"geometry?part={part}" for part in ("Directions", "Heads", "One+head", "Entanglement", "Activations")),
    *(f"robustness?attack={attack}" for attack in ATTACKS),
    "toy",
    *(f"runs?tab={tab}" for tab in ("Loss+curves", "Compare", "Where+numbers+come+from")),
    *(f"data?show={show}" for show in ("Labelled+statements", "Generations")),
)


def other_choice(control: Any) -> Sequence[str] | None:
    """Another choice than the control has, as a link writes it; None where there is none."""
    kind, proto = type(control).__name__, control.proto
    if kind in ("Selectbox", "ButtonGroup"):
        options = (
            [option.content for option in proto.options] if kind == "ButtonGroup" else list(control.options)
        )
        chosen = control.index if kind == "Selectbox" else next(iter(control.indices), None)
        return next(([name] for at, name in reversed([*enumerate(options)]) if at != chosen), None)
    if kind in ("Toggle", "Checkbox"):
        return [str(not control.value).lower()]
    if kind == "Slider":
        low, high = control.value if isinstance(control.value, tuple) else (None, control.value)
        step = proto.step * (-1 if high == proto.max else 1)
        return [str(value) for value in (low, round(high + step, 6)) if value is not None]
    if kind == "NumberInput":
        return [str((control.value or 4) + 1)]
    if kind == "Pagination":
        return ["2"] if proto.num_pages > 1 else None
    return ["the"]


def controls(app: AppTest) -> dict[str, Any]:
    """Every control of the page by its key."""
    return {control.key: control for kind in CHOICES for control in app.get(kind)}


@pytest.mark.parametrize("link", LINKS)
def test_every_control_lives_in_the_link(
    small_database: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    """The browser tests see that a choice goes into the link; here every control is restored by one."""
    page, _, query = link.partition("?")
    of_link = dict(parse_qsl(query))
    first = controls(open_page(small_database, monkeypatch, page, **of_link))
    assert {key for key, control in first.items() if not control.proto.query_param_key} <= set(NO_LINK)
    fixed = {*NO_LINK, *of_link, *(() if link == LINKS[0] else SIDEBAR)}
    choices = {key: other_choice(control) for key, control in first.items() if key not in fixed}
    left = {key: choice for key, choice in choices.items() if choice is not None}
    assert left, "the page has nothing to choose"
    while left:
        app = open_page(small_database, monkeypatch, page, **of_link, **left)
        assert not app.exception
        restored = {
            key for key, control in controls(app).items() if key in left and control.value != first[key].value
        }
        assert restored, f"{left} are not in the link"
        # A choice may take others away or leave them no room; those are tried without it.
        left = {key: choice for key, choice in left.items() if key not in restored}
