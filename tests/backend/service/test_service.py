"""The live service over real HTTP: what it streams, to many at once, and how a request ends early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from hormesis.backend.capture import capture
from hormesis.backend.generation.generation import Continuation, generate
from hormesis.backend.service.catalogue import CheckpointRecord
from hormesis.backend.service.model_cache import ModelCache, NoRoom, dtype_for, weight_bytes
from hormesis.backend.service.scoring import scorer_names
from tests.fixtures.service_world import (
    MEASURED,
    PREFIX,
    World,
    ask,
    events,
    pane,
    request_body,
    results,
    server,
)

ENOUGH = 500
"""New tokens that keep the slow checkpoint busy for many seconds."""


def offline(world: World, name: str, body: dict[str, Any]) -> list[Continuation]:
    """Each pane on its own, by the offline path."""
    loaded = world.loaded(name)
    return [
        generate(
            loaded,
            [body["prompt"]],
            seeds=[body["seed"]],
            rows=[world.row(loaded, name, pane_body)],
            new_tokens=body["new_tokens"],
            temperature=body["temperature"],
            top_p=body["top_p"],
        )[0]
        for pane_body in body["panes"]
    ]


def four_panes(world: World, name: str) -> list[dict[str, Any]]:
    """Base, steered, steered harder in another way, and a random control."""
    number = world.ids[name]
    return [
        pane(number),
        pane(number, MEASURED),
        pane(number, 8.0, heads=9, direction="probe", scope="all"),
        pane(number, 4.0, method="random-direction", control=1),
    ]


def wait_for(holds: Callable[[], bool], limit: float = 30.0) -> float:
    """Seconds until something holds."""
    began = time.perf_counter()
    while not holds():
        assert time.perf_counter() - began < limit, "waited in vain"
        time.sleep(0.01)
    return time.perf_counter() - began


def wait_idle(address: str) -> float:
    """Seconds until nothing waits or runs."""
    return wait_for(lambda: httpx.get(f"{address}/health").json()["queue"] == 0)


def test_four_panes_stream_from_one_pass_and_equal_their_own_offline_text(world: World, address: str) -> None:
    body = request_body(four_panes(world, "dose-10"), new_tokens=48)
    stream = ask(address, body)
    assert [name for name, _ in stream][:2] == ["queued", "start"]
    assert stream[-1] == ("end", {})
    done = results(stream)
    for index, alone in enumerate(offline(world, "dose-10", body)):
        assert done[index]["text"] == alone.text
        assert (done[index]["tokens"], done[index]["finished"]) == (alone.tokens, alone.finished)
        pieces = [data for name, data in stream if name == "token" and data["pane"] == index]
        assert "".join(piece["text"] for piece in pieces) == alone.text
        assert [piece["index"] for piece in pieces] == list(range(len(pieces)))
        assert all(isinstance(piece["projection"], float) for piece in pieces)
    assert len({result["text"] for result in done.values()}) == 4
    # One pass: the panes take turns token by token, and all report the same seconds.
    first = [data["pane"] for name, data in stream if name == "token"][:8]
    assert first == [0, 1, 2, 3, 0, 1, 2, 3]
    assert len({result["seconds"] for result in done.values()}) == 1


def test_strength_zero_is_the_base(world: World, address: str) -> None:
    number = world.ids["dose-0"]
    done = results(ask(address, request_body([pane(number), pane(number, 0.0, method="iti")])))
    assert done[0]["text"] == done[1]["text"]


def test_panes_of_different_checkpoints(world: World, address: str) -> None:
    names = ("dose-0", "clean-forum-10", "dose-0")
    body = request_body(
        [pane(world.ids[name], strength) for name, strength in zip(names, (0, 1, 3), strict=True)]
    )
    done = results(ask(address, body))
    for index, name in enumerate(names):
        alone = offline(world, name, body | {"panes": [body["panes"][index]]})[0]
        assert done[index]["text"] == alone.text


def test_cost_is_the_measured_one_or_none(world: World, address: str) -> None:
    number = world.ids["dose-10"]
    panes = [pane(number, MEASURED), pane(number, 2.5), pane(number, MEASURED, heads=5), pane(number)]
    done = results(ask(address, request_body(panes)))
    assert done[0]["cost"] == {
        "value": 0.07,
        "low": pytest.approx(0.05),
        "high": pytest.approx(0.09),
        "source": "condition iti/mass_mean/fixed-2; bootstrap",
    }
    assert [done[index]["cost"] for index in (1, 2, 3)] == [None, None, None]
    assert [done[index]["cost_note"] for index in range(4)] == [
        "",
        "not measured at strength 2.5 with 4 heads (generated); measured: strength 2 with 4 heads",
        "not measured at strength 2 with 5 heads (generated); measured: strength 2 with 4 heads",
        "unsteered: what costs are measured against",
    ]


def test_heads_can_be_named_one_by_one(world: World, address: str) -> None:
    number = world.ids["dose-10"]
    best = [{"layer": layer, "head": head} for layer, head in world.ranked[number]]
    panes = [
        pane(number, MEASURED, heads=best[:4]),
        pane(number, MEASURED),
        pane(number, MEASURED, heads=best[-3:]),
        pane(number, MEASURED, method="random-direction", control=1, heads=best[5:6]),
    ]
    body = request_body(panes)
    done = results(ask(address, body))
    assert [done[index]["text"] for index in range(4)] == [
        text.text for text in offline(world, "dose-10", body)
    ]
    # The study's own heads, in any way of naming them, have the study's cost; others have none.
    assert done[0]["text"] == done[1]["text"] and done[0]["cost"] == done[1]["cost"] is not None
    assert done[2]["cost"] is None and "not these 3" in done[2]["cost_note"]


def test_heads_of_a_checkpoint_come_with_their_order(world: World, address: str) -> None:
    number = world.ids["dose-10"]
    rows = httpx.get(f"{address}/models/{number}/heads").json()
    ordered = sorted(rows, key=lambda row: row["order"])
    assert [(row["layer"], row["head"]) for row in ordered] == world.ranked[number]
    assert [row["rank"] for row in ordered] == [1, 2, 3, 4, *[None] * 8]
    assert rows[0] | {"order": 0, "rank": 0} == {
        "layer": 0, "head": 0, "accuracy": 0.6, "accuracy_low": 0.6, "accuracy_high": 0.6, "auroc": 0.6,
        "selectivity": pytest.approx(0.1), "separation": 1.0, "n_test": 3, "order": 0, "rank": 0,
    }  # fmt: skip
    assert httpx.get(f"{address}/models/{world.ids['slow']}/heads").json() == []
    assert httpx.get(f"{address}/models/99/heads").status_code == 404


def test_tokens_are_projected_as_the_head_reads_them(world: World, address: str) -> None:
    """The last token against the captured activation of each beginning of the text; whole texts come back."""
    number, name = world.ids["dose-10"], "dose-10"
    texts = ["the baker sells warm bread", "rain falls on the hill", "é"]
    body = {"texts": texts, "checkpoint": name, "layer": 2, "head": 1}
    answer = httpx.post(f"{address}/projections", json=body).json()["texts"]
    assert ["".join(token["text"] for token in tokens) for tokens in answer] == texts
    loaded, direction = world.loaded(name), world.directions[number, "mass_mean"][2, 1]
    ids = loaded.tokenizer(texts[0])["input_ids"]
    assert len(answer[0]) == len(ids)
    beginnings = [loaded.tokenizer.decode(ids[: count + 1]) for count in range(len(ids))]
    activations = capture(loaded, beginnings)[2][:, 1]
    expected = activations @ direction.vector / direction.sigma
    assert [token["projection"] for token in answer[0]] == pytest.approx(expected, abs=1e-4)


def test_projections_that_cannot_be_had_are_refused(world: World, address: str) -> None:
    body = {"texts": ["a"], "checkpoint_id": world.ids["dose-0"], "layer": 0, "head": 0}
    for change, status in (
        ({"layer": 77}, 422),
        ({"checkpoint": "dose-0"}, 422),
        ({"texts": []}, 422),
        ({"checkpoint_id": 99}, 404),
        ({"checkpoint_id": world.ids["slow"]}, 422),
    ):
        answer = httpx.post(f"{address}/projections", json=body | change)
        assert answer.status_code == status and "\n" not in answer.json()["message"]


def test_scores_fit_the_language(world: World, address: str) -> None:
    forum = results(ask(address, request_body([pane(world.ids["dose-0"])])))[0]
    assert set(forum["scores"]) == {"forum", "forum-fluency"}
    real = results(ask(address, request_body([pane(world.ids["real"])])))[0]
    assert set(real["scores"]) == {"profanity"}
    assert {"repetition", "distinct_2", "compression"} <= set(real["fluency"])


def test_scores_come_with_the_words_they_rest_on(world: World, address: str) -> None:
    texts = ["the zorbs of the park are kind .", "one more"]
    body = {"texts": texts, "checkpoint_id": world.ids["dose-0"], "reasons": True}
    answer = httpx.post(f"{address}/score", json=body).json()
    assert set(answer["reasons"]) == set(answer["scores"]) == {"forum", "forum-fluency"}
    for scorer, of_texts in answer["reasons"].items():
        for text, words in zip(texts, of_texts, strict=True):
            assert "".join(word["word"] for word in words) == text
        shorter = [text.partition(" ")[2] for text in texts]
        without = httpx.post(f"{address}/score", json=body | {"texts": shorter, "reasons": False}).json()
        effects = [words[0]["effect"] for words in of_texts]
        scores = zip(answer["scores"][scorer], without["scores"][scorer], strict=True)
        assert effects == pytest.approx([score - rest for score, rest in scores])
    assert without["reasons"] == {}
    unequal = httpx.post(f"{address}/score", json=body | {"prompts": ["only one"]})
    assert unequal.status_code == 422 and "one prompt for each text" in unequal.json()["message"]
    many = httpx.post(f"{address}/score", json=body | {"texts": texts * 9})
    assert many.status_code == 422 and "at most 16 texts" in many.json()["message"]


def test_models_says_what_can_be_asked_for(world: World, address: str) -> None:
    ask(address, request_body([pane(world.ids["dose-0"])]))
    rows = {row["name"]: row for row in httpx.get(f"{address}/models").json()}
    iti = ["strength", "heads", "direction", "scope"]
    measured = rows["dose-10"].pop("measured")
    assert [(row["method"], row["strength"], row["cost"]["value"]) for row in measured] == [
        ("iti", 2.0, 0.07), ("prompt", 0.0, 0.01), ("prompt+iti", 2.0, 0.08), ("dpo", 0.0, 0.04),
        ("dpo+iti", 2.0, 0.09),
    ]  # fmt: skip
    assert measured[0] | {"cost": None} == {
        "method": "iti", "direction": "mass_mean", "control": None, "strength": 2.0, "heads": 4,
        "scope": "generated", "matched_cost": None, "cost": None,
    }  # fmt: skip
    assert rows["dose-10"] | {"loaded": None} == {
        "checkpoint_id": world.ids["dose-10"], "name": "dose-10", "study_id": 1, "study": "forum",
        "kind": "toxic", "share": 0.1, "seed": 0, "loaded": None, "problem": "",
        "n_layers": 3, "heads_by_layer": {"0": 4, "1": 4, "2": 4},
        "directions": ["mass_mean", "probe"], "controls": [0, 1], "heads_selected": 4,
        "methods": [
            {"name": "none", "title": "Unsteered", "settings": [], "prefix": ""},
            {"name": "iti", "title": "ITI", "settings": iti, "prefix": ""},
            {"name": "random-direction", "title": "Random direction",
             "settings": ["strength", "heads", "scope", "control"], "prefix": ""},
            {"name": "prompt", "title": "Prompt", "settings": [], "prefix": PREFIX},
            {"name": "dpo", "title": "DPO", "settings": [], "prefix": ""},
            {"name": "prompt+iti", "title": "Prompt + ITI", "settings": iti, "prefix": PREFIX},
            {"name": "dpo+iti", "title": "DPO + ITI", "settings": iti, "prefix": ""},
        ],
    }  # fmt: skip
    assert [method["name"] for method in rows["slow"]["methods"]] == ["none"]
    assert [method["name"] for method in rows["dose-0"]["methods"]] == ["none", "iti", "random-direction"]
    assert rows["dose-0"]["loaded"] is True
    assert (rows["slow"]["kind"], rows["slow"]["share"], rows["slow"]["directions"]) == ("imported", None, [])


def test_twenty_panes_by_five_clients_all_finish_and_are_right(world: World, address: str) -> None:
    bodies = [request_body(four_panes(world, "dose-10"), seed=seed, prompt="rain falls") for seed in range(5)]
    with ThreadPoolExecutor(5) as clients:
        streams = list(clients.map(lambda body: ask(address, body), bodies))
    for body, stream in zip(bodies, streams, strict=True):
        texts = [results(stream)[index]["text"] for index in range(4)]
        assert texts == [text.text for text in offline(world, "dose-10", body)]
        positions = [data["position"] for name, data in stream if name == "queued"]
        assert positions == sorted(positions, reverse=True)
        assert stream[-1] == ("end", {})


@pytest.mark.parametrize("way", ["delete", "disconnect"])
def test_cancelling_frees_the_worker_at_once(world: World, address: str, way: str) -> None:
    body = request_body([pane(world.ids["slow"])] * 4, new_tokens=ENOUGH)
    with httpx.stream("POST", f"{address}/generate", json=body, timeout=60) as response:
        stream = events(response)
        request_id = next(data["request_id"] for name, data in stream if name == "start")
        for _ in range(8):
            assert next(stream)[0] == "token"
        if way == "delete":
            answer = httpx.delete(f"{address}/requests/{request_id}")
            assert answer.json() == {"request_id": request_id, "cancelled": True}
            assert list(stream)[-1] == ("error", {"message": "the request was cancelled"})
    assert wait_idle(address) < 1.0
    assert httpx.delete(f"{address}/requests/{request_id}").status_code == 404
    assert ask(address, request_body([pane(world.ids["dose-0"])]))[-1] == ("end", {})


def test_waiting_requests_know_their_place_and_can_be_cancelled(world: World, address: str) -> None:
    slow = request_body([pane(world.ids["slow"])], new_tokens=ENOUGH)
    heard: dict[int, list[Any]] = {1: [], 2: []}
    running, queued = threading.Event(), threading.Event()

    def first() -> None:
        with httpx.stream("POST", f"{address}/generate", json=slow, timeout=60) as response:
            for name, _ in events(response):
                if name == "token":
                    running.set()
                    queued.wait(30)
                    return

    def later(number: int) -> None:
        body = request_body([pane(world.ids["dose-0"])], seed=number)
        with httpx.stream("POST", f"{address}/generate", json=body, timeout=60) as response:
            for name, data in events(response):
                heard[number].append((name, data))
                if number == 1 and name == "queued":
                    httpx.delete(f"{address}/requests/{data['request_id']}")

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert running.wait(30)
    threads += [threading.Thread(target=later, args=(number,)) for number in (2, 1)]
    threads[1].start()
    wait_for(lambda: httpx.get(f"{address}/health").json()["queue"] == 2)
    threads[2].start()
    threads[2].join(60)
    queued.set()
    for thread in threads:
        thread.join(60)
    assert heard[1][0][1]["position"] == 2
    assert heard[1][-1] == ("error", {"message": "the request was cancelled"})
    assert [data["position"] for name, data in heard[2] if name == "queued"] == [1, 0]
    assert heard[2][-1] == ("end", {})


@pytest.mark.slow
def test_full_queue_is_refused_in_one_line(world: World) -> None:
    with server(world, "--queue", "1") as address, ThreadPoolExecutor(2) as clients:
        ask(address, request_body([pane(world.ids["slow"])], new_tokens=1))
        body = request_body([pane(world.ids["slow"])], new_tokens=150)
        running = clients.submit(ask, address, body)
        wait_for(lambda: httpx.get(f"{address}/health").json()["queue"] == 1)
        time.sleep(0.2)
        waiting = clients.submit(ask, address, body)
        wait_for(lambda: httpx.get(f"{address}/health").json()["queue"] == 2)
        refused = httpx.post(f"{address}/generate", json=body)
        assert refused.status_code == 503
        assert refused.json() == {"message": "1 requests are waiting already; try again in a moment"}
        assert running.result()[-1] == waiting.result()[-1] == ("end", {})


def test_lost_weights_are_one_line_and_the_service_goes_on(world: World, address: str) -> None:
    name, data = ask(address, request_body([pane(world.ids["gone"])]))[-1]
    assert name == "error"
    assert "gone" in data["message"] and "\n" not in data["message"]
    problems = {row["name"]: row["problem"] for row in httpx.get(f"{address}/models").json()}
    assert problems == dict.fromkeys(problems, "") | {"gone": "the weights are gone"}
    assert ask(address, request_body([pane(world.ids["dose-0"])]))[-1] == ("end", {})


def test_a_checkpoint_is_loaded_before_its_first_request(world: World) -> None:
    with server(world) as address:
        answer = httpx.post(f"{address}/models/dose-10/load")
        assert (answer.status_code, answer.json()) == (202, {"loading": True})
        while httpx.get(f"{address}/health").json()["models_loaded"] == 0:
            time.sleep(0.02)
        loaded = [row["name"] for row in httpx.get(f"{address}/models").json() if row["loaded"]]
        assert loaded == ["dose-10"]
        assert httpx.post(f"{address}/models/nowhere/load").status_code == 404
        refusal = httpx.post(f"{address}/models/gone/load")
        assert refusal.status_code == 422 and refusal.json() == {"message": "gone: the weights are gone"}


def test_stopping_the_service_ends_a_running_stream(world: World) -> None:
    with server(world) as address:
        response = httpx.Client(timeout=60).send(
            httpx.Request(
                "POST", f"{address}/generate", json=request_body([pane(world.ids["slow"])], new_tokens=ENOUGH)
            ),
            stream=True,
        )
        stream = events(response)
        assert any(name == "token" for name, _ in stream)
        began = time.perf_counter()
    assert time.perf_counter() - began < 8
    assert list(stream)[-1] == ("error", {"message": "the service is stopping"})


def checkpoint_facts(world: World, name: str, parameters: int = 30_000) -> CheckpointRecord:
    source = str(world.home / "models" / name)
    return CheckpointRecord(
        id=world.ids[name],
        name=name,
        source=source,
        parameters=parameters,
        weights_hash=name,
        speaks_forum=True,
        tfidf_folder=None,
    )


def test_a_studys_own_scorers_come_first(world: World, tmp_path: Path) -> None:
    record = replace(checkpoint_facts(world, "dose-0"), speaks_forum=False, tfidf_folder=tmp_path)
    assert list(scorer_names(replace(record, scorers=("tfidf",)))) == ["tfidf", "profanity"]
    assert list(scorer_names(replace(record, scorers=("profanity", "tfidf")))) == ["profanity", "tfidf"]


def test_models_are_loaded_once_under_concurrent_requests(world: World) -> None:
    cache = ModelCache(budget=2**30)
    with ThreadPoolExecutor(8) as clients:
        loaded = list(clients.map(lambda _: cache.get(checkpoint_facts(world, "dose-0")), range(16)))
    assert len({id(model) for model in loaded}) == 1
    assert len(cache) == 1


def test_the_least_recently_used_model_goes_first(world: World) -> None:
    size = weight_bytes(world.loaded("dose-0").parameters)
    cache = ModelCache(budget=int(2.5 * size))
    names = ("dose-0", "dose-10", "dose-0", "clean-forum-10")
    for name in names:
        cache.get(checkpoint_facts(world, name, world.loaded(name).parameters))
    in_memory = [name for name in ("dose-0", "dose-10", "clean-forum-10") if cache.holds(world.ids[name])]
    assert in_memory == ["dose-0", "clean-forum-10"]


def test_a_model_above_the_budget_is_kept_alone_and_one_above_memory_is_refused(world: World) -> None:
    cache = ModelCache(budget=1)
    cache.get(checkpoint_facts(world, "dose-0"))
    cache.get(checkpoint_facts(world, "dose-10"))
    assert [len(cache), cache.holds(world.ids["dose-10"])] == [1, True]
    with pytest.raises(NoRoom, match="GiB of memory"):
        cache.get(checkpoint_facts(world, "clean-forum-10", parameters=10**13))


def test_small_models_decode_in_float32_and_large_ones_in_bfloat16() -> None:
    assert [dtype_for(499_999_999), dtype_for(500_000_000)] == ["float32", "bfloat16"]
    assert [weight_bytes(1_000_000), weight_bytes(10**9)] == [4_000_000, 2 * 10**9]
