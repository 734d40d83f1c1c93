"""A checkpoint with attention in few layers: pages say so, and its map has empty rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import select

from hormesis.dashboard.base.wording import degraded_words
from hormesis.dashboard.charts.heads import head_map, limits
from hormesis.db.contract.sites import SiteShape, degraded, heads_in_words, site_shapes
from hormesis.db.engine import open_writer
from hormesis.db.schema import Checkpoint
from hormesis.db.write import write_session
from tests.fixtures.pages import open_page, words
from tests.fixtures.shared_worlds import copy_database

SITES = [{"layer": 3, "module": "layers.3.o_proj", "heads": 4, "head_dim": 8}]


@pytest.mark.usefixtures("fresh_pages")
@pytest.mark.parametrize("page", ["overview", "geometry", "runs"])
def test_pages_say_which_checkpoint_is_degraded(
    page: str, small_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "degraded.sqlite"
    engine = open_writer(copy_database(small_database, database))
    with write_session(engine) as session:
        checkpoint = session.scalars(select(Checkpoint).order_by(Checkpoint.id)).first()
        assert checkpoint is not None
        checkpoint.details = checkpoint.details | {"sites": SITES}
        name, n_layers = checkpoint.name, checkpoint.n_layers
    engine.dispose()
    app = open_page(database, monkeypatch, page)
    assert not app.exception
    assert f"{name}: degraded: 1 of {n_layers} layers have attention sites" in words(app)


def test_shapes_are_words() -> None:
    plain = site_shapes(details={"sites": ["a", "b"]}, n_layers=2, n_heads=4, head_dim=8)
    assert plain == [SiteShape(0, 4, 8), SiteShape(1, 4, 8)]
    assert heads_in_words(plain, 2) == "2 layers of 4 heads, each 8 wide" and degraded(plain, 2) == ""
    ragged = [SiteShape(0, 2, 8), SiteShape(2, 4, 16)]
    assert heads_in_words(ragged, 5) == "2 of 5 layers, each of 2 to 4 heads, 8 to 16 wide"
    assert degraded(ragged, 4) == "" and degraded(ragged, 5).startswith("degraded: 2 of 5 layers")
    table = pd.DataFrame({"name": list("abcde"), "n_layers": 9, "n_heads": 4, "head_dim": 8})
    table["details"] = [{"sites": SITES}] * 5
    assert degraded_words(table).startswith("a, b, c and 2 more: degraded: 1 of 9 layers")


def test_layers_without_attention_are_empty_rows_of_the_map() -> None:
    places = [(1, 0), (1, 1), (4, 0), (4, 1), (4, 2)]
    probes = pd.DataFrame(places, columns=["layer", "head"]).assign(accuracy=0.7, rank=float("nan"))
    for column in ("accuracy_low", "accuracy_high", "auroc", "selectivity", "separation", "n_test"):
        probes[column] = 1
    span = limits("accuracy", probes)
    squares = head_map(probes, "accuracy", span=span, chosen=None, dark=False).data[0]
    assert list(squares.y) == [1, 2, 3, 4] and list(squares.x) == [0, 1, 2]
    filled = [[value == value for value in row] for row in squares.z]
    assert filled == [[True, True, False], [False] * 3, [False] * 3, [True] * 3]
