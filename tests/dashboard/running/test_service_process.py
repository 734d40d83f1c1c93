"""A model service that died is started again by who needs it, who is told; one that cannot start is not."""

from __future__ import annotations

import functools
import time
from pathlib import Path

import httpx
import pytest

from hormesis.dashboard.app_pages.steer import client
from hormesis.dashboard.launch import free_port
from hormesis.dashboard.running import service_process
from hormesis.dashboard.running.service_process import MOST, ServiceProcess


def answer(address: str) -> str:
    """What a page is told while the service does not answer; empty once it does."""
    until = time.monotonic() + 60
    sentence = ""
    while time.monotonic() < until:
        try:
            client.health(address)
            return sentence
        except client.ServiceProblem as problem:
            sentence = str(problem)
            time.sleep(0.2)
    raise AssertionError(sentence)


def test_a_killed_service_answers_again(tiny_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_process, "_services", [])
    port = free_port("127.0.0.1", 0)
    service, address = ServiceProcess(f"sqlite:///{tiny_database}", port), f"http://127.0.0.1:{port}"
    with pytest.raises(client.ServiceProblem, match="No model service answers"):
        client.health(address)
    assert not service.has_loaded(), "nobody answers yet"
    service_process.keep(service)
    service.begin()
    try:
        assert "No model service answers" in answer(address)
        assert service.has_loaded() and httpx.get(f"{address}/health").json()["models_loaded"] == 0
        assert service._process is not None
        service._process.kill()
        service._process.wait(10)
        assert answer(address) == "The model service had ended (signal 9) and was started again."
        assert httpx.get(f"{address}/models").status_code == 200
    finally:
        service.end()
    assert "signal 9" in service.start_again()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/health")


@pytest.mark.parametrize("is_small", [True, False])
def test_the_first_imported_checkpoint_with_weights_is_loaded_ahead(
    monkeypatch: pytest.MonkeyPatch, is_small: bool
) -> None:
    rows = [("toxic", ""), ("imported", "the weights are gone"), ("imported", ""), ("imported", "")]
    models = [
        {"checkpoint_id": number, "kind": kind, "problem": problem, "loaded": False}
        for number, (kind, problem) in enumerate(rows)
    ]
    sent = []

    def reply(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, request.url.path, request.headers.get("authorization")))
        return httpx.Response(200, json={"loading": is_small} if request.method == "POST" else models)

    monkeypatch.setenv("HORMESIS_TOKEN", "secret")
    monkeypatch.setattr(
        httpx, "Client", functools.partial(httpx.Client, transport=httpx.MockTransport(reply))
    )
    service = ServiceProcess("sqlite://", 1)
    asking = ("GET", "/models", "Bearer secret")
    assert service.has_loaded() is not is_small, "a large one is not waited for"
    assert sent == [asking, ("POST", "/models/2/load", "Bearer secret")]
    if is_small:
        assert not service.has_loaded()
        models[2]["loaded"] = True
        assert service.has_loaded()
        assert sent[2:] == [asking, asking], "it is asked for once"


def test_a_service_that_cannot_start_is_left_alone() -> None:
    service = ServiceProcess("sqlite://nowhere", 0)
    service.begin()
    sentences: list[str] = []
    until = time.monotonic() + 60
    while time.monotonic() < until and not (sentences and "right after" in sentences[-1]):
        time.sleep(0.1)
        sentences.append(service.start_again())
    assert sentences[-1].startswith("The model service had ended (exit code 2), ")
    assert len({sentence for sentence in sentences if "started again" in sentence}) == 1
    assert service.start_again() == sentences[-1] and f"{MOST + 1} times" in sentences[-1]
