"""Host names of the server and origins that may send requests to it."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_NAME_LETTERS = 253
HIGHEST_PORT = 65_535

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


@dataclass(frozen=True)
class Host:
    """Host and port of a Host header or an origin; ``name`` is in lower case and without IPv6 brackets."""

    name: str
    port: int | None = None

    @property
    def is_address(self) -> bool:
        """Whether the name is an IP address."""
        return _as_address(self.name) is not None


def parse_host(text: str) -> Host | None:
    """Parse ``name``, ``name:port``, ``[address]`` or ``[address]:port``; None for other text."""
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        address = _as_address(name)
        if not bracket or address is None or ":" not in address:
            return None
        name = address
    else:
        name, colon, port = text.partition(":")
        rest = colon + port
        name = name.lower().removesuffix(".")
        if not _NAME.fullmatch(name) or len(name) > MAX_NAME_LETTERS:
            return None
    if not rest:
        return Host(name)
    digits = rest[1:]
    is_port = rest[0] == ":" and digits.isascii() and digits.isdigit() and len(digits) <= 5
    return Host(name, int(digits)) if is_port and int(digits) <= HIGHEST_PORT else None


def is_host_name(text: str) -> bool:
    """Return whether a text is a host name or IP address without a port."""
    host = parse_host(f"[{text}]" if ":" in text else text)
    return host is not None and host.port is None


@dataclass(frozen=True)
class HostRule:
    """The server's host names.

    Attributes:
        names: names and addresses.
        allowed: names added by --allow-host; as origins they are accepted too, because a proxy may change the Host.
        accepts_any_address: whether every IP address is accepted; DNS rebinding needs a name.
    """

    names: frozenset[str]
    allowed: frozenset[str] = frozenset()
    accepts_any_address: bool = False

    @classmethod
    def listening(cls, address: str, *, allowed: Iterable[str] = ()) -> HostRule:
        """Return the rule for a server that listens on an address.

        Local names and the address itself are accepted. For ``0.0.0.0`` and ``::`` so are all IP addresses and the
        machine's host name.
        """
        added = frozenset(_normal(name) for name in allowed)
        names = LOCAL_NAMES | added | {_normal(address)}
        found = _as_address(address)
        is_everything = found is not None and ipaddress.ip_address(found).is_unspecified
        if is_everything:
            own = socket.gethostname().lower()
            names |= {own, f"{own.partition('.')[0]}.local"}
        return cls(names, added, is_everything)

    def accepts_host(self, host: Host | None) -> bool:
        """Return whether requests for this host are accepted."""
        return host is not None and (host.name in self.names or (self.accepts_any_address and host.is_address))

    def accepts_origin(self, origin: str, host: Host) -> bool:
        """Return whether a page of an origin may open web sockets or send data to this host."""
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        asking = parse_host(parts.netloc)
        if asking is None or parts.scheme not in _DEFAULT_PORTS:
            return False
        default = _DEFAULT_PORTS[parts.scheme]
        is_same = (asking.name, asking.port or default) == (host.name, host.port or default)
        return is_same or asking.name in self.allowed


def _normal(name: str) -> str:
    return _as_address(name) or name.lower().removesuffix(".")


def _as_address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
