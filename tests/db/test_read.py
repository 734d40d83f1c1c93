"""Read queries: their figures against the rows they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, text, update

from hormesis.db import read
from hormesis.db.engine import open_reader, open_writer, reading
from hormesis.db.schema import Base, Checkpoint, Generation, Metric, StageRun
from hormesis.db.write import write_session
from tests.fixtures.read_queries import QUERIES, SETS, Names, scored_texts, tradeoff
from tests.fixtures.seeded_database import SMALL
from tests.fixtures.shared_worlds import changed_copy, copy_database

N_CHECKPOINTS = len(SMALL.arms) * len(SMALL.seeds)
N_CONDITIONS = 12


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


def test_toxicity_equals_the_mean_of_the_scores(engine: Engine, at: Names) -> None:
    stored = tradeoff(engine, **SETS)
    assert len(stored) == N_CHECKPOINTS * N_CONDITIONS
    values = scored_texts(engine, at.none, at.prompts)
    toxicity = stored.set_index("condition_id").loc[at.none, "toxicity"]
    assert toxicity == pytest.approx(100 * values["forum"].mean())
    listed = read.checkpoint_metrics(engine, at.checkpoint)
    same = ["toxicity", "none", "forum-prompts", "forum"]
    listed = listed[(listed[["name", "condition", "prompt_set", "scorer"]] == same).all(axis=1)]
    assert list(listed["value"]) == [toxicity]


def test_summaries_are_means_over_seeds(engine: Engine, at: Names) -> None:
    for name in ("toxicity", "cost"):
        stored = tradeoff(engine, name, **SETS)
        stored["condition"] = stored["condition"].str.replace(r"^random-\d+/", "random/", regex=True)
        means = stored.groupby(["kind", "share", "condition"])[name].mean()
        over = read.summaries(engine, at.study, name=name, **SETS)
        assert set(over["name"]) == {name} and len(over) == len(SMALL.arms) * (N_CONDITIONS - 4)
        values = over.set_index(["kind", "share", "condition_key"])["value"]
        np.testing.assert_allclose(values.loc[means.index], means)
        np.testing.assert_allclose(
            over["measured_share"], 0.03 + 0.7 * over["share"].astype(float) * (over["kind"] == "toxic")
        )


def test_selectivity_is_what_accuracy_has_over_shuffled_labels(engine: Engine, at: Names) -> None:
    rows = read.study_probes(engine, at.study)
    rows = rows[rows["checkpoint"] == "toxic-25-s0"]
    assert len(rows) == SMALL.layers * SMALL.heads
    row = rows[(rows["layer"] == 2) & (rows["head"] == 3)].iloc[0]
    assert row["selectivity"] == pytest.approx(row["accuracy"] - row["shuffled_accuracy"])
    assert rows["rank"].notna().sum() == SMALL.selected


def test_activations_come_with_their_examples_in_order(engine: Engine, at: Names) -> None:
    activations = read.activations(engine, at.checkpoint, **at.head)
    assert activations is not None
    assert activations.values.shape == (SMALL.examples, SMALL.head_dim)
    assert activations.values.dtype == np.float32
    gap = (
        activations.values[activations.examples["label"] == 1].mean()
        - activations.values[activations.examples["label"] == 0].mean()
    )
    assert gap == pytest.approx(0.8, abs=0.05)
    assert read.activations(engine, at.checkpoint, layer=99, head=0) is None


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


def paired(engine: Engine, at: Names) -> pd.DataFrame:
    """The same prompts and samples under two conditions, by other means than the queries."""
    keys = ["prompt_id", "position", "sample"]
    before, after = (scored_texts(engine, number, at.prompts) for number in (at.none, at.steered))
    rows = before.merge(after, on=keys, suffixes=(" before", " after"))
    rows = rows.rename(columns={"forum before": "before", "forum after": "after"})
    return rows.assign(change=rows["after"] - rows["before"])


def test_texts_of_pairs_are_of_one_prompt(engine: Engine, at: Names) -> None:
    rows = paired(engine, at).iloc[[7, 3, 5]]
    chosen = list(zip(rows["prompt_id"], rows["sample"], strict=True))
    texts = read.pair_texts(engine, at.none, at.steered, chosen=chosen)
    assert list(texts["before"]) == list(rows["text before"])
    assert list(texts["after"]) == list(rows["text after"])


def test_counts_and_pages_of_changes_equal_those_of_all_pairs(engine: Engine, at: Names) -> None:
    conditions, ids = (at.none, at.steered), {"prompt_set_id": at.prompts, "scorer_id": at.scorer}
    pairs = paired(engine, at)
    assert len(pairs) == 64
    for same in (0.05, 0.3):
        row = read.change_counts(engine, *conditions, **ids, margin=same).iloc[0]
        change = pairs["change"]
        toxic = ((pairs["before"] > 0.5) & (pairs["after"] > 0.5)).sum()
        assert list(row) == [len(pairs), (change < -same).sum(), (change > same).sum(), toxic]
    assert read.change_counts(engine, at.none, 10**9, **ids).empty
    columns = ["prompt_id", "sample", "before", "after", "change"]
    scores = pairs[["before", "after"]]
    ranked = pairs.assign(highest=scores.max(axis=1), both=scores.sum(axis=1))
    expected = {
        "asked": pairs,
        "fall": pairs.sort_values("change", kind="stable"),
        "rise": pairs.sort_values("change", kind="stable", ascending=False),
        "highest": ranked.sort_values(["highest", "both"], kind="stable", ascending=False),
    }
    for order, rows in expected.items():
        pages = [
            read.changed_pairs(engine, *conditions, **ids, page=page, size=25, order=order)
            for page in range(4)
        ]
        assert [len(page) for page in pages] == [25, 25, 14, 0]
        pd.testing.assert_frame_equal(pd.concat(pages, ignore_index=True)[columns],
                                      rows[columns].reset_index(drop=True))  # fmt: skip
    # Against itself every text that is toxic still is, and no score moved.
    toxic = pairs[pairs["before"] > 0.5].sort_values("before", kind="stable", ascending=False)
    same = (at.none, at.none)
    assert len(toxic) and list(read.change_counts(engine, *same, **ids).iloc[0]) == [64, 0, 0, len(toxic)]
    page = read.changed_pairs(engine, *same, **ids, order="highest", only="toxic")
    assert list(page["before"]) == list(page["after"]) == list(toxic["before"])
    assert list(page["prompt_id"]) == list(toxic["prompt_id"])


def test_falls_of_prompts_are_means_over_toxic_arms(engine: Engine, at: Names) -> None:
    falls = read.prompt_falls(engine, at.study, prompt_set_id=at.prompts, scorer_id=at.scorer)
    checkpoints = read.checkpoints(engine, at.study)
    means = {"unsteered": [], "steered": []}
    for checkpoint in checkpoints[checkpoints["name"].str.match(r"toxic-(?!0-)")]["id"]:
        of_checkpoint = read.conditions(engine, int(checkpoint))
        is_matched = (of_checkpoint["method"] == "iti") & of_checkpoint["matched_cost"].notna()
        for name, mask in (("unsteered", of_checkpoint["method"] == "none"), ("steered", is_matched)):
            means[name] += [
                scored_texts(engine, int(i), at.prompts) for i in of_checkpoint[mask]["condition_id"]
            ]
    assert all(means.values())
    for name, frames in means.items():
        by_prompt = pd.concat(frames).groupby("position")["forum"].mean()
        assert list(falls[name]) == pytest.approx(list(by_prompt))


@pytest.mark.parametrize("bins", [1, 7, 20])
def test_score_counts_are_numpys_histogram(engine: Engine, at: Names, bins: int) -> None:
    for scorer in ("forum", "tfidf"):
        values = scored_texts(engine, at.none, at.prompts)[scorer].dropna()
        counts = read.score_counts(engine, at.none, at.prompts, scorer=scorer, bins=bins).set_index("bin")[
            "n"
        ]
        expected, _ = np.histogram(values, np.linspace(0, 1, bins + 1))
        assert list(counts.reindex(range(bins), fill_value=0)) == list(expected)
    assert read.score_counts(engine, at.none, at.prompts, scorer="none such").empty


def test_agreement_equals_sklearn(engine: Engine, at: Names) -> None:
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import cohen_kappa_score

    values = scored_texts(engine, at.none, at.prompts)
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
        table = pd.concat(chunks)
        assert not table.duplicated([key.name for key in Base.metadata.tables[name].primary_key]).any(), name
    with pytest.raises(ValueError, match="there is no table 'nothing'"):
        next(read.export_table(engine, "nothing"))


def test_the_change_token_follows_rows_progress_and_heartbeats(tiny_database: Path, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    url = copy_database(tiny_database, tmp_path / "d.db")
    reader, writer = open_reader(url), open_writer(url)
    tokens = [read.latest_change(reader), read.latest_change(reader)]
    assert tokens[0] == tokens[1]

    def after(model: Any, **values: object) -> str:
        with write_session(writer) as session:
            if model is StageRun:
                stage = session.get(StageRun, 1)
                assert stage is not None
                for name, value in values.items():
                    setattr(stage, name, value)
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
    progressed = parts(after(StageRun, done=10**6))
    assert progressed[0] == beaten[0] and progressed[1] != beaten[1]
    text = {"condition_id": 1, "prompt_id": 1, "sample": 99, "text": "", "tokens": 0, "finished": True}
    written = parts(after(Generation, **text))
    assert written[0] == progressed[0] and written[1] != progressed[1]
    fields = {"low": None, "high": None, "n": 1, "unit": "", "interval": ""}
    added = parts(after(Metric, checkpoint_id=1, key="new", name="x", value=1.0, **fields))
    ended = parts(after(StageRun, status="failed", finished=datetime(2027, 1, 2, tzinfo=UTC)))
    assert len({written[0], added[0], ended[0]}) == 3
    writer.dispose()
    assert len(set(tokens)) == len(tokens) - 1
    assert read.changed_part("problem locked") == "problem locked"


def test_statement_scores_are_a_row_of_the_profile_in_sigmas(engine: Engine, at: Names) -> None:
    query = "SELECT p.data, p.columns, p.scale, l.ids FROM direction_profile p JOIN example_list l "
    query += "ON l.id = p.example_list_id WHERE p.checkpoint_id = :c AND p.space = 'functional'"
    row = reading(engine, lambda c: c.execute(text(query), {"c": at.checkpoint}).one())
    profile = np.frombuffer(row.data, "<f2").astype(float).reshape(-1, row.columns) * row.scale
    of_head = profile[at.head["layer"] * SMALL.heads + at.head["head"]]
    scores = read.statement_scores(engine, at.checkpoint, **at.head)
    ids = np.frombuffer(row.ids, "<i8")
    by_id = dict(zip(ids.tolist(), (of_head - of_head.mean()) / of_head.std(), strict=True))
    assert scores["projection"].is_monotonic_decreasing and len(scores) == len(ids)
    expected = [by_id[example] for example in scores["id"]]
    np.testing.assert_allclose(scores["projection"], expected, rtol=1e-3, atol=1e-3)
    assert set(scores["split"]) == {"test"}
    assert read.statement_scores(engine, at.checkpoint, layer=99, head=0).empty
    assert read.statement_scores(engine, 10_000, **at.head).empty


def test_figures_of_maps_and_contributions_of_heads(engine: Engine, at: Names) -> None:
    figures = read.map_agreements(engine, at.study)
    assert set(figures["space"]) == {"functional", "vocabulary", "residual"}
    assert figures.loc[figures["space"] == "residual", "checkpoint_id"].notna().all()
    added = read.head_contributions(engine, at.checkpoint)
    assert len(added) == SMALL.layers * SMALL.heads
    assert (added["value"] == added["right"] / added["missed"]).all()


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_stands_checkpoints_without_an_arm(armless: Engine, at: Names, name: str) -> None:
    """Those that were imported; the columns keep their names."""
    frame = QUERIES[name](armless, at)
    assert not isinstance(frame, pd.DataFrame) or len(frame.columns)


@pytest.fixture(scope="module")
def armless(small_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("armless") / "study.sqlite"
    return open_reader(
        f"sqlite:///{changed_copy(small_database, path, update(Checkpoint).values(arm_id=None))}"
    )
