"""What the hub says of a data set: the commit that a revision means, its licence, whether it is gated.

The answer is kept below the sources' folder, so that an unpinned name stays at the commit it was first
resolved to, and a later run asks nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hormesis.backend.hub_problem import endpoint, hub_problem, is_refusal, silence_hub
from hormesis.db.files import write_json
from hormesis.pipeline.sources.cache import is_offline, sources_folder
from hormesis.pipeline.sources.record import SourceError

NONE_STATED = "none stated"
RETRIES = 3
"""Of the first request, in seconds 1, 2, 4, or as long as the hub asks for."""


@dataclass(frozen=True)
class HubInfo:
    """One data set at one revision."""

    commit: str
    """Empty where the hub refused to say."""
    licence: str
    """As its page states it."""
    gated: bool
    refused: str = ""
    """Why it cannot be had here (gated, private, gone), in one line; empty where it can."""


def data_set_folder(name: str) -> Path:
    """Where everything of one data set is kept."""
    return sources_folder() / "hub" / name.replace("/", "--")


def _info_file(name: str, revision: str | None) -> Path:
    return data_set_folder(name) / f"{re.sub(r'[^A-Za-z0-9._-]', '-', revision or 'main')}.json"


def stored_info(name: str, revision: str | None) -> HubInfo | None:
    """What was kept; None where the hub was never asked."""
    try:
        return HubInfo(**json.loads(_info_file(name, revision).read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):
        return None


def hub_info(name: str, revision: str | None) -> HubInfo:
    """What was kept, or what the hub says now, which is then kept; after a refusal it is asked again.

    A refusal (gated, private, unknown) is an answer. Raises SourceError where there is none: no network, a
    fault of the hub, an unknown revision.
    """
    stored = stored_info(name, revision)
    if stored is not None and not stored.refused:
        return stored
    if is_offline():
        raise SourceError(
            f"hub data set {name} was never asked for on this machine, and the network is closed (--offline)"
        )
    info = ask(name, revision)
    write_json(_info_file(name, revision), asdict(info))
    return info


def ask(name: str, revision: str | None, *, retries: int = RETRIES) -> HubInfo:
    """What the hub says now; keeps nothing. Raises SourceError where it gives no answer."""
    try:
        answer = _request(f"api/datasets/{name}/revision/{revision or 'main'}", retries)
        info = HubInfo(answer["sha"], _licence(answer), bool(answer.get("gated")))
        if info.gated:
            _request(f"api/datasets/{name}/auth-check", retries)
    # Whatever the network and the hub do wrong arrives here under many types.
    except Exception as error:
        problem = hub_problem(error, f"data set {name}", revision)
        if is_refusal(error):
            return HubInfo("", NONE_STATED, "is gated" in problem, problem)
        raise SourceError(problem) from None
    return info


def _request(path: str, retries: int) -> dict[str, Any]:
    """An answer of the hub. `HfApi` asks once; this waits and asks again where the hub says so."""
    from huggingface_hub import constants
    from huggingface_hub import utils as exported

    utils: Any = exported  # it re-exports without saying so

    silence_hub()
    response = utils.http_backoff(
        "GET",
        f"{endpoint()}/{path}",
        headers=utils.build_hf_headers(),
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        max_retries=retries,
    )
    utils.hf_raise_for_status(response)
    answer: dict[str, Any] = response.json()
    return answer


def _licence(answer: dict[str, Any]) -> str:
    stated = (answer.get("cardData") or {}).get("license") or []
    return ", ".join([stated] if isinstance(stated, str) else map(str, stated)) or NONE_STATED
