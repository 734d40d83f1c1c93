"""The OpenAI-style routes over real HTTP: names, texts, streams, refusals, and readers that leave."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from hormesis.backend.api.completion_messages import CompletionRequest
from hormesis.backend.service.completions import plan_completion
from hormesis.backend.service.ranked_heads import PaneProblem
from hormesis.db.engine import open_writer
from hormesis.db.schema import Direction
from tests.fixtures.service_world import MATCHED, MEASURED, World, ask, pane, request_body, results
from tests.fixtures.shared_worlds import copy_database
from tests.fixtures.tiny import WIDTH

CONDITIONS = {
    "": (0.0, "none"),
    ":none": (0.0, "none"),
    ":iti@2": (MEASURED, "iti"),
    ":prompt": (0.0, "prompt"),
    ":prompt+iti/mass_mean/cost-0.08": (MEASURED, "prompt+iti"),
    ":dpo": (0.0, "dpo"),
    ":dpo+iti+0.09": (MEASURED, "dpo+iti"),
}
BASE = {"model": "dose-10", "prompt": "the baker sells", "max_tokens": 24, "seed": 7}
ONES = [1.0] * 8


def complete(address: str, **fields: Any) -> dict[str, Any]:
    answer = httpx.post(f"{address}/v1/completions", json=BASE | fields, timeout=60)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def texts(answer: dict[str, Any]) -> list[str]:
    assert [choice["index"] for choice in answer["choices"]] == list(range(len(answer["choices"])))
    return [choice["text"] for choice in answer["choices"]]


def chunks(address: str, **fields: Any) -> list[dict[str, Any]]:
    """The chunks of a stream, which must end in `[DONE]`."""
    with httpx.stream("POST", f"{address}/v1/completions", json=BASE | fields | {"stream": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def test_each_name_generates_as_its_condition_does(world: World, address: str) -> None:
    number = world.ids["dose-10"]
    for temperature in (0, 1.0):
        single = {}
        for name, (strength, method) in CONDITIONS.items():
            body = request_body([pane(number, strength, method=method)], temperature=temperature)
            same = {"temperature": temperature, "top_p": body["top_p"]}
            answer = complete(address, model=f"forum/dose-10{name}", **same)
            done = results(ask(address, body))[0]
            assert texts(answer) == [done["text"]]
            assert answer["usage"]["completion_tokens"] == done["tokens"]
            single[name] = done["text"]
        assert len(set(single.values())) == len(CONDITIONS) - 1


def test_names_are_listed_and_every_form_is_the_listed_one(world: World, address: str) -> None:
    models = httpx.get(f"{address}/v1/models").json()
    assert models["object"] == "list"
    listed = {model["id"]: model for model in models["data"]}
    assert len(listed) == len(models["data"]) == len(world.ids) + len(CONDITIONS) - 2 + len(MATCHED) + 2
    model = listed["forum/dose-10:dpo+iti+0.09"]
    assert (model["checkpoint_id"], model["condition"]) == (
        world.ids["dose-10"],
        "dpo+iti/mass_mean/cost-0.09",
    )
    for form in ("dose-10:dpo%2Biti+0.09", "forum%2Fdose-10:dpo+iti/mass_mean/cost-0.09"):
        assert httpx.get(f"{address}/v1/models/{form}").json() == model
    assert complete(address, model="dose-10:none", max_tokens=1)["model"] == "forum/dose-10"


def test_several_prompts_and_continuations_are_those_of_requests_alone(address: str) -> None:
    prompts = ["rain falls", "she reads a long book about ships"]
    together = complete(address, prompt=prompts, n=3)
    assert texts(together) == [
        text for prompt in prompts for text in texts(complete(address, prompt=prompt, n=3))
    ]
    assert texts(complete(address, seed=9)) == texts(complete(address, n=3))[2:]
    assert texts(complete(address, n=1)) == texts(complete(address)) != texts(complete(address, seed=8))
    assert (
        texts(complete(address, seed=-1))
        != texts(complete(address, seed=None))
        != texts(complete(address, seed=None))
    )
    usage = together["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_stream_is_the_whole_in_pieces(address: str) -> None:
    fields = {"n": 2, "model": "forum/dose-10:iti@2", "stream_options": {"include_usage": True}}
    full, parts = complete(address, **fields), chunks(address, **fields)
    assert {(part["id"], part["created"]) for part in parts} == {(parts[0]["id"], parts[0]["created"])}
    joined = ["", ""]
    for choice in (choice for part in parts for choice in part["choices"]):
        joined[choice["index"]] += choice["text"]
    assert joined == texts(full)
    assert parts[-1] == {**parts[-1], "choices": [], "usage": full["usage"]}
    reasons = [choice["finish_reason"] for part in parts for choice in part["choices"]]
    assert [reason for reason in reasons if reason] == [choice["finish_reason"] for choice in full["choices"]]


def test_a_stop_string_ends_the_text_before_it(address: str) -> None:
    full = complete(address, max_tokens=60)
    text = texts(full)[0]
    stop = text[len(text) // 2 :][:3]
    stopped = complete(address, max_tokens=60, stop=["never said by anyone", stop])
    assert texts(stopped) == [text[: text.index(stop)]]
    assert stopped["choices"][0]["finish_reason"] == "stop"
    assert stopped["usage"]["completion_tokens"] < full["usage"]["completion_tokens"]
    assert (
        "".join(c["text"] for p in chunks(address, max_tokens=60, stop=stop) for c in p["choices"])
        == texts(stopped)[0]
    )


def test_vectors_of_the_request_are_added(world: World, address: str) -> None:
    place = (2, 1)
    number = world.ids["dose-10"]
    direction = world.directions[number, "mass_mean"][place]
    heads = [{"layer": 2, "head": 1}]
    vector = (-MEASURED * direction.sigma * direction.vector).astype(float).tolist()
    added = {"head_vectors": [{"layer": 2, "head": 1, "vector": vector}]}
    residual = {"residual_vectors": [{"layer": 1, "vector": [0.5, -0.5] * (WIDTH // 2), "strength": 2}]}
    panes = [pane(number, MEASURED, heads=heads), pane(number) | added, pane(number) | residual, pane(number)]
    done = results(ask(address, request_body(panes, temperature=0)))
    assert done[0]["text"] == done[1]["text"]
    assert len({done[index]["text"] for index in (1, 2, 3)}) == 3
    assert "vectors of its own" in done[1]["cost_note"]
    for index, fields in ((1, added), (2, residual)):
        assert texts(complete(address, temperature=0, **fields)) == [done[index]["text"]]


def test_checkpoints_go_by_name_everywhere(world: World, address: str) -> None:
    number = world.ids["dose-10"]
    for name in ("dose-10", "forum/dose-10"):
        by_name = {key: value for key, value in pane(number, 1.0).items() if key != "checkpoint_id"}
        body = request_body([by_name | {"checkpoint": name}, pane(number, 1.0)])
        done = results(ask(address, body))
        assert done[0]["text"] == done[1]["text"]
        heads = httpx.get(f"{address}/models/{name}/heads").json()
        assert heads == httpx.get(f"{address}/models/{number}/heads").json() != []
        scored = [{"texts": ["a"], "checkpoint": name}, {"texts": ["a"], "checkpoint_id": number}]
        answers = [httpx.post(f"{address}/score", json=body).json() for body in scored]
        assert answers[0] == answers[1]
    for path, body in (
        ("/generate", request_body([{"checkpoint": "dose10"}])),
        ("/score", {"texts": [], "checkpoint": "dose10"} | {"texts": ["a"]}),
    ):
        answer = httpx.post(f"{address}{path}", json=body)
        assert (answer.status_code, "near: forum/dose-10" in answer.text) == (404, True)
    assert httpx.get(f"{address}/models/dose10/heads").status_code == 404


HARMLESS = {"echo": False, "logprobs": None, "best_of": 1, "suffix": None, "logit_bias": {}, "top_k": -1,
            "frequency_penalty": 0.0, "presence_penalty": 0, "user": "a", "colour": "red", "stop": None,
            "n": None, "stream": None, "metadata": {"a": 1}}  # fmt: skip
BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "unknown model": ({"model": "dose10"}, 404, "near: forum/dose-10"),
    "unknown condition": ({"model": "forum/dose-10:iti@3"}, 404, "near: forum/dose-10:iti@2"),
    "no model": ({"model": None}, 422, "model: "),
    "token ids": ({"prompt": [1, 2]}, 422, "prompt: token ids are not taken"),
    "no prompt": ({"prompt": []}, 422, "prompt: "),
    "n": ({"n": 10**9}, 422, "n: "),
    "rows": ({"prompt": ["a"] * 5, "n": 7}, 422, "5 prompts times n = 7 are more than 32"),
    "tokens": ({"max_tokens": 513}, 422, "max_tokens: "),
    "temperature": ({"temperature": -1}, 422, "temperature: "),
    "empty stop": ({"stop": ""}, 422, "stop: "),
    "logprobs": ({"logprobs": 0}, 422, "logprobs is not served here"),
    "echo": ({"echo": True}, 422, "echo is not served here"),
    "penalty": ({"frequency_penalty": 0.1}, 422, "frequency_penalty is not served"),
    "best of": ({"best_of": 3}, 422, "best_of must be n (1)"),
    "top_k": ({"top_k": 40}, 422, "top_k is not served"),
    "long": ({"prompt": "rain falls " * 700}, 422, "prompt 0 is too long"),
    "wide": ({"residual_vectors": [{"layer": 0, "vector": ONES}]}, 422, "has 8 numbers, the model needs 32"),
    "layer": ({"residual_vectors": [{"layer": 3, "vector": ONES}]}, 422, "no layer 3; the model has 3"),
    "head": ({"head_vectors": [{"layer": 0, "head": 4, "vector": ONES}]}, 422, "no head 4"),
    "head width": ({"head_vectors": [{"layer": 0, "head": 1, "vector": [1.0]}]}, 422, "the model needs 8"),
    "twice": ({"residual_vectors": [{"layer": 1, "vector": [1.0]}] * 2}, 422, "layer 1 is named twice"),
    "huge": ({"residual_vectors": [{"layer": 1, "vector": [1e7]}]}, 422, "vector.0: "),
    "weights gone": ({"model": "gone"}, 500, "gone"),
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_refusals_are_one_line_with_a_status(address: str, case: tuple[Any, int, str], stream: bool) -> None:
    fields, status, part = case
    answer = httpx.post(f"{address}/v1/completions", json=BASE | fields | {"stream": stream}, timeout=60)
    error = answer.json()["error"]
    assert (answer.status_code, set(error)) == (status, {"message", "type", "param", "code"}), answer.text
    assert part in error["message"] and "\n" not in error["message"]


def test_a_condition_whose_directions_are_gone_is_refused_as_the_commands_do(
    world: World, tmp_path: Path
) -> None:
    engine = open_writer(copy_database(world.home / "study.sqlite", tmp_path / "study.sqlite"))
    request = CompletionRequest.model_validate(BASE | {"model": "forum/dose-10:iti@2"})
    with engine.connect() as connection:
        connection.execute(delete(Direction).where(Direction.method == "mass_mean"))
        with pytest.raises(PaneProblem, match="no mass_mean directions are stored for this checkpoint"):
            plan_completion(connection, request)
    engine.dispose()


def test_numbers_that_are_none_are_refused(address: str) -> None:
    for vector in ("[NaN]", "[1e999]", "[-Infinity]"):
        body = (
            f'{{"model": "dose-10", "prompt": "a", "residual_vectors": [{{"layer": 0, "vector": {vector}}}]}}'
        )
        headers = {"content-type": "application/json"}
        answer = httpx.post(f"{address}/v1/completions", content=body, headers=headers)
        assert (answer.status_code, "vector.0: " in answer.text) == (422, True)


def test_what_asks_for_nothing_is_ignored(address: str) -> None:
    assert texts(complete(address, **HARMLESS)) == texts(complete(address))


@pytest.mark.parametrize("stream", [False, True])
def test_a_reader_that_leaves_frees_the_worker(address: str, stream: bool) -> None:
    complete(address, model="slow", max_tokens=1)
    body = BASE | {"model": "slow", "n": 8, "max_tokens": 500, "stream": stream}
    with (
        pytest.raises(httpx.ReadTimeout),
        httpx.stream("POST", f"{address}/v1/completions", json=body, timeout=0.4) as answer,
    ):
        for _ in answer.iter_lines():
            if stream:
                raise httpx.ReadTimeout("enough")
    until = time.monotonic() + 20
    while httpx.get(f"{address}/health").json()["queue"] and time.monotonic() < until:
        time.sleep(0.02)
    assert complete(address, max_tokens=1)["choices"]
    assert time.monotonic() < until


def test_foreign_names_and_large_bodies_are_refused_in_the_clients_form(address: str) -> None:
    foreign = httpx.get(f"{address}/v1/models", headers={"host": "evil.example"})
    assert (foreign.status_code, foreign.json()["error"]["type"]) == (421, "invalid_request_error")
    assert httpx.get(f"{address}/", headers={"host": "evil.example"}).status_code == 421
    large = httpx.post(f"{address}/v1/completions", content=b"x" * 300_000)
    assert (large.status_code, large.json()["error"]["message"][:23]) == (413, "the body is too large: ")
