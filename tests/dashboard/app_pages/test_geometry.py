"""The geometry page: one section at a time, maps with their verdict, the best head, older databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, select, update

from hormesis.db import read
from hormesis.db.engine import open_reader
from hormesis.db.schema import Checkpoint, MapAgreement, ProbeGain, Projection
from tests.fixtures.pages import clear_caches, open_page, words
from tests.fixtures.shared_worlds import changed_copy

pytestmark = pytest.mark.usefixtures("fresh_pages")
SECTIONS = {
    "Directions": {"directions"},
    "Heads": {"map_left", "map_right"},
    "One head": set(),
    "Entanglement": {"entangled"},
    "Activations": {"activations"},
}
TABLES_OF = {
    "map_agreement": "Directions",
    "direction_profile": "One head",
    "head_contribution": "One head",
    "activation_block": "Activations",
}
"""Tables that only one section reads."""


@pytest.mark.parametrize("section", SECTIONS)
def test_geometry_draws_and_reads_only_the_section_that_is_chosen(
    small_database: Path, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    clear_caches()
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "max(generation.id)" not in statement:  # the change token looks at the ids of all tables
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        app = open_page(small_database, monkeypatch, "geometry", part=section)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert not app.exception and app.segmented_control(key="part").value == section
    assert {chart.proto.id.split("-", 2)[-1] for chart in app.get("plotly_chart")} == SECTIONS[section]
    read = "\n".join(statements)
    assert {table for table in TABLES_OF if f"FROM {table}" in read} == {
        table for table, of in TABLES_OF.items() if of == section
    }


def test_the_first_screen_of_geometry_is_the_map_with_its_verdict(
    small_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(small_database, monkeypatch, "geometry")
    assert "These directions have structure (accuracy and layer)" in words(app)
    assert "Trustworthiness 0.88" in words(app)
    app.segmented_control(key="space").set_value("residual").run()
    assert not app.exception and "cannot be told from random ones" in words(app)
    assert "Residual maps are made for the first seed: of toxic-0-s0 here." in words(app)
    app.segmented_control(key="dirs").set_value("PCA, 3-D").run()
    app.segmented_control(key="colour").set_value("Selectivity").run()
    assert not app.exception
    link = open_page(
        small_database, monkeypatch, "geometry", space="Vocabulary", null="Random directions", colour="Seed"
    )
    assert not link.exception and "Toxicity directions by the tokens they write" in words(link)


def test_what_probes_gain_over_baselines_stands_beside_their_accuracy(
    small_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for view in ({"part": "Heads"}, {"part": "One head"}):
        app = open_page(small_database, monkeypatch, "geometry", **view)
        line = next(caption.value for caption in app.caption if "steered heads read" in caption.value)
        line = line.replace("\\", "")  # as Markdown shows it
        assert "25 % toxic, seed 0: the" in line and "mean AUROC of 0.810 [0.760, 0.860]" in line
        assert "+0.090 [+0.050, +0.130] against words alone (0.720)" in line
        assert "against itself untrained (0.620)" in line and "length" not in line and "n = " in line
    app = open_page(small_database, monkeypatch, "geometry", part="Heads", heads="Baselines")
    assert not app.exception and "read beyond baselines" in words(app)
    table = app.dataframe[0].value
    assert len(table) == 8 and "length and punctuation" in set(table["Baseline"])
    app = open_page(
        small_database, monkeypatch, "geometry", part="Heads", heads="By arm", stat="Gain over text"
    )
    assert not app.exception and "Gain over text, steered heads by arm" in words(app)
    overview = open_page(small_database, monkeypatch, "overview")
    assert "0 % toxic: gain over text +0.040 [" in words(overview)


def test_one_head_opens_on_the_best_of_the_checkpoint(
    small_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(small_database, monkeypatch, "geometry", part="One head")
    engine = open_reader(f"sqlite:///{small_database}")
    probes = read.study_probes(engine, 1)
    probes = probes[probes["checkpoint"] == "toxic-25-s0"].sort_values("select_accuracy")
    best = f"L{probes['layer'].iloc[-1]}H{probes['head'].iloc[-1]}"
    assert app.selectbox(key="head").value == best
    assert next(metric.label for metric in app.metric) == f"Accuracy of {best}"
    assert f"**What {best} of 25 % toxic, seed 0 responds to**" in words(app)
    assert "Right where the others fail" in [metric.label for metric in app.metric]
    weak = open_page(small_database, monkeypatch, "geometry", part="One head", head="L0H0", about="Words")
    assert not weak.exception and "was not read" in words(weak)


def test_maps_of_an_older_version_are_not_shown(
    small_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What vectors inside the heads were mapped to: they share no basis."""
    without_space = update(Projection).values(space=None, null_model=None)
    path = changed_copy(small_database, tmp_path / "older.sqlite", without_space, delete(MapAgreement))
    app = open_page(path, monkeypatch, "geometry")
    assert not app.exception and app.segmented_control(key="part").value == "Heads"
    app.segmented_control(key="part").set_value("Directions").run()
    assert "The map of directions appears when" in words(app) and not app.get("plotly_chart")


def test_a_head_chosen_is_kept_over_pages(small_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(small_database, monkeypatch, "geometry", part="One head", about="Every arm")
    app.selectbox(key="head").select("L1H3").run()
    assert "**L1H3 in every arm**" in words(app)
    app.switch_page("app_pages/runs/page.py").run()
    app.switch_page("app_pages/geometry/page.py").run()
    assert app.selectbox(key="head").value == "L1H3"


def test_maps_and_tails_can_be_drawn_in_gain(small_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head's gain is its AUROC less that of the checkpoint's own baseline, as `probe_gain` has it."""
    engine = open_reader(f"sqlite:///{small_database}")
    gains = read.arm_gains(engine, 1, "last")
    words_level = gains[
        (gains["checkpoint"] == "toxic-25-s0") & (gains["baseline"] == "words") & (gains["subset"] == "all")
    ]["baseline_auroc"].iloc[0]
    probes = read.study_probes(engine, 1)
    of_checkpoint = probes[probes["checkpoint"] == "toxic-25-s0"]
    app = open_page(
        small_database, monkeypatch, "geometry", part="Heads", heads="Maps", probe="Gain over text"
    )
    assert not app.exception and "the head tells more than the baseline" in words(app)
    spec = app.get("plotly_chart")[-1].proto.spec
    hover = [f"gain {auroc - words_level:+.3f}" for auroc in of_checkpoint["auroc"]]
    assert [text for text in hover if text in spec.replace("\\u002b", "+")] == hover
    for probe in ("Gain over embeddings", "Gain over step 0"):
        link = {"part": "Heads", "heads": "Distribution", "probe": probe}
        app = open_page(small_database, monkeypatch, "geometry", **link)
        assert not app.exception and f"**{probe}, all heads**" in words(app)


def test_a_checkpoint_that_is_still_probed_has_no_gain_yet(
    small_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = select(Checkpoint.id).where(Checkpoint.name == "toxic-25-s0").scalar_subquery()
    without_gains = delete(ProbeGain).where(ProbeGain.checkpoint_id == chosen)
    path = changed_copy(small_database, tmp_path / "running.sqlite", without_gains)
    for heads in ("Maps", "Difference", "Distribution"):
        link = {"part": "Heads", "heads": heads, "probe": "Gain over text"}
        app = open_page(path, monkeypatch, "geometry", **link)
        assert not app.exception
        assert ("when it has been probed to the end" in words(app)) == (heads != "Distribution")


@pytest.mark.parametrize("measure", ["AUROC", "Selectivity", "Separation"])
def test_geometry_measures(small_database: Path, monkeypatch: pytest.MonkeyPatch, measure: str) -> None:
    link = {"part": "Heads", "heads": "Distribution", "probe": measure}
    app = open_page(small_database, monkeypatch, "geometry", **link)
    assert not app.exception and f"**{measure} over heads**" in words(app)
