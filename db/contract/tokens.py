"""Shared secret tokens: read from the environment, refused where they are short, compared in constant time.

`HORMESIS_TOKEN` is asked for by the model service and by pages that are served to others.
"""

from __future__ import annotations

import os
import secrets

TOKEN_VARIABLE = "HORMESIS_TOKEN"
SERVICE_TOKEN = "HORMESIS_SERVICE_TOKEN"
"""Holds the token that a dashboard sends to the model service's address and nowhere else."""
LEAST_CHARACTERS = 16
"""Of a token that others may try to guess over the network."""


def token_from_environment(variable: str = TOKEN_VARIABLE) -> str | None:
    """The token of the environment without spaces around it; None where it is not set or blank."""
    return os.environ.get(variable, "").strip() or None


def weakness(token: str) -> str | None:
    """Why a token cannot guard what others reach, in a sentence; None where it can."""
    if len(token) >= LEAST_CHARACTERS:
        return None
    return (
        f"{TOKEN_VARIABLE} has {len(token)} characters and needs {LEAST_CHARACTERS}; a good one: "
        f"python -c 'import secrets; print(secrets.token_urlsafe())'"
    )


def is_same(sent: bytes, token: str) -> bool:
    """Whether what somebody sent is the token; the time this takes does not tell how much of it was right."""
    return secrets.compare_digest(sent, token.encode())
