"""A small HTTP client of the model service.

Knows addresses, JSON and server-sent events; nothing of pages, threads or the database.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from hormesis.dashboard.base.refresh import session_name
from hormesis.dashboard.running.service_process import start_again
from hormesis.db.contract.messages import (
    VIEWER_HEADER,
    GenerateRequest,
    HeadInfo,
    Health,
    ModelInfo,
    ProjectionRequest,
    ProjectionResponse,
    ScoreRequest,
    ScoreResponse,
)
from hormesis.db.contract.tokens import SERVICE_TOKEN, token_from_environment

T = TypeVar("T")

PATIENCE = httpx.Timeout(5.0, connect=1.5)
STREAM_PATIENCE = httpx.Timeout(120.0, connect=2.0)


class ServiceProblem(ValueError):
    """The service cannot be used right now; one sentence for the person."""


class TokenRefused(ServiceProblem):
    """The service asks for a token that was not given, or is another one."""


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: str
    data: dict[str, Any]


def service_token() -> str | None:
    """The token that is sent to the service, or None."""
    return token_from_environment(SERVICE_TOKEN)


def _headers(viewer: str) -> dict[str, str]:
    """The token, and whose turn at the service a request takes."""
    token = service_token()
    return {VIEWER_HEADER: viewer} | ({"Authorization": f"Bearer {token}"} if token else {})


def problem(error: Exception, address: str) -> ServiceProblem:
    """What went wrong with a call, in a sentence."""
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 401:
        has_token = service_token() is not None
        why = f"refuses the token in {SERVICE_TOKEN}" if has_token else "asks for a token and none was given"
        return TokenRefused(f"The model service at {address} {why}.")
    if isinstance(error, httpx.LocalProtocolError | UnicodeError):
        return TokenRefused(f"The token in {SERVICE_TOKEN} holds characters that cannot be sent.")
    return ServiceProblem(explain(error, address))


def explain(error: Exception, address: str) -> str:
    """One sentence for a failed call; `detail`: the service's own words."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return start_again() or f"No model service answers at {address}."
    if isinstance(error, httpx.TimeoutException):
        return f"The model service at {address} took too long to answer."
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
        return f"The model service at {address} broke off."
    if isinstance(error, httpx.HTTPStatusError):
        try:
            answer = error.response.json()
            detail = answer.get("message") or answer.get("detail") or ""
        except (ValueError, AttributeError, httpx.HTTPError):
            detail = ""
        return f"The model service refused this: {detail or error.response.status_code}."
    return f"The model service at {address} sent something unexpected ({type(error).__name__})."


def _ask(address: str, path: str, form: type[T], request: BaseModel | None = None) -> T:
    """The answer to a GET, or to a POST of `request`, checked to be of the type `form`.

    Raises ServiceProblem.
    """
    headers = _headers(session_name())
    try:
        if request is None:
            answer = httpx.get(f"{address}{path}", timeout=PATIENCE, headers=headers)
        else:
            body = request.model_dump()
            answer = httpx.post(f"{address}{path}", json=body, timeout=STREAM_PATIENCE, headers=headers)
        answer.raise_for_status()
        return TypeAdapter(form).validate_python(answer.json())
    except ValidationError:
        raise ServiceProblem("The model service is of another version than this dashboard.") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise problem(error, address) from None


def health(address: str) -> Health:
    """Status, loaded models and queue length. Raises ServiceProblem."""
    return _ask(address, "/health", Health)


def models(address: str) -> list[ModelInfo]:
    """Checkpoints that can be steered, each with its arm and its size. Raises ServiceProblem."""
    return _ask(address, "/models", list[ModelInfo])


def heads(address: str, checkpoint_id: int) -> list[HeadInfo]:
    """Probed heads of a checkpoint, each with its numbers and its order. Raises ServiceProblem."""
    return _ask(address, f"/models/{checkpoint_id}/heads", list[HeadInfo])


def load(address: str, checkpoint_id: int) -> None:
    """Ask the service to load a checkpoint; silent where it does not: the first request does as well."""
    try:
        httpx.post(
            f"{address}/models/{checkpoint_id}/load", timeout=PATIENCE, headers=_headers(session_name())
        )
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError):
        return


def score(address: str, request: ScoreRequest) -> ScoreResponse:
    """Scores of texts by every scorer of the checkpoint's study, with reasons if asked for.

    Raises ServiceProblem.
    """
    return _ask(address, "/score", ScoreResponse, request)


def projections(address: str, request: ProjectionRequest) -> ProjectionResponse:
    """Every token of some texts with its projection on a head's direction. Raises ServiceProblem."""
    return _ask(address, "/projections", ProjectionResponse, request)


def cancel(address: str, request_id: str) -> None:
    """Ask the service to end a request; silent where it has ended already or does not answer."""
    try:
        httpx.delete(f"{address}/requests/{request_id}", timeout=PATIENCE, headers=_headers(""))
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError):
        return


def parse_events(lines: Iterable[str]) -> Iterator[Event]:
    """Server-sent events from lines without their ends; comments and unknown fields are passed over.

    An event whose data is not a JSON object is passed over as well.
    """
    name, data = "message", list[str]()
    for line in lines:
        if line:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            continue
        if data:
            try:
                body = json.loads("\n".join(data))
            except ValueError:
                body = None
            if isinstance(body, dict):
                yield Event(name, body)
        name, data = "message", []


def generate(address: str, request: GenerateRequest, viewer: str) -> Generator[Event]:
    """Stream the events of a viewer's request; closing the iterator closes the connection and so cancels it.

    Raises ServiceProblem where the service refuses, vanishes or is silent for two minutes.
    """
    try:
        with httpx.stream(
            "POST",
            f"{address}/generate",
            json=request.model_dump(),
            timeout=STREAM_PATIENCE,
            headers=_headers(viewer),
        ) as answer:
            if answer.is_error:
                answer.read()
            answer.raise_for_status()
            yield from parse_events(answer.iter_lines())
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise problem(error, address) from None
