"""Fixtures shared by all tests: real data where it is at hand, a home of its own, quiet libraries."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard import pace

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("HORMESIS_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "probe_labelled.parquet").is_file():
        pytest.skip("the real data sets are not here; set HORMESIS_TEST_DATA to their folder")
    return folder


@pytest.fixture(autouse=True)
def own_main() -> Iterator[None]:
    """Streamlit's AppTest leaves a page as `__main__`, which processes started later would run again."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture(autouse=True)
def no_browser_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages drawn without a browser need not wait for one; those of the browser tests are other processes."""
    monkeypatch.setattr(pace, "ANSWER_FIRST", 0.0)


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a database of the test's own."""
    monkeypatch.setenv("HORMESIS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HORMESIS_DB", raising=False)
    return tmp_path / "home"
