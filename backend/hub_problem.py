"""What the Hugging Face hub answers when it does not give what was asked for, in one line.

Knows the errors of `huggingface_hub` and of the HTTP client below it; imports them only where one is at hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

LATER = "the same command goes on from here"


def endpoint() -> str:
    """The hub's address: `HF_ENDPOINT`, or the public one."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def silence_hub() -> None:
    """Keep the hub's client from writing that it waits: one line is enough, and it is ours."""
    # Importing it sets its level, whenever that is; so it is imported here, before the level is changed.
    from huggingface_hub.utils import logging as untyped

    logging: Any = untyped
    logging.set_verbosity_error()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def is_refusal(error: BaseException) -> bool:
    """Whether the hub answered that this person may not have it, or that there is no such thing: an answer
    that stays the same however often one asks.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    return any(isinstance(cause, RepositoryNotFoundError) for cause in _causes(error))


def hub_problem(error: BaseException, subject: str, revision: str | None = None) -> str:
    """Why the hub did not give `subject` (such as `data set allenai/c4`), and what to do: one line."""
    return next(filter(None, (_line(cause, subject, revision) for cause in _causes(error))), "") or (
        f"{subject} cannot be read ({_first_line(error)})"
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]


def _line(error: BaseException, subject: str, revision: str | None) -> str:
    """The line for one error of a chain; empty where this one says nothing."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        kind, _, name = subject.rpartition(" ")
        page = f"{endpoint()}/{'datasets/' if kind == 'data set' else ''}{name}"
        return f"{subject} is gated: accept its terms at {page}, then log in (hf auth login, or HF_TOKEN)"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{subject} has no revision '{revision or 'main'}'"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the hub has no {subject}; if it is private, log in (hf auth login, or HF_TOKEN)"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"{subject} is not on this machine, and the network is closed (--offline, HF_HUB_OFFLINE)"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 429:
        return f"the hub asks to wait (429, too many requests): {subject} was not read further; {LATER}"
    if status is not None and status >= 500:
        return f"the hub answers {status} (a fault of its own) for {subject}; {LATER}"
    # The HTTP client is httpx or its successor, by the version of huggingface_hub.
    if "TransportError" in {base.__name__ for base in type(error).__mro__}:
        return f"the hub at {endpoint()} gave no answer for {subject} ({_first_line(error)}); {LATER}"
    return ""
