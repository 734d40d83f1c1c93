"""Figures as JSON for a page that follows the reader's theme.

A figure is written once, for the light page, with the few places at which the dark one differs.
"""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go

from hormesis.dashboard.base.wording import figure_texts
from hormesis.dashboard.document.blocks import Chart

MOST_GL = 6_000
"""Points up to which a WebGL trace is drawn as SVG: browsers allow few WebGL charts, and none prints."""


def _plain(figure: go.Figure) -> dict[str, Any]:
    """The figure as JSON types, without its template and with small WebGL traces as SVG."""
    sent = json.loads(go.Figure(figure).update_layout(template=None).to_json())
    plain: dict[str, Any] = figure_texts(sent)
    plain["layout"].pop("template", None)
    for trace in plain["data"]:
        if trace.get("type") == "scattergl" and _length(trace.get("x")) <= MOST_GL:
            trace["type"] = "scatter"
    return plain


def _length(values: Any) -> int:
    if isinstance(values, dict):  # a typed array in base64; eight bytes a number at most
        return len(values.get("bdata", "")) * 3 // 4 // 4
    return len(values or ())


def differences(light: Any, dark: Any, path: tuple[str | int, ...] = ()) -> list[list[Any]]:
    """[path, value] of every place at which `dark` differs from `light`, for a figure of the same shape."""
    if isinstance(light, dict) and isinstance(dark, dict):
        changes = []
        for key in dark:
            changes += differences(light.get(key), dark[key], (*path, key))
        return changes
    if isinstance(light, list) and isinstance(dark, list) and len(light) == len(dark):
        changes = []
        for place, (value, other) in enumerate(zip(light, dark, strict=True)):
            changes += differences(value, other, (*path, place))
        return changes
    return [] if light == dark else [[list(path), dark]]


def as_json(chart: Chart) -> str:
    """JSON `{data, layout, dark}` that may stand inside a script element."""
    light = _plain(chart.light)
    content = {**light, "dark": differences(light, _plain(chart.dark)) if chart.dark is not None else []}
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
