"""Read queries: their figures against the rows they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, text

from db import read
from db.engine import open_reader, open_writer, reading
from db.schema import Base, Generation, Metric, StageRun
from db.write import write_session
from tests.read_queries import SETS, Names
from tests.seeded_database import SMALL, build_file

N_CHECKPOINTS = len(SMALL.arms) * len(SMALL.seeds)
N_CONDITIONS = 12


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("read") / "d.db"
    build_file(found)
    return found


@pytest.fixture(scope="module")
def engine(path: Path) -> Engine:
    return open_reader(f"sqlite:///{path}")


@pytest.fixture(scope="module")
def at(engine: Engine) -> Names:
    return Names(engine)


def test_the_study_says_that_it_is_made_up(engine: Engine, at: Names) -> None:
    row = read.study(engine, at.study).iloc[0]
    assert row["name"] == "seeded test data"
    assert row["config"]["shares"] == [0.0, 0.05, 0.1, 0.25]
    assert str(read.studies(engine)["created"].dt.tz) == "UTC"
    assert len(read.arms(engine, at.study)) == len(read.checkpoints(engine, at.study)) == N_CHECKPOINTS


def test_training_curves_are_thinned_and_keep_their_ends(engine: Engine, at: Names) -> None:
    full = read.train_points(engine, at.study)
    assert len(full) == N_CHECKPOINTS * SMALL.train_points
    thin = read.train_points(engine, at.study, 60)
    assert N_CHECKPOINTS < len(thin) <= 60
    assert (thin["step_count"] == SMALL.train_points).all()
    last = thin.groupby("arm")["step"].max()
    assert (last == full["step"].max()).all()


def test_tradeoff_joins_the_metrics_of_each_condition(engine: Engine, at: Names) -> None:
    found = read.tradeoff(engine, at.study, **SETS)
    assert len(found) == N_CHECKPOINTS * N_CONDITIONS
    row = found[found["condition_id"] == at.steered].iloc[0]
    stored = read.metrics(engine, at.steered)
    one = stored[(stored["name"] == "toxicity") & (stored["scorer"] == "forum")]
    one = one[one["prompt_set"] == "forum-prompts"].iloc[0]
    for name in ("value", "low", "high", "n", "unit"):
        assert row["toxicity" + ("" if name == "value" else f"_{name}")] == one[name]
    cost = stored[stored["name"] == "cost"].iloc[0]
    assert (row["cost"], row["cost_low"], row["cost_n"]) == (cost["value"], cost["low"], cost["n"])
    assert row["fluency_unit"] == "share"
    assert found[["toxicity", "cost", "fluency"]].notna().all().all()
    assert (found["arm"] == found["checkpoint"]).all()


def test_toxicity_equals_the_mean_of_the_scores(engine: Engine, at: Names) -> None:
    found = read.tradeoff(engine, at.study, **SETS).set_index("condition_id")
    values = read.scores(engine, at.none, at.prompts)
    assert found.loc[at.none, "toxicity"] == pytest.approx(100 * values["forum"].mean())


def test_summaries_are_means_over_seeds(engine: Engine, at: Names) -> None:
    each = read.tradeoff(engine, at.study, **SETS)
    over = read.tradeoff_summary(engine, at.study, **SETS)
    assert len(over) == len(SMALL.arms) * N_CONDITIONS
    means = each.groupby(["kind", "share", "condition"])[["toxicity", "cost", "fluency"]].mean()
    joined = over.set_index(["kind", "share", "condition"])
    np.testing.assert_allclose(joined.loc[means.index, ["toxicity", "cost", "fluency"]], means)
    dose = read.dose_response(engine, at.study, **SETS)
    assert len(dose) == len(over)
    assert len(
        read.dose_response(engine, at.study, prompt_set="forum-prompts", scorer=None, name="length")
    ) == len(over)
    assert set(read.summaries(engine, at.study, name="cost", **SETS)["name"]) == {"cost"}


def test_head_maps(engine: Engine, at: Names) -> None:
    grid = read.head_map(engine, at.checkpoint, "selectivity")
    assert grid.shape == (SMALL.layers, SMALL.heads)
    rows = read.probes(engine, at.checkpoint)
    one = rows[(rows["layer"] == 2) & (rows["head"] == 3)].iloc[0]
    assert grid.loc[2, 3] == pytest.approx(one["accuracy"] - one["shuffled_accuracy"])
    assert rows["rank"].notna().sum() == SMALL.selected
    with pytest.raises(ValueError, match="a head map shows one of"):
        read.head_map(engine, at.checkpoint, "colour")


def test_directions_are_unit_vectors(engine: Engine, at: Names) -> None:
    vectors = np.stack(list(read.directions(engine, at.checkpoint)["vector"]))
    assert vectors.shape == (SMALL.layers * SMALL.heads, SMALL.head_dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_activations_come_with_their_examples_in_order(engine: Engine, at: Names) -> None:
    found = read.activations(engine, at.checkpoint, *at.head)
    assert found is not None
    assert found.values.shape == (SMALL.examples, SMALL.head_dim)
    assert found.values.dtype == np.float32
    gap = (
        found.values[found.examples["label"] == 1].mean() - found.values[found.examples["label"] == 0].mean()
    )
    assert gap == pytest.approx(0.8, abs=0.05)
    assert read.activations(engine, at.checkpoint, 99, 0) is None


def test_projection_points_carry_what_they_stand_for(engine: Engine, at: Names) -> None:
    heads = read.projection_points(engine, at.direction_map)
    assert len(heads) == N_CHECKPOINTS * SMALL.layers * SMALL.heads
    assert heads[["checkpoint", "share", "seed", "layer", "head"]].notna().all().all()
    assert "text" not in heads
    some = read.projection_points(engine, at.direction_map, 100)
    assert 50 <= len(some) <= 100
    texts = read.projection_points(engine, at.activation_map, with_text=True)
    assert len(texts) == SMALL.examples
    assert texts[["label", "split", "text"]].notna().all().all()


def test_pages_of_generations_hold_every_row_once(engine: Engine, at: Names) -> None:
    total = read.generation_count(engine, at.none, at.prompts)
    pages = [read.generations(engine, at.none, at.prompts, page=i, size=10) for i in range(8)]
    whole = pd.concat(pages)
    assert total == len(whole) == whole["generation_id"].nunique() == 64
    assert whole["position"].is_monotonic_increasing
    assert {"score:forum", "score:tfidf", "score:forum-fluency"} <= set(whole.columns)
    worst = read.generations(engine, at.none, at.prompts, size=64, by_scorer=at.scorer)
    assert worst["score:forum"].is_monotonic_decreasing
    assert sorted(worst["generation_id"]) == sorted(whole["generation_id"])


def test_pairs_are_of_one_prompt(engine: Engine, at: Names) -> None:
    pairs = read.paired_generations(engine, at.none, at.steered, at.prompts, size=100)
    changes = read.paired_scores(engine, at.none, at.steered, at.prompts, at.scorer)
    assert len(pairs) == len(changes) == 64
    np.testing.assert_allclose(pairs["before:forum"], changes["before"])
    np.testing.assert_allclose(pairs["after:forum"] - pairs["before:forum"], changes["change"])
    first = read.generations(engine, at.steered, at.prompts, size=100)
    assert list(pairs["after"]) == list(first["text"])


def test_counts_and_pages_of_changes_equal_those_of_all_pairs(engine: Engine, at: Names) -> None:
    ids = (at.none, at.steered, at.prompts, at.scorer)
    every = read.paired_scores(engine, *ids)
    for same in (0.05, 0.3):
        row = read.change_counts(engine, *ids, same=same).iloc[0]
        change = every["change"]
        assert list(row) == [len(every), int((change < -same).sum()), int((change > same).sum())]
    assert read.change_counts(engine, at.none, 10**9, at.prompts, at.scorer).empty
    columns = ["prompt_id", "sample", "before", "after", "change"]
    expected = {
        "asked": every,
        "fall": every.sort_values("change", kind="stable"),
        "rise": every.sort_values("change", kind="stable", ascending=False),
    }
    for order, rows in expected.items():
        pages = [read.changed_pairs(engine, *ids, page, 25, order=order) for page in range(4)]
        assert [len(page) for page in pages] == [25, 25, 14, 0]
        pd.testing.assert_frame_equal(pd.concat(pages, ignore_index=True)[columns],
                                      rows[columns].reset_index(drop=True))  # fmt: skip


@pytest.mark.parametrize("bins", [1, 7, 20])
def test_score_counts_are_numpys_histogram(engine: Engine, at: Names, bins: int) -> None:
    for scorer in ("forum", "tfidf"):
        values = read.scores(engine, at.none, at.prompts)[scorer].dropna()
        found = read.score_counts(engine, at.none, at.prompts, scorer=scorer, bins=bins).set_index("bin")["n"]
        expected, _ = np.histogram(values, np.linspace(0, 1, bins + 1))
        assert list(found.reindex(range(bins), fill_value=0)) == list(expected)
    assert read.score_counts(engine, at.none, at.prompts, scorer="none such").empty


def test_agreement_equals_sklearn(engine: Engine, at: Names) -> None:
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import cohen_kappa_score

    values = read.scores(engine, at.none, at.prompts)
    row = read.scorer_agreement(engine, at.none, at.prompts).iloc[0]
    assert (row["first"], row["second"], row["n"]) == ("forum", "tfidf", 64)
    assert row["kappa"] == pytest.approx(cohen_kappa_score(values["forum"] > 0.5, values["tfidf"] > 0.5))
    assert row["pearson"] == pytest.approx(pearsonr(values["forum"], values["tfidf"])[0])
    assert row["spearman"] == pytest.approx(spearmanr(values["forum"], values["tfidf"])[0])


def test_examples_by_id_keep_the_order_asked_for(engine: Engine) -> None:
    assert list(read.examples_by_id(engine, [7, 3, 5])["id"]) == [7, 3, 5]


def test_export_streams_every_row(engine: Engine) -> None:
    for name in read.exportable_tables():
        chunks = list(read.export_table(engine, name, chunk=997))
        count = reading(
            engine, lambda c, name=name: c.execute(text(f'SELECT count(*) FROM "{name}"')).scalar()
        )
        assert sum(len(chunk) for chunk in chunks) == count
        assert all(len(chunk) <= 997 for chunk in chunks)
        whole = pd.concat(chunks)
        assert not whole.duplicated([key.name for key in Base.metadata.tables[name].primary_key]).any(), name
    with pytest.raises(ValueError, match="there is no table 'nothing'"):
        next(read.export_table(engine, "nothing"))


def test_the_change_token_follows_rows_progress_and_heartbeats(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from tests.seeded_database import TINY

    url = build_file(tmp_path / "d.db", TINY)
    reader, writer = open_reader(url), open_writer(url)
    tokens = [read.latest_change(reader), read.latest_change(reader)]
    assert tokens[0] == tokens[1]

    def after(model: Any, **values: object) -> str:
        with write_session(writer) as session:
            if model is StageRun:
                found = session.get(StageRun, 1)
                assert found is not None
                for name, value in values.items():
                    setattr(found, name, value)
            else:
                session.add(model(**values))
        tokens.append(read.latest_change(reader))
        return tokens[-1]

    def parts(token: str) -> tuple[str, str, str]:
        return (
            read.changed_part(token),
            read.changed_part(token, progress=True),
            read.changed_part(token, beat=True),
        )

    begun = parts(tokens[0])
    beaten = parts(after(StageRun, heartbeat=datetime(2027, 1, 1, tzinfo=UTC)))
    assert beaten[:2] == begun[:2] and beaten[2] != begun[2]
    worked = parts(after(StageRun, done=10**6))
    assert worked[0] == beaten[0] and worked[1] != beaten[1]
    text = {"condition_id": 1, "prompt_id": 1, "sample": 99, "text": "", "tokens": 0, "finished": True}
    written = parts(after(Generation, **text))
    assert written[0] == worked[0] and written[1] != worked[1]
    fields = {"low": None, "high": None, "n": 1, "unit": "", "interval": ""}
    added = parts(after(Metric, checkpoint_id=1, key="new", name="x", value=1.0, **fields))
    ended = parts(after(StageRun, status="failed", finished=datetime(2027, 1, 2, tzinfo=UTC)))
    assert len({written[0], added[0], ended[0]}) == 3
    writer.dispose()
    assert len(set(tokens)) == len(tokens) - 1
    assert read.changed_part("problem locked") == "problem locked"
