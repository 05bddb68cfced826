"""Imports modules of a submission and reports every network call: ``python import_guard.py MODULE…``.

Prints one JSON object: ``{"calls": [{"what", "where"}], "error": text or null}``. The calls themselves are refused.
"""

import importlib
import json
import os
import sys
import traceback

CALLS: list[dict[str, str]] = []
NETWORK_EVENTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"}


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: record the caller of a network call, then refuse the call."""
    if event not in NETWORK_EVENTS:
        return
    tree = os.getcwd()
    frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(tree)]
    where = f"{os.path.relpath(frames[-1].filename, tree)}:{frames[-1].lineno}" if frames else "a library"
    CALLS.append({"what": f"{event}{tuple(map(str, arguments[-1:]))}", "where": where})
    raise OSError("no network while a submission is imported")


def main() -> int:
    """Import the modules given as arguments."""
    sys.path.insert(0, os.getcwd())
    sys.addaudithook(refuse)
    error = None
    try:
        for name in sys.argv[1:]:
            importlib.import_module(name)
    except BaseException as failure:  # a submission may raise anything, SystemExit included
        error = f"{type(failure).__name__}: {failure}"
    sys.stdout.write("\n" + json.dumps({"calls": CALLS, "error": error}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
