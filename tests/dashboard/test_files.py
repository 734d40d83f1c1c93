"""Files of every view of every page: CSV, Parquet and HTML hold its rows, and say where they came from."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pandas as pd
import pyarrow.parquet as pq
import pytest

from hormesis.dashboard.base import exports
from hormesis.dashboard.parts import card
from tests.fixtures.pages import ATTACKS, assert_same_rows, comments, open_page

VIEWS = (
    "overview?more=Fluency",
    "tradeoffs?behind=All+conditions",
    "tradeoffs?behind=Null+directions",
    "tradeoffs?behind=Fluency",
    "geometry",
    *(
        f"geometry?part=Heads&heads={heads}"
        for heads in ("Maps", "Difference", "Distribution", "By+arm", "Baselines")
    ),
    *(f"geometry?part=One+head&about={about}" for about in ("Statements", "Every+arm")),
    *(f"geometry?part=Entanglement&tangle={view}" for view in ("By+arm", "By+feature")),
    "geometry?part=Activations&head=L1H0",
    *(f"robustness?attack={attack}" for attack in ATTACKS),
    "toy",
    "runs",
    "runs?tab=Loss+curves",
    "runs?tab=Compare",
    "runs?tab=Where+numbers+come+from",
    *(f"data?show={show}" for show in ("Mixes", "Labelled+statements", "Generations", "Scores+and+scorers")),
)
pytestmark = pytest.mark.usefixtures("fresh_pages")
HTML_ROWS = 500
"""The most that a page of its own lists."""


@pytest.mark.parametrize("link", VIEWS)
def test_every_file_holds_the_rows_of_its_view(
    tiny_database: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    files: dict[str, Callable[[], bytes]] = {}
    row_counts: dict[str, int] = {}

    def offer(label: str, make: Callable[[], bytes], name: str, *, mime: str, key: str) -> None:
        assert name.startswith("seeded-test-data-") and label and mime
        files[key] = make

    def table(rows: pd.DataFrame, *, key: str, **options: Any) -> Any:
        row_counts[key] = len(rows)
        return ordinary_table(rows, key=key, **options)

    ordinary_table = card.table
    monkeypatch.setattr(card, "_button", offer)
    monkeypatch.setattr(card, "table", table)
    page, _, query = link.partition("?")
    app = open_page(tiny_database, monkeypatch, page, **dict(parse_qsl(query)))
    assert not app.exception
    views = [key.removesuffix("_html") for key in files if key.endswith("_html")]
    assert views
    for key in views:
        csv = files[f"{key}_csv"]().decode()
        rows = pd.read_csv(io.StringIO(csv), comment="#", dtype=str, keep_default_na=False)
        notes, parquet = comments(csv), files[f"{key}_parquet"]()
        assert len(rows) == int(notes["rows"]), key
        assert row_counts.get(key, len(rows)) == len(rows), key
        assert (
            json.loads(pq.read_schema(io.BytesIO(parquet)).metadata[exports.METADATA]).keys() == notes.keys()
        )
        assert_same_rows(rows, pd.read_parquet(io.BytesIO(parquet)))
        if page != "toy":
            assert notes["study hash"] == "0" * 16 and "forum-1" in notes["data forum-clean"], key
        document = files[f"{key}_html"]().decode()
        # The header's row, and those of the notes.
        assert document.count("<tr") >= min(len(rows), HTML_ROWS), key
        assert "https://" not in document.partition("</head>")[0], key
