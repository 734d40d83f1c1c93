"""Which names a web server of ours answers to, and from whose pages it is asked. Opens nothing.

A page of another site may reach a server on this machine in two ways: under a name of its own that it has
pointed here (DNS rebinding), which the `Host` header tells, and by an ordinary request or WebSocket across
sites, which `Origin` and `Sec-Fetch-Site` tell. A browser sets these headers; a page cannot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

EVERY_ADDRESS = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered: an HTTP status and one sentence."""

    status: int
    sentence: str


@dataclass(frozen=True)
class Hosts:
    """The names that a server was started for."""

    address: str
    """What it listens on: an address, a name, or one of `EVERY_ADDRESS`."""
    machine: str = ""
    """This machine's own name, answered to where the server listens on every address."""
    also: tuple[str, ...] = ()
    """Further names, e.g. of a proxy before it; `*.example.org` for all below one, `*` for any."""

    def refusal(self, scope: Mapping[str, Any]) -> Refusal | None:
        """Why an HTTP request or a WebSocket (ASGI scope) is not answered; None where it is."""
        headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        hosts, origins = _values(headers, b"host"), _values(headers, b"origin")
        if len(hosts) > 1 or not self.answers_to(host_name(hosts[0] if hosts else "")):
            return Refusal(421, f"this server answers to {self.words} only")
        arrived_at = (scope.get("server") or ("",))[0]
        if is_loopback(self.address) and _is_numeric(arrived_at) and not is_loopback(arrived_at):
            return Refusal(421, "this server answers on this machine only")
        if any(not self._is_own(origin, hosts[0]) for origin in origins):
            return Refusal(403, "a page of another site may not use this server")
        sites, modes = _values(headers, b"sec-fetch-site"), _values(headers, b"sec-fetch-mode")
        if not origins and {"cross-site", "same-site"} & set(sites) and modes != ["navigate"]:
            return Refusal(403, "a page of another site may not use this server")
        return None

    def answers_to(self, name: str) -> bool:
        """Whether a host name without port and brackets is one of those the server was started for."""
        name = name.lower().rstrip(".")
        if not name:
            return False
        if _matches(name, self.also) or name == self.address.lower():
            return True
        if is_loopback(self.address):
            return is_loopback(name)
        # A number cannot be pointed elsewhere, as a name can.
        own_names = ("localhost", self.machine.lower())
        return self.address in EVERY_ADDRESS and (_is_numeric(name) or name in own_names)

    @property
    def words(self) -> str:
        """The names in a sentence."""
        own_name = "localhost" if is_loopback(self.address) else self.address
        if self.address in EVERY_ADDRESS:
            own_name = f"this machine's addresses and {self.machine or 'localhost'}"
        return ", ".join([own_name, *self.also])

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether a page of this origin is one that this server, or a proxy before it, has sent."""
        try:
            parts = urlsplit(origin.lower())
            return parts.netloc == host.lower() or _matches(parts.hostname or "", self.also)
        except ValueError:
            return False


def is_loopback(host: str | None) -> bool:
    """True for `localhost`, 127.0.0.0/8 and ::1; any other name is taken to be reachable from outside."""
    if not host:
        return False
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The host of a Host header, without its port and brackets; empty where it is none."""
    text = header.strip()
    if text.startswith("["):
        name, _, port = text[1:].partition("]")
        return name if _is_numeric(name) and (not port or _is_port(port[1:])) else ""
    name, colon, port = text.partition(":")
    return name if not colon or _is_port(port) else ""


def server_url(host: str, port: int) -> str:
    """The address of an HTTP server; brackets around an IPv6 address."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in headers if key.lower() == name]


def _matches(name: str, patterns: Iterable[str]) -> bool:
    lowered = [pattern.strip().lower().rstrip(".") for pattern in patterns]
    return any(
        pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:]))
        for pattern in lowered
    )


def _is_numeric(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) <= 65_535
