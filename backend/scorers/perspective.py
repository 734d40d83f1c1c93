"""Scorer by Google's Perspective API, the one of the paper, kept for comparison while it lasts.

The service closes on 31 December 2026 and its models change without notice (Pozzobon et al. 2023), so the
revision carries the day of scoring. Texts leave this machine: it runs only where a key is set.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx
import numpy as np
from numpy.typing import NDArray

from hormesis.backend.scorers.base import ALTERNATIVES, ScorerError, clipped
from hormesis.db.contract.scorer_training import DECLARED, PERSPECTIVE_CLOSES

KEY = "PERSPECTIVE_API_KEY"
ADDRESS = "https://commentanalyzer.googleapis.com/v1alpha1/comments:analyze"
MAX_BYTES = 20_480
"""The service refuses longer texts."""


class Perspective:
    """The TOXICITY attribute. One request per text, at most `per_second` of them, retried when refused.

    `attempts`: requests for one text at most; `first_wait`: seconds before the second, then twice as long.
    """

    name = "perspective"
    measures = "toxicity"
    trained_on = DECLARED["perspective"]

    def __init__(
        self,
        *,
        key: str | None = None,
        address: str = ADDRESS,
        per_second: float = 1.0,
        attempts: int = 6,
        first_wait: float = 1.0,
    ) -> None:
        key = key or _key()
        self.revision = f"perspective TOXICITY {datetime.now(UTC):%Y-%m-%d}"
        self._key, self._address = key, address
        self._pause, self._attempts, self._first_wait = 1 / per_second, attempts, first_wait
        self._last = -float("inf")

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Float64 [n]; an empty text scores 0 without a request, a long one is cut at the service's limit."""
        with httpx.Client(timeout=30.0, headers={"x-goog-api-key": self._key}) as client:
            return clipped([self._request(client, text) if text.strip() else 0.0 for text in texts])

    def _request(self, client: httpx.Client, text: str) -> float:
        """TOXICITY of one text, 0 to 1. Keeps the pause between requests; each refusal doubles the wait."""
        excerpt = text.encode("utf-8", "replace")[:MAX_BYTES].decode("utf-8", "ignore")
        body = {
            "comment": {"text": excerpt},
            "languages": ["en"],
            "requestedAttributes": {"TOXICITY": {}},
            "doNotStore": True,
        }
        reason = "no answer"
        for attempt in range(self._attempts):
            time.sleep(max(0.0, self._last + self._pause - time.monotonic()))
            self._last = time.monotonic()
            try:
                answer = client.post(self._address, json=body)
            except httpx.TransportError as error:
                reason = type(error).__name__
            else:
                if answer.status_code == httpx.codes.OK:
                    return _value(answer)
                reason = f"HTTP {answer.status_code}"
                if answer.status_code != httpx.codes.TOO_MANY_REQUESTS and answer.status_code < 500:
                    advice = f"check {KEY} and its quota ({PERSPECTIVE_CLOSES}), {ALTERNATIVES}"
                    raise ScorerError(f"Perspective refused a request ({reason}): {advice}")
            time.sleep(self._first_wait * 2**attempt)
        advice = f"try later ({PERSPECTIVE_CLOSES}), {ALTERNATIVES}"
        raise ScorerError(f"Perspective did not answer after {self._attempts} attempts ({reason}): {advice}")


def _key() -> str:
    """The person's key. Raises ScorerError without one."""
    if key := os.environ.get(KEY, ""):
        return key
    raise ScorerError(f"scorer 'perspective' needs a key: set {KEY} ({PERSPECTIVE_CLOSES}), {ALTERNATIVES}")


def check_perspective() -> None:
    """Raise ScorerError where no key is set; asks nothing of the service."""
    _key()


def _value(answer: httpx.Response) -> float:
    try:
        return float(answer.json()["attributeScores"]["TOXICITY"]["summaryScore"]["value"])
    except (KeyError, TypeError, ValueError):
        raise ScorerError("Perspective's answer holds no TOXICITY score: the service has changed") from None
