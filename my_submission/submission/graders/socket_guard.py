"""Refuses the network inside Python, where the kernel's way is not permitted; runs as ``sitecustomize``."""

import sys

NETWORK_EVENTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}


def refuse(event: str, _: tuple[object, ...]) -> None:
    """An audit hook."""
    if event in NETWORK_EVENTS:
        raise OSError(f"there is no network at grading ({event})")


sys.addaudithook(refuse)
