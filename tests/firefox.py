"""A headless Firefox driven by WebDriver BiDi over a web socket; Playwright brings a build of its own only.

Tests that use it are skipped, with the reason, where there is no Firefox or no library for web sockets.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.page_server import until

PATIENCE_SECONDS = 240
PREFERENCES = """
user_pref("media.autoplay.default", 0);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("app.normandy.enabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
"""
"""Sound without a click, and no requests of its own."""


class Firefox:
    """One window of a running Firefox.

    Attributes:
        complaints: what pages wrote to the console as errors, and uncaught errors.
    """

    def __init__(self, socket: Any) -> None:
        self._socket, self._n_sent = socket, 0
        self.complaints: list[str] = []
        self.ask("session.new", capabilities={})
        self.ask("session.subscribe", events=["log.entryAdded"])
        self._window = self.ask("browsingContext.create", type="tab")["context"]

    def ask(self, method: str, **parameters: Any) -> Any:
        """Send a command and return its result; RuntimeError with the browser's words."""
        self._n_sent += 1
        self._socket.send(json.dumps({"id": self._n_sent, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(PATIENCE_SECONDS))
            if message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                self.complaints.append(message["params"]["text"])
            if message.get("id") != self._n_sent:
                continue
            if message["type"] == "error":
                raise RuntimeError(f"{method}: {message['message']}")
            return message["result"]

    def size(self, width: int, height: int) -> None:
        """Set the size of the page."""
        self.ask("browsingContext.setViewport", context=self._window, viewport={"width": width, "height": height})

    def open(self, address: str) -> None:
        """Load a page."""
        self.ask("browsingContext.navigate", context=self._window, url=address, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, or of its promise; it must be JSON."""
        text = f"Promise.resolve({expression}).then((value) => JSON.stringify(value ?? null))"
        target = {"context": self._window}
        found = self.ask("script.evaluate", expression=text, awaitPromise=True, target=target)
        if found["type"] == "exception":
            raise RuntimeError(found["exceptionDetails"]["text"])
        return json.loads(found["result"]["value"])

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        until(lambda: self.evaluate(expression), expression, seconds=PATIENCE_SECONDS)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, as a person does."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        source = {"type": "key", "id": "keyboard", "actions": actions}
        self.ask("input.performActions", context=self._window, actions=[source])

    def click(self, x: float, y: float) -> None:
        """Click a point of the page, in CSS pixels."""
        actions = [
            {"type": "pointerMove", "x": round(x), "y": round(y)},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        source = {"type": "pointer", "id": "mouse", "actions": actions}
        self.ask("input.performActions", context=self._window, actions=[source])


@contextlib.contextmanager
def running_firefox() -> Iterator[Firefox]:
    """A headless Firefox with a profile of its own."""
    path = next((found for name in ("firefox", "firefox-esr") if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Firefox: neither firefox nor firefox-esr is installed")
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        (Path(profile) / "user.js").write_text(PREFERENCES)
        log = Path(profile) / "log.txt"
        command = [path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"]
        with log.open("wb") as told, subprocess.Popen(command, stdout=told, stderr=told) as process:
            try:
                with client.connect(f"{_address(process, log)}/session", max_size=None, proxy=None) as socket:
                    yield Firefox(socket)
            finally:
                process.kill()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return the address that a starting Firefox listens on."""

    def told() -> re.Match[str] | None:
        text = log.read_text(errors="replace")
        found = re.search(r"ws://[\w.:\[\]]+", text)
        assert found or process.poll() is None, text
        return found

    return str(until(told, "the start of Firefox", seconds=PATIENCE_SECONDS)[0])
