"""Fuzz of the live service from its own OpenAPI description (schemathesis), over real HTTP.

Whatever is sent, well formed or not, the answer is never a 5xx, and every refusal is one line. Cases come as
hypothesis strategies: schemathesis's own pytest plugin does not go with pytest 9.
"""

from __future__ import annotations

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import negative_data_rejection, response_schema_conformance

EXAMPLES = 40
"""Requests for each route and mode; each may decode, so this is what bounds the time."""
ROUTES = (
    ("/health", "GET"),
    ("/models", "GET"),
    ("/models/{checkpoint}/heads", "GET"),
    ("/generate", "POST"),
    ("/requests/{request_id}", "DELETE"),
    ("/models/{checkpoint}/load", "POST"),
    ("/projections", "POST"),
    ("/score", "POST"),
    ("/v1/models", "GET"),
    ("/v1/models/{model}", "GET"),
    ("/v1/completions", "POST"),
)
CHECKS = [not_a_server_error, negative_data_rejection, response_schema_conformance]


@pytest.fixture(scope="module")
def description(address: str) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


def test_every_route_is_fuzzed(address: str) -> None:
    paths = httpx.get(f"{address}/openapi.json").json()["paths"]
    assert {(path, method.upper()) for path, methods in paths.items() for method in methods} == set(ROUTES)


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_nothing_that_is_sent_breaks_the_service(
    description: schemathesis.BaseSchema, path: str, method: str, mode: GenerationMode
) -> None:
    if mode.is_negative and path in ("/health", "/models", "/v1/models"):
        pytest.skip("takes no input, so none can be wrong")
    operation = description[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def send(case: schemathesis.Case) -> None:
        response = case.call(timeout=60)
        case.validate_response(response, checks=CHECKS)
        if response.status_code >= 400:
            refusal = response.json()
            message = refusal.get("error", refusal)["message"]
            assert message and "\n" not in message and len(message) < 600

    send()
