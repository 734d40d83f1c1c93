"""Files of models on the Hugging Face hub, at a revision: from the cache where they lie there whole.

Knows names and revisions; nothing of what the files hold, and what goes wrong on the way is put into words by
`hub_problem`. `HF_ENDPOINT`, `HF_HUB_OFFLINE` and the cache's own variables are huggingface_hub's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from hormesis.backend.hub_problem import hub_problem, silence_hub

HUB_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "README.md")
"""Configuration, tokenizer, weights without pickles, and the model card."""
MAIN = "main"
MOST_NAMED = 12
"""Revisions that a line names beside a missing one."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


class HubError(ValueError):
    """A model that the hub does not give; the message is one line: what was asked for and why it failed."""


def split_revision(reference: str) -> tuple[str, str | None]:
    """`NAME@REVISION` as name and revision; None without one, and for a folder (which may hold an `@`)."""
    if "@" not in reference or Path(reference).exists():
        return reference, None
    name, _, revision = reference.rpartition("@")
    return name, revision or None


def is_hub_name(name: str) -> bool:
    """Whether a name can be that of a model on the hub, and no path: `model` or `owner/model`."""
    return _NAME.fullmatch(name) is not None and not name.startswith(".")


def is_commit(revision: str) -> bool:
    """Whether a revision is a commit, which does not move."""
    return _COMMIT.fullmatch(revision) is not None


def hub_folder(name: str, revision: str | None = None) -> Path:
    """The folder of a model's files at a revision (default: the branch `main`), downloaded where missing.

    A commit that lies in the cache whole needs no network. Raises HubError.
    """
    try:
        return _snapshot(name, revision)
    except Exception as error:  # whatever the network, the hub or the disk does arrives here
        raise HubError(hub_problem(error, f"model {name}", revision)) from error


def commit_of(name: str, revision: str | None, *, ask: bool = True) -> str:
    """The commit that a branch or tag means, by the cache, else by the hub; as written where neither says."""
    if revision and is_commit(revision):
        return revision
    from huggingface_hub import HfApi, try_to_load_from_cache

    cached = try_to_load_from_cache(name, "config.json", revision=revision)
    if isinstance(cached, str):
        return Path(cached).parent.name
    if not ask:
        return revision or MAIN
    try:
        return HfApi().model_info(name, revision=revision).sha or revision or MAIN
    except Exception:  # who needs the model asks again, and is told what is wrong
        return revision or MAIN


def is_cached(name: str, revision: str | None = None) -> bool:
    """Whether all files of a model at a revision lie in the cache; asks no network."""
    try:
        _snapshot(name, revision, local_files_only=True)
    except Exception:  # not there, or not a name that it could be there by
        return False
    return True


def absent_models(models: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    """What cannot be had of these (name, revision): a line for each name; downloads nothing.

    What lies in the cache whole is there, whatever the network says. Of the others the hub's branches and
    tags are listed, so that a revision that is missing is named beside those that are not.
    """
    uncached: dict[str, list[str]] = {}
    for name, revision in dict.fromkeys(models):
        if not is_cached(name, revision):
            uncached.setdefault(name, []).append(revision or MAIN)
    return {name: line for name, revisions in uncached.items() if (line := _refusal(name, revisions))}


def _refusal(name: str, revisions: list[str]) -> str:
    """Why the hub does not give a model at these revisions; empty where it gives all."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError

    api = HfApi()
    try:
        api.auth_check(name)
        refs = api.list_repo_refs(name)
        present = [ref.name for ref in (*refs.branches, *refs.tags)]
        absent = []
        for revision in revisions:
            try:
                if revision not in present:  # a commit, or a pull request
                    api.model_info(name, revision=revision)
            except RevisionNotFoundError:
                absent.append(revision)
    except Exception as error:
        return hub_problem(error, f"model {name}")
    if not absent:
        return ""
    others = f"{', '.join(present[:MOST_NAMED])}{' and others' if len(present) > MOST_NAMED else ''}"
    return f"model {name} has no revision {', '.join(absent)} (it has {others})"


def _snapshot(name: str, revision: str | None, *, local_files_only: bool = False) -> Path:
    from huggingface_hub import snapshot_download

    silence_hub()
    folder = snapshot_download(
        name,
        revision=revision,
        allow_patterns=list(HUB_FILES),
        ignore_patterns=["*/*", "consolidated*"],
        local_files_only=local_files_only,
    )
    return Path(folder)
