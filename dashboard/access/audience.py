"""Whom a dashboard is served to, and by which log-in others get in. Knows options, no requests.

A dashboard is shared where it listens on more than this machine, or was told of a proxy before it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal

from hormesis.db.contract.hosts import host_name, is_loopback
from hormesis.db.contract.tokens import TOKEN_VARIABLE, token_from_environment, weakness

ALLOW = "HORMESIS_ALLOW"
"""Environment variable with the names of `--allow`, separated by commas."""
LogIn = Literal["none", "token", "oidc"]


class AccessProblem(ValueError):
    """The pages cannot be served to these people; one line for the person who starts them."""


@dataclass(frozen=True)
class Audience:
    """Where the pages can be reached."""

    address: str
    """What the server listens on; empty: every address."""
    names: tuple[str, ...] = ()
    """Names that a proxy passes on as `Host`."""
    base_path: str = ""
    """`/hormesis`, or empty for the root."""

    @property
    def is_shared(self) -> bool:
        """Whether others than people at this machine are served."""
        return bool(self.names or self.base_path) or not is_loopback(self.address)

    @property
    def words(self) -> str:
        """Where the pages are, in a sentence."""
        if not is_loopback(self.address):
            return f"on {self.address or 'every address of this machine'}"
        return f"by a proxy as {', '.join(self.names) or self.base_path}"


def names_of(allow: list[str]) -> tuple[str, ...]:
    """The names of `--allow`. Raises AccessProblem for what is no name of a host."""
    for name in allow:
        if not name or host_name(name) != name or name != name.strip(".") or re.search(r"[\s/,@]", name):
            raise AccessProblem(f"--allow takes a host name like lab.example, without a port; not '{name}'")
    return tuple(allow)


def base_path_of(text: str | None) -> str:
    """A `--base-path` as `/hormesis`, empty for None. Raises AccessProblem for what is no path."""
    if text is None:
        return ""
    segments = text.strip("/").split("/")
    if not all(re.fullmatch(r"[\w~-][\w.~-]*", segment, re.ASCII) for segment in segments):
        raise AccessProblem(f"--base-path takes a path like /hormesis, not '{text}'; at the root use --allow")
    return "/" + "/".join(segments)


def audience_of_server() -> Audience:
    """That of the server of this process, from Streamlit's options and ours."""
    from streamlit import config

    names = (*os.environ.get(ALLOW, "").split(","), *(config.get_option("server.allowedHosts") or ()))
    base_path = (config.get_option("server.baseUrlPath") or "").strip("/")
    return Audience(
        config.get_option("server.address") or "",
        tuple(name for name in names if name),
        f"/{base_path}" if base_path else "",
    )


def log_in_of(audience: Audience) -> LogIn:
    """How people are let in. Raises AccessProblem where others are served and no log-in is set up."""
    if not audience.is_shared:
        return "none"
    from streamlit.auth_util import get_secrets_auth_section, is_authlib_installed

    if get_secrets_auth_section():
        if not is_authlib_installed():
            raise AccessProblem("[auth] in secrets.toml needs Authlib: pip install 'streamlit[auth]'")
        return "oidc"
    token = token_from_environment()
    if token is None:
        raise AccessProblem(
            f"pages served {audience.words} need a log-in: set {TOKEN_VARIABLE}, "
            "or [auth] in .streamlit/secrets.toml"
        )
    if reason := weakness(token):
        raise AccessProblem(reason)
    return "token"
