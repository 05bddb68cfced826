"""Which names a server goes by, and which pages may speak to it. Standard library alone."""

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
    """A host and its port, as a Host header or an origin states them.

    Attributes:
        name: in lower case, without the brackets of an IPv6 address.
        port: None where none is stated.
    """

    name: str
    port: int | None = None

    @property
    def is_address(self) -> bool:
        """Whether it is an IP address, not a name."""
        return _as_address(self.name) is not None


def parse_host(text: str) -> Host | None:
    """A host from ``name``, ``name:port``, ``[address]`` or ``[address]:port``; None where it is none of them."""
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
    """Whether a text is a name or an IP address, without a port."""
    host = parse_host(f"[{text}]" if ":" in text else text)
    return host is not None and host.port is None


@dataclass(frozen=True)
class HostRule:
    """Which names are this server's.

    Attributes:
        names: names and addresses.
        granted: of them, those that whoever started the page has added; pages of these origins may ask as well, for
            a proxy may rename what it passes on.
        any_address: whether every IP address is good; a page that is reached by an address has no name to rebind.
    """

    names: frozenset[str]
    granted: frozenset[str] = frozenset()
    any_address: bool = False

    @classmethod
    def listening(cls, address: str, *, granted: Iterable[str] = ()) -> HostRule:
        """The rule for a server that listens on an address.

        This machine's own names are always good; so is the address listened on. Where that is every address of the
        machine (``0.0.0.0``, ``::``), all IP addresses are, and the name the machine calls itself.
        """
        added = frozenset(_normal(name) for name in granted)
        names = LOCAL_NAMES | added | {_normal(address)}
        found = _as_address(address)
        is_everything = found is not None and ipaddress.ip_address(found).is_unspecified
        if is_everything:
            own = socket.gethostname().lower()
            names |= {own, f"{own.partition('.')[0]}.local"}
        return cls(names, added, is_everything)

    def is_ours(self, host: Host | None) -> bool:
        """Whether a request for this host is heard."""
        return host is not None and (host.name in self.names or (self.any_address and host.is_address))

    def may_ask(self, origin: str, host: Host) -> bool:
        """Whether a page of an origin may open web sockets, or send anything, to this host."""
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        asking = parse_host(parts.netloc)
        if asking is None or parts.scheme not in _DEFAULT_PORTS:
            return False
        default = _DEFAULT_PORTS[parts.scheme]
        is_same = (asking.name, asking.port or default) == (host.name, host.port or default)
        return is_same or asking.name in self.granted


def _normal(name: str) -> str:
    return _as_address(name) or name.lower().removesuffix(".")


def _as_address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
