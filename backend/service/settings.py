"""Settings and limits of the live service."""

from __future__ import annotations

from dataclasses import dataclass, field

from hormesis.db.contract.hosts import is_loopback
from hormesis.db.contract.tokens import TOKEN_VARIABLE, weakness

MAX_BODY_BYTES = 256 * 1024


class ServiceError(ValueError):
    """The service cannot start or cannot do what was asked; the message is one line for the person."""


@dataclass(frozen=True)
class Settings:
    """Settings of one running service. Everything but the database has a default."""

    database: str
    """SQLAlchemy URL of the study database; it is only ever read."""
    host: str = "127.0.0.1"
    token: str | None = field(default=None, repr=False)
    """Bearer token asked of every route but /health; None on loopback means no token is asked."""
    queue_length: int = 16
    """Requests that may wait behind the running one; one more is answered 503."""
    memory_budget: int | None = None
    """Bytes of weights kept loaded; None takes half of the memory that is free at the start."""

    @property
    def loopback(self) -> bool:
        """True where only this machine can reach the host the service binds to."""
        return is_loopback(self.host)


def require_token(settings: Settings) -> None:
    """Raises ServiceError when the host can be reached from outside and no token, or a short one, is set."""
    if settings.loopback:
        return
    if settings.token is None:
        raise ServiceError(
            f"refusing to listen on {settings.host} without a token: "
            f"set {TOKEN_VARIABLE}, or use --host 127.0.0.1"
        )
    if reason := weakness(settings.token):
        raise ServiceError(reason)
