"""A cache of figures, ready to be sent, by the chart's function and the contents of its arguments.

Building and checking a Plotly figure takes most of the time of a page, and every viewer of a study asks for
the same ones. So a figure is found again by what it was drawn from: the chart's function and the contents of
its arguments, DataFrames included. A change of the database that leaves those rows alone costs no drawing.
"""

from __future__ import annotations

import hashlib
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from threading import Lock
from typing import Any, ParamSpec

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.basedatatypes import BaseFigure, BaseTraceType

from hormesis.dashboard.base.wording import figure_texts

P = ParamSpec("P")
KEPT_BYTES = 64_000_000
"""Figures are forgotten, the longest unused first, when the rows they were drawn from are more than this."""


_SCALAR = frozenset({str, int, float, bool, type(None), type(pd.NA)})


class Drawn(BaseFigure):  # type: ignore[misc]
    """A figure as the dictionary that is sent. Shared between viewers, so never changed; see `figure`."""

    def __init__(self, sent: dict[str, Any]) -> None:
        # Plotly's own beginning would check and copy everything again.
        self.__dict__["_sent"] = sent

    def to_dict(self) -> dict[str, Any]:
        """`{data, layout}` of plain lists, numbers and words; typed arrays as base64 text."""
        sent: dict[str, Any] = self.__dict__["_sent"]
        return {**sent}

    def plus(self, *, traces: Sequence[BaseTraceType] = (), shapes: Sequence[dict[str, Any]] = ()) -> Drawn:
        """This figure with marks on top, as for what is chosen: what is below them is not drawn again."""
        sent = self.to_dict()
        layout = sent["layout"]
        return Drawn(
            {
                **sent,
                "data": [*sent["data"], *(_plain(trace.to_plotly_json()) for trace in traces)],
                "layout": {**layout, "shapes": [*layout.get("shapes", ()), *shapes]} if shapes else layout,
            }
        )

    @cached_property
    def figure(self) -> go.Figure:
        """The figure as an object of Plotly's, for files; made when asked for."""
        return go.Figure(self.to_dict())


class _Shelf:
    """Figures by what they were drawn from; each is drawn once, however many ask for it at the same time."""

    def __init__(self, most: int) -> None:
        self._most, self._weight = most, 0
        self._lock = Lock()
        self._figures: OrderedDict[bytes, tuple[Drawn, int]] = OrderedDict()
        self._under_way: dict[bytes, Lock] = {}

    def get(self, key: bytes, weight: int, draw: Callable[[], Drawn]) -> Drawn:
        """The figure stored under `key`, else drawn and stored; `weight`: bytes of what it is drawn from."""
        with self._lock:
            if key in self._figures:
                self._figures.move_to_end(key)
                return self._figures[key][0]
            lock = self._under_way.setdefault(key, Lock())
        with lock:
            with self._lock:
                if key in self._figures:
                    return self._figures[key][0]
            try:
                figure = draw()
                self._keep(key, figure, weight)
            finally:
                with self._lock:
                    self._under_way.pop(key, None)
        return figure

    def _keep(self, key: bytes, figure: Drawn, weight: int) -> None:
        with self._lock:
            self._figures[key] = (figure, weight)
            self._weight += weight
            while self._weight > self._most and len(self._figures) > 1:
                _, (_, freed) = self._figures.popitem(last=False)
                self._weight -= freed

    def clear(self) -> None:
        with self._lock:
            self._figures.clear()
            self._weight = 0


_SHELF = _Shelf(KEPT_BYTES)


def drawn(chart: Callable[P, go.Figure], *args: P.args, **options: P.kwargs) -> Drawn:
    """What `chart(*args, **options)` gives, stored; `chart` must depend on its arguments alone.

    Of a DataFrame names, types and values of the columns count, its index does not.
    """
    digest = hashlib.blake2b(digest_size=20)
    weight = 0
    for part in _content((chart.__module__, chart.__qualname__, args, options)):
        digest.update(b"%d:" % len(part))
        digest.update(part)
        weight += len(part)
    return _SHELF.get(digest.digest(), weight, lambda: ready(chart(*args, **options)))


def _content(value: Any) -> Iterator[bytes]:
    """The value as pieces of bytes: the same for equal contents, whichever objects hold them."""
    if isinstance(value, pd.DataFrame):
        yield b"frame"
        for name, column in value.items():
            yield repr((name, str(column.dtype))).encode()
            yield from _content(column.to_numpy() if _is_plain(column.dtype) else column.tolist())
    elif isinstance(value, np.ndarray) and value.dtype.kind != "O":
        yield repr((value.dtype.str, value.shape)).encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, dict | list | tuple | np.ndarray):
        pairs = value.items() if isinstance(value, dict) else value
        if all(map(_SCALAR.__contains__, map(type, pairs))):
            yield repr((type(value).__name__, list(pairs))).encode("utf-8", "surrogatepass")
            return
        yield repr((type(value).__name__, len(value))).encode()
        for part in pairs:
            yield from _content(part)
    elif type(value) in _SCALAR:
        yield repr(value).encode("utf-8", "surrogatepass")
    else:
        yield pickle.dumps(value, protocol=5)


def _is_plain(dtype: Any) -> bool:
    """Whether a column is one block of numbers in memory."""
    return isinstance(dtype, np.dtype) and dtype.kind != "O"


def ready(figure: go.Figure) -> Drawn:
    """The figure as it is sent: every one goes through here."""
    sent = figure.to_dict()
    for trace in sent["data"]:
        trace.pop("uid", None)
    return Drawn(figure_texts(_plain(sent)))


def _plain(value: Any) -> Any:
    """Arrays as lists and missing numbers as None: what the standard library writes as JSON in one go."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return value


def forget() -> None:
    """Drop every figure."""
    _SHELF.clear()
