"""Refuses network calls inside Python, for machines without network namespaces; runs as ``sitecustomize``."""

import sys

NETWORK_EVENTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}


def refuse(event: str, _: tuple[object, ...]) -> None:
    """Audit hook: refuse network calls."""
    if event in NETWORK_EVENTS:
        raise OSError(f"there is no network at grading ({event})")


sys.addaudithook(refuse)
