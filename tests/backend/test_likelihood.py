"""Log-likelihoods of choices, against one pass each and against lm-evaluation-harness on the same items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hormesis.backend.likelihood import encode_pairs, log_likelihoods
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.steering import Intervention, steered
from hormesis.pipeline.capability import scoring
from hormesis.pipeline.capability.harness import harness_scores, run_harness
from hormesis.pipeline.capability.items import CapabilityError, Item, Task, blimp, choices, minimal_pairs
from hormesis.pipeline.capability.scoring import Scored, estimate_of, score_task
from hormesis.pipeline.methods.condition import DetoxCondition
from hormesis.pipeline.methods.opened_condition import OpenedCondition
from hormesis.pipeline.sources import SourceError
from tests.fixtures.harness_tasks import harness_folder
from tests.fixtures.small import smollm2
from tests.fixtures.tiny import CORPUS, tiny_loaded

HARNESS = pytest.mark.xdist_group("harness")
"""One worker lists the harness's tasks, which takes seconds."""
PAIRS = [
    ("the baker sells", " warm bread"),
    ("the baker sells ", "warm bread"),
    ("", " a quiet cat sleeps"),
    ("rain falls on the green hill and the small garden", " all day"),
    ("she reads", " a long book about ships and stars near the river " * 6),
]


def push(loaded: LoadedModel, scope: str = "generated") -> Intervention:
    rng = np.random.default_rng(3)
    shifts = {site.layer: rng.normal(0, 0.3, site.width).astype(np.float32) for site in loaded.sites}
    return Intervention(shifts, loaded.n_heads * loaded.n_layers, scope)  # type: ignore[arg-type]


def opened(loaded: LoadedModel, strength: float = 0.0, prefix: str = "") -> OpenedCondition:
    row = (push(loaded), strength) if strength else (None, 0.0)
    return OpenedCondition(DetoxCondition("test", "none"), loaded, row, prefix)


@pytest.mark.parametrize("family", ["olmo", "llama", "gpt2", "gemma2"])
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_batches_equal_single_passes(family: str, strength: float) -> None:
    loaded = tiny_loaded(family)
    row = (push(loaded), strength)
    likelihoods = log_likelihoods(loaded, PAIRS, row=row, batch_size=3)
    for (head, rest), value in zip(encode_pairs(loaded, PAIRS), likelihoods, strict=True):
        ids = torch.tensor([[*head, *rest]])
        with torch.inference_mode(), steered(loaded, row, first=0):
            chances = torch.log_softmax(loaded.model(input_ids=ids[:, :-1]).logits.float(), -1)[0]
        expected = [float(chances[len(head) - 1 + i, token]) for i, token in enumerate(rest)]
        assert value == pytest.approx(sum(expected), abs=1e-4)


def test_spaces_and_empty_contexts_are_cut_as_the_harness_cuts_them() -> None:
    loaded = tiny_loaded("llama")
    encoded = encode_pairs(loaded, PAIRS)
    assert encoded[0] == encoded[1], "spaces at the context's end belong to the continuation"
    assert encoded[2][0] == [loaded.tokenizer.bos_token_id]
    assert all(len(head) >= 1 and len(head) + len(rest) <= 65 for head, rest in encoded)


def tiny_words() -> list[str]:
    return sorted({word for text in CORPUS for word in text.split()})


def scores_of(model: OpenedCondition, task: Task) -> dict[str, Scored]:
    scores = score_task(model, task, batch_size=16, progress=lambda done, total: None)
    return {scored.measure: scored for scored in scores if not scored.part}


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")


@pytest.fixture(scope="module")
def harness_task(tmp_path_factory: pytest.TempPathFactory) -> tuple[Task, Path]:
    """A task of 60 items, and a folder with it and two groups, one of them with a task of the harness's."""
    rng = np.random.default_rng(0)
    words = tiny_words()

    def some(count: int) -> str:
        return " ".join(rng.choice(words, count))

    items = tuple(
        Item(
            "" if n % 4 == 0 else f"Question: {some(5)}\nAnswer:",
            tuple(f" {some(k)}" for k in (1, 2, 4)),
            n % 3,
        )
        for n in range(60)
    )
    task = Task("mcq_local", items, "made here")
    folder = harness_folder(tmp_path_factory.mktemp("harness") / "task", task, normed=True)
    (folder / "mine.yaml").write_text(
        "group: mine\ntask:\n  - local_items\n"
        "aggregate_metric_list:\n  - metric: acc\n    weight_by_size: true\n"
    )
    (folder / "both.yaml").write_text("group: both\ntask:\n  - local_items\n  - arc_easy\n")
    return task, folder


@pytest.mark.slow
@HARNESS
@pytest.mark.parametrize(("strength", "prefix"), [(0.0, ""), (1.0, ""), (1.0, "a quiet cat. ")])
def test_scores_equal_the_harness(
    offline: None, harness_task: tuple[Task, Path], strength: float, prefix: str
) -> None:
    """Same checkpoint, items and condition: equal accuracies, also under steering and with a prefix."""
    loaded, (task, folder) = tiny_loaded("llama"), harness_task
    scores = scores_of(opened(loaded, strength, prefix), task)
    harness_results = {
        (result.task, result.measure): result
        for result in run_harness(opened(loaded, strength, prefix), ["mine"], folder=folder)
    }
    for name, measure in (("acc", "accuracy"), ("acc_norm", "accuracy_norm")):
        by_item = harness_results["local_items", name]
        assert scores[measure].top.tolist() == by_item.top.tolist(), "item by item"
        assert estimate_of(by_item, 100) == estimate_of(scores[measure], 100)
    assert harness_results["mine", "acc"].top.tolist() == scores["accuracy"].top.tolist()
    assert scores["accuracy"].top.tolist() != scores["accuracy_norm"].top.tolist()


def test_a_number_that_is_no_mean_of_items_has_no_interval() -> None:
    samples = [
        {"filter": "none", "acc": 1.0, "ppl": (2.0, 3)},
        {"filter": "none", "acc": 0.0, "ppl": (4.0, 1)},
    ]
    metrics = {"acc,none": 0.5, "acc,strict": 1.0, "acc_stderr,none": 0.1, "ppl,none": 7.5, "alias": "t"}
    results = {"results": {"t": metrics}, "samples": {"t": samples}, "versions": {"t": 1}}
    scores = {scored.measure: scored for scored in harness_scores(results, "0")}
    assert set(scores) == {"acc", "ppl"} and scores["acc"].top.tolist() == [1.0, 0.0]
    perplexity = estimate_of(scores["ppl"], 100)
    assert (perplexity.value, perplexity.low, perplexity.n) == (7.5, None, 1)
    assert perplexity.method == "of the whole set, not of its items: no interval"
    assert scores["acc"].unit == "fraction" and scores["ppl"].unit == "harness"


def test_a_perplexity_of_the_harness_has_the_interval_of_the_delta_method() -> None:
    """Mean of the items' influences: the value itself, and a standard error of ppl * sd(log p) / sqrt(n)."""
    likelihoods = np.random.default_rng(0).normal(-2.0, 0.5, 400)
    value = float(np.exp(-likelihoods.mean()))
    words = np.random.default_rng(1).integers(5, 50, 400)
    weighted = float(np.exp(-(likelihoods * words).sum() / words.sum()))
    samples = [
        {"filter": "none", "perplexity": likelihood, "word_perplexity": (likelihood * count, int(count))}
        for likelihood, count in zip(likelihoods, words, strict=True)
    ]
    metrics = {"perplexity,none": value, "word_perplexity,none": weighted}
    results = {"results": {"t": metrics}, "samples": {"t": samples}, "versions": {"t": 1}}
    scores = {scored.measure: scored for scored in harness_scores(results, "0")}
    rest = words * (likelihoods - np.log(weighted) * -1)
    errors = {
        "perplexity": value * likelihoods.std(ddof=1) / 20,
        "word_perplexity": weighted * rest.std(ddof=1) / words.mean() / 20,
    }
    for name, expected in (("perplexity", value), ("word_perplexity", weighted)):
        estimate = estimate_of(scores[name], 2000)
        assert estimate.value == pytest.approx(expected) and (estimate.n, scores[name].unit) == (
            400,
            "harness",
        )
        assert estimate.low is not None and estimate.high is not None
        assert (estimate.high - estimate.low) / 3.92 == pytest.approx(errors[name], rel=0.08)


@pytest.mark.slow
@pytest.mark.xdist_group("smollm2")
def test_real_items_on_smollm2_equal_the_harness(offline: None, tmp_path: Path, shared_data: Path) -> None:
    loaded = smollm2()
    pairs = blimp(shared_data / "capability_blimp.parquet", 16)
    (questions,) = choices(shared_data / "capability_mcq.parquet", 6, ("openbookqa",))
    for task, strength in ((pairs, 0.0), (pairs, 0.3), (questions, 0.3)):
        scores = scores_of(opened(loaded, strength), task)
        folder = harness_folder(tmp_path / f"{task.name}-{strength}", task, normed=True)
        harness_items = {
            result.measure: result.top
            for result in run_harness(opened(loaded, strength), ["local_items"], folder=folder)
        }
        assert scores["accuracy"].top.tolist() == harness_items["acc"].tolist()
        if "accuracy_norm" in scores:
            assert scores["accuracy_norm"].top.tolist() == harness_items["acc_norm"].tolist()


@pytest.mark.slow
@HARNESS
def test_the_harness_says_what_is_wrong(offline: None, harness_task: tuple[Task, Path]) -> None:
    with pytest.raises(CapabilityError, match="knows no task 'no_such_task'"):
        run_harness(opened(tiny_loaded("llama")), ["no_such_task"], folder=harness_task[1])


@pytest.mark.slow
@HARNESS
def test_a_group_of_ones_own_may_hold_the_harness_tasks(
    offline: None, harness_task: tuple[Task, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lm_eval = pytest.importorskip("lm_eval")
    managers = []

    def evaluate(*, task_manager: Any, **_: object) -> dict[str, Any]:
        managers.append(task_manager)
        return {"results": {}}

    monkeypatch.setattr(lm_eval, "simple_evaluate", evaluate)
    for task in ("local_items", "both"):
        run_harness(opened(tiny_loaded("llama")), [task], folder=harness_task[1])
    assert [bool(manager.match_tasks(["arc_easy"])) for manager in managers] == [False, True]


def test_minimal_pairs_are_sentences_against_none() -> None:
    task = minimal_pairs(60)
    assert len(task.items) == 60 and task.chance == 0.5 and minimal_pairs(60) == task
    for item in task.items:
        good, bad = (choice.split() for choice in item.choices)
        assert item.answer == 0 and good != bad and good[-1] == bad[-1]
        assert (sorted(good) == sorted(bad)) == (item.part == "order")


def test_files_of_items(shared_data: Path, tmp_path: Path) -> None:
    pairs = blimp(shared_data / "capability_blimp.parquet", 134)
    assert len(pairs.items) == 134 and len({item.part for item in pairs.items}) == 13
    sets = choices(shared_data / "capability_mcq.parquet", 50, None)
    assert [task.name for task in sets] == [
        "mcq_commonsenseqa", "mcq_mmlu", "mcq_openbookqa", "mcq_piqa", "mcq_siqa"
    ]  # fmt: skip
    chance = {task.name: task.chance for task in sets}
    assert (
        chance["mcq_mmlu"] == 0.25
        and chance["mcq_piqa"] == 0.5
        and chance["mcq_siqa"] == pytest.approx(1 / 3)
    )
    with pytest.raises(CapabilityError, match="no set 'klingon'"):
        choices(shared_data / "capability_mcq.parquet", 5, ("klingon",))
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"not parquet")
    with pytest.raises(SourceError, match=r"broken\.parquet: "):
        blimp(broken, 5)


def test_accuracies_and_intervals_on_a_known_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Likelihoods given: plain picks the largest sum, the normed one the largest per character."""
    items = (
        Item("", (" aa", " aaaaaaaa"), 1, "x"),
        Item("", (" aa", " aaaa"), 0, "x"),
        Item("", (" b", " c"), 0, "y"),
    )
    table = [np.array([-2.0, -4.0]), np.array([-1.0, -3.0]), np.array([-5.0, -1.0])]
    monkeypatch.setattr(scoring, "likelihoods", lambda *args, **options: table)
    any_ready: Any = None
    scores = {
        (score.measure, score.part): score
        for score in score_task(
            any_ready, Task("mcq_made", items, "d"), batch_size=4, progress=lambda done, total: None
        )
    }
    assert scores["accuracy", ""].top.tolist() == [0, 1, 0]
    assert scores["accuracy_norm", ""].top.tolist() == [1, 1, 0]
    assert scores["accuracy", "x"].top.tolist() == [0, 1]
    estimate = estimate_of(scores["accuracy", ""], 100)
    # Wilson for 1 of 3 by its formula.
    z, p, n = 1.959963984540054, 1 / 3, 3
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert (estimate.low, estimate.high) == pytest.approx((centre - half, centre + half))
