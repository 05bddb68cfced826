"""A server of the page in a process of its own, and a visitor who speaks to it without a browser."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 480
"""Far beyond what anything takes on a quiet machine, for one that is not."""


def until(condition: Callable[[], Any], what: str, *, seconds: float = PATIENCE_SECONDS) -> Any:
    """The condition's value, once it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)
    return found


@dataclass
class Server:
    """A running page.

    Attributes:
        port: that the system chose, so that no other process can have it.
        base_path: what every address begins with.
        scratch: where visitors' files lie.
    """

    port: int
    base_path: str
    scratch: Path
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base_path}"

    def uploads(self) -> list[Path]:
        """Files on their way in, or there and not taken."""
        return list(self.scratch.glob("mdx-page-*/uploads/*"))

    def ask(self, path: str, *, method: str = "GET", host: str = "", body: bytes = b"", **headers: str) -> Any:
        """One request of a connection of its own; the answer has been read and has its ``body`` as ``text``."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.putrequest(method, self.base_path + path, skip_host=True)
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            if body:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            answer.text = answer.read().decode("utf-8", "replace")  # type: ignore[attr-defined]
            return answer
        finally:
            connection.close()


@contextmanager
def running_page(folder: Path, *words: str, base_path: str = "", folder_of_work: Path = ROOT) -> Iterator[Server]:
    """A server on a port that is free, which ends with the block and must have removed everything of its visitors."""
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    command = [sys.executable, "-m", "my_submission", "web", "--port", "0", "--scratch", str(scratch)]
    if base_path:
        command += ["--base-path", base_path]
    command += ["--device", "cpu", "--threads", "1", *words]
    path = folder / "server.txt"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (
        path.open("wb") as log,
        subprocess.Popen(command, cwd=folder_of_work, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            yield Server(_port(process, path, base_path), base_path, scratch, process)
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_SECONDS)
            assert list(scratch.iterdir()) == []
        finally:
            process.kill()


def _port(process: subprocess.Popen[bytes], log: Path, base_path: str) -> int:
    """The port a server says it listens on, once it answers there."""

    def answering() -> int | None:
        told = log.read_text(errors="replace")
        assert process.poll() is None, f"the server ended with {process.returncode}:\n{told}"
        match = re.search(r"http://(?:127\.0\.0\.1|localhost|0\.0\.0\.0):(\d+)", told)
        if match is None:
            return None
        port = int(match[1])
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", f"{base_path}/_stcore/health")
            return port if connection.getresponse().status == 200 else None
        return None

    return int(until(answering, "the start of the server"))


class Caller:
    """A visitor's connection, as the page's own program makes it: web socket first, then uploads."""

    def __init__(self, server: Server) -> None:
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
        from websockets.sync.client import connect

        self._server = server
        cookie = server.ask("/_stcore/health").getheader("Set-Cookie").partition(";")[0]
        self._headers = {"Cookie": cookie, "X-Xsrftoken": cookie.partition("=")[2]}
        connection = connect(
            f"{server.address.replace('http', 'ws', 1)}/_stcore/stream",
            origin=f"http://127.0.0.1:{server.port}",  # type: ignore[arg-type]
            additional_headers={"Cookie": cookie},
            subprotocols=["streamlit"],  # type: ignore[list-item]
            max_size=None,
            max_queue=None,
            ping_interval=None,
            proxy=None,
        )
        self._stay = contextlib.ExitStack()
        self._socket = self._stay.enter_context(connection)
        self._socket.send(BackMsg(rerun_script={}).SerializeToString())
        self.session = ""
        while True:  # until the script has drawn the page
            message = ForwardMsg.FromString(self._socket.recv(PATIENCE_SECONDS))
            if message.HasField("new_session"):
                self.session = message.new_session.initialize.session_id
            if message.HasField("script_finished"):
                break

    def put(self, content: bytes, *, file_id: str = "", name: str = "song.wav", **headers: str) -> Any:
        """Upload a file; the page opens the first one as its song, and no script takes the others."""
        head = f'--b0undary\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'.encode()
        return self._server.ask(
            f"/_stcore/upload_file/{self.session}/{file_id or uuid.uuid4()}",
            method="PUT",
            body=head + content + b"\r\n--b0undary--\r\n",
            **{"Content_Type": "multipart/form-data; boundary=b0undary", **self._headers, **headers},
        )

    def leave(self) -> None:
        self._stay.close()
